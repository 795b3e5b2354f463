/**
 * Which requests a share of all is taken from: of the lowest priority first, of the next only when that is not enough, of critical never. How
 * many of each there are is known from those that came within the last half second or so. Pure.
 */
import { CRITICAL, PRIORITIES } from './priority.ts';

/** ms after which what was counted weighs 1/e. */
const MEMORY_MS = 500;

export class Apportion {
  /** By priority: with which probability a request is turned away, 0 to 1. */
  readonly odds = new Float64Array(PRIORITIES.length);
  /** Requests counted since `settle`. */
  fresh = 0;
  readonly #counted = new Float64Array(PRIORITIES.length);
  readonly #weights = new Float64Array(PRIORITIES.length);

  /** A request came. On the hot path. */
  count(priority: number): void {
    this.fresh++;
    (this.#counted[priority] as number)++;
  }

  /** From now on `share` (0 to 1) of all requests are to be turned away; `elapsedMs` since the call before. */
  settle(share: number, elapsedMs: number): void {
    const keep = Math.exp(-elapsedMs / MEMORY_MS);
    let total = 0;
    for (let i = 0; i < PRIORITIES.length; i++) {
      const weight = (this.#weights[i] as number) * keep + (this.#counted[i] as number);
      this.#weights[i] = weight;
      this.#counted[i] = 0;
      total += weight;
    }
    this.fresh = 0;
    let rest = share * total;
    for (let i = 0; i < CRITICAL; i++) {
      const weight = this.#weights[i] as number;
      const taken = Math.min(weight, rest);
      // Of what did not come lately, as of the least that did: a first request of a low priority is no exception.
      this.odds[i] = weight > 0 ? taken / weight : rest > 0 ? 1 : 0;
      rest -= taken;
    }
  }
}
