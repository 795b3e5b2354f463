/** How many connections each client address has. */
import { addressPrefix } from '../io/address-prefix.ts';

/** Of IPv6 a whole /64 is one client: it is what a subscriber is given. */
const PREFIX_V6 = 64;

export class AddressCounts {
  private readonly max: number;
  private readonly counts = new Map<string, number>();

  /** `max` 0: any number, and nothing is counted. */
  constructor(max: number) {
    this.max = max;
  }

  /** What `leave` is to be called with when the connection is over; null: the address has as many as it may. */
  enter(address: string): string | null {
    if (this.max === 0) return '';
    const key = addressPrefix(address, 32, PREFIX_V6);
    const count = this.counts.get(key) ?? 0;
    if (count >= this.max) return null;
    this.counts.set(key, count + 1);
    return key;
  }

  leave(key: string): void {
    if (key === '') return;
    const count = this.counts.get(key) ?? 0;
    if (count > 1) this.counts.set(key, count - 1);
    else this.counts.delete(key);
  }
}
