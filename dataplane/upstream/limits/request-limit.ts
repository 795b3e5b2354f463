/** `maxRequests`: so many attempts under way to a backend, and no more. */
import type { Gate } from '../watcher.ts';

export class RequestLimit implements Gate {
  readonly code = 'upstream-overflow';
  readonly retryAfterS = 1;
  max: number;
  inFlight: number;

  /** `inFlight`: those under way already; their ends will be told. */
  constructor(max: number, inFlight: number) {
    this.max = max;
    this.inFlight = inFlight;
  }

  admits(): boolean {
    if (this.inFlight >= this.max) return false;
    this.inFlight++;
    return true;
  }

  withdraw(): void {
    this.inFlight--;
  }

  left(): void {
    this.inFlight--;
  }
}
