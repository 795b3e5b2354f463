/**
 * Leases by caller. Those asked for lately are found by a number first: a Map has the engine intern the string that each request makes anew,
 * a call that costs more than all else a request costs here, and slows whoever uses the string afterwards.
 */
import type { Lease } from './lease.ts';

/** A power of two. */
const RECENT = 1024;

export class LeaseTable {
  /** In the order in which they came. */
  readonly #all = new Map<string, Lease>();
  readonly #recent = new Array<Lease | null>(RECENT).fill(null);

  get size(): number {
    return this.#all.size;
  }

  get(caller: string): Lease | undefined {
    const place = placeOf(caller);
    const recent = this.#recent[place];
    if (recent != null && recent.caller === caller) return recent;
    const lease = this.#all.get(caller);
    if (lease !== undefined) this.#recent[place] = lease;
    return lease;
  }

  add(lease: Lease): void {
    this.#all.set(lease.caller, lease);
    this.#recent[placeOf(lease.caller)] = lease;
  }

  delete(lease: Lease): void {
    this.#all.delete(lease.caller);
    const place = placeOf(lease.caller);
    if (this.#recent[place] === lease) this.#recent[place] = null;
  }

  clear(): void {
    this.#all.clear();
    this.#recent.fill(null);
  }

  /** What is deleted meanwhile is left out. */
  values(): IterableIterator<Lease> {
    return this.#all.values();
  }
}

/** Who finds callers that fall together only sends them to the map. */
function placeOf(caller: string): number {
  let number = caller.length;
  for (let i = 0; i < caller.length; i++) number = (Math.imul(number, 31) + caller.charCodeAt(i)) | 0;
  return number & (RECENT - 1);
}
