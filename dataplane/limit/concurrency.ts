/**
 * Requests in flight. Each worker counts its own in the key's slot, so that what a dead worker had open can be taken back (LimitTable.recover); the
 * sum over all workers is what counts. Such a slot is never evicted; where a set is full of them, a further key is refused.
 *
 * Bound: never more than `limit` at a time. Shares of a global limit sum to `limit`; where they can't be equal the odd units go round every 10 s,
 * and what was admitted in a turn before and is still in flight comes on top.
 */
import { type HashSeed, KeyHash } from './hash.ts';
import { CONCURRENCY_CLASS, WORKERS_A_SLOT } from './layout.ts';
import { portionOf } from './share.ts';
import type { Decision, Limiter, LimiterOptions } from './store.ts';
import { classed, type LimitSurroundings, NOT_SHARED } from './surroundings.ts';

const TURN_MS = 10_000;
/** A 16-bit count. */
const MOST_A_WORKER = 65_535;

export class Concurrency implements Limiter {
  readonly #around: LimitSurroundings;
  readonly #hash: KeyHash;
  readonly #share: Int32Array;
  readonly #limit: number;
  /** The class of this worker's slot, and its place in it. */
  readonly #kind: number;
  readonly #place: number;
  readonly #groups: number;

  constructor(options: LimiterOptions, around: LimitSurroundings, seed: HashSeed) {
    this.#around = around;
    this.#hash = new KeyHash(seed, options.scope);
    this.#share = options.global ? around.share : NOT_SHARED;
    this.#limit = options.limit;
    this.#kind = CONCURRENCY_CLASS + Math.floor(around.worker / WORKERS_A_SLOT);
    this.#place = around.worker % WORKERS_A_SLOT;
    this.#groups = Math.ceil(around.workers / WORKERS_A_SLOT);
  }

  take(key: string, cost: number, decision: Decision): undefined {
    const { table, now, epochMs } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const word = this.#share[0] as number;
    const turn = (word & 0xffff) === 1 ? 0 : Math.floor((now() + epochMs) / TURN_MS);
    const quota = portionOf(this.#limit, word, turn);
    const hi = classed(hash.hi, this.#kind);
    let slot = table.enter(hash.lo, hi);
    let inFlight = this.#sum(hash.lo, hash.hi);
    let admitted = inFlight + (cost === 0 ? 1 : cost) <= quota;
    if (admitted && cost > 0) {
      if (slot < 0) {
        slot = table.claim(hash.lo, hi, now());
        if (slot >= 0) table.numbers[slot] = Number.POSITIVE_INFINITY;
      }
      admitted = slot >= 0 && table.count(slot, this.#place) + cost <= MOST_A_WORKER;
      if (admitted) {
        table.add(slot, this.#place, cost);
        inFlight += cost;
      }
    }
    table.leave();
    decision.failed = false;
    decision.admitted = admitted;
    decision.remaining = Math.max(0, quota - inFlight);
    decision.resetMs = 0;
    decision.retryMs = admitted ? 0 : RETRY_MS;
  }

  giveBack(key: string, cost: number): void {
    const { table } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const slot = table.enter(hash.lo, classed(hash.hi, this.#kind));
    if (slot >= 0) {
      table.add(slot, this.#place, -Math.min(cost, table.count(slot, this.#place)));
      if (table.idle(slot)) table.free(slot);
    }
    table.leave();
  }

  /** Nothing: a request that was not admitted is not in flight. */
  charge(): void {}

  #sum(lo: number, hi: number): number {
    const { table } = this.#around;
    let sum = 0;
    for (let group = 0; group < this.#groups; group++) {
      const slot = table.find(lo, classed(hi, CONCURRENCY_CLASS + group));
      if (slot < 0) continue;
      for (let of = 0; of < WORKERS_A_SLOT; of++) sum += table.count(slot, of);
    }
    return sum;
  }
}

/** Nobody knows when one of those in flight is over. */
const RETRY_MS = 1_000;
