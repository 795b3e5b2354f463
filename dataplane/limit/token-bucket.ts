/**
 * Token bucket as the generic cell rate algorithm (ITU-T I.371, virtual scheduling): one number a key, the time at which its bucket is full
 * again. Debt is time: a unit costs `windowMs / limit`, a bucket of `burst` units can owe `burst × windowMs / limit`.
 *
 * Bound: in any t ms at most burst + limit × t / windowMs units, never fewer for who asks for no more. Of a global limit each data plane has
 * the same debt at a dearer unit, so their rates sum to the limit; a bucket smaller than one request takes that one when it is full,
 * and owes it: bursts of n data planes together are at most burst + n requests.
 */
import { type HashSeed, KeyHash } from './hash.ts';
import { classOfWindow } from './layout.ts';
import type { Decision, Limiter, LimiterOptions } from './store.ts';
import { classed, type LimitSurroundings, NOT_SHARED } from './surroundings.ts';

/** Of a unit: what float64 sums may be off. */
const TOLERANCE = 1e-3;

export class TokenBucket implements Limiter {
  readonly #around: LimitSurroundings;
  readonly #hash: KeyHash;
  readonly #kind: number;
  readonly #share: Int32Array;
  readonly #wholeUnitMs: number;
  readonly #fullMs: number;
  readonly #burst: number;

  constructor(options: LimiterOptions, around: LimitSurroundings, seed: HashSeed) {
    const { limit, windowMs, burst, scope, global } = options;
    this.#around = around;
    this.#hash = new KeyHash(seed, scope);
    this.#kind = classOfWindow(windowMs);
    this.#share = global ? around.share : NOT_SHARED;
    this.#wholeUnitMs = windowMs / limit;
    this.#fullMs = burst * this.#wholeUnitMs;
    this.#burst = burst;
  }

  take(key: string, cost: number, decision: Decision): undefined {
    const { table, now } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const hi = classed(hash.hi, this.#kind);
    const nowMs = now();
    const unitMs = this.#unitMs();
    const needed = cost === 0 ? 1 : cost;
    const neededMs = needed * unitMs;
    // A share that can't hold the request still takes it when nothing is owed.
    const mostMs = neededMs > this.#fullMs && needed <= this.#burst ? neededMs : this.#fullMs;
    let slot = table.enter(hash.lo, hi);
    let debtMs = this.#debt(slot, nowMs, mostMs);
    let admitted = debtMs + neededMs <= mostMs + unitMs * TOLERANCE;
    if (admitted && cost > 0) {
      if (slot < 0) slot = table.claim(hash.lo, hi, nowMs);
      admitted = slot >= 0;
      if (admitted) {
        debtMs += cost * unitMs;
        table.numbers[slot] = nowMs + debtMs;
      }
    }
    table.leave();
    const leftMs = this.#fullMs - debtMs;
    decision.failed = false;
    decision.admitted = admitted;
    decision.remaining = leftMs > 0 ? Math.floor(leftMs / unitMs + TOLERANCE) : 0;
    decision.resetMs = debtMs;
    decision.retryMs = admitted ? 0 : needed > this.#burst ? this.#fullMs : waitMs(debtMs + neededMs - mostMs);
  }

  giveBack(key: string, cost: number): void {
    const { table } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const slot = table.enter(hash.lo, classed(hash.hi, this.#kind));
    if (slot >= 0) (table.numbers[slot] as number) -= cost * this.#unitMs();
    table.leave();
  }

  charge(key: string, cost: number): void {
    const { table, now } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const hi = classed(hash.hi, this.#kind);
    const nowMs = now();
    let slot = table.enter(hash.lo, hi);
    const debtMs = this.#debt(slot, nowMs, this.#fullMs);
    if (slot < 0) slot = table.claim(hash.lo, hi, nowMs);
    if (slot >= 0) table.numbers[slot] = nowMs + debtMs + cost * this.#unitMs();
    table.leave();
  }

  #unitMs(): number {
    return this.#wholeUnitMs * ((this.#share[0] as number) & 0xffff);
  }

  #debt(slot: number, nowMs: number, mostMs: number): number {
    const { table } = this.#around;
    if (slot >= 0) return Math.max(0, (table.numbers[slot] as number) - nowMs);
    return Math.min(mostMs, Math.max(0, table.watermark(this.#kind) - nowMs));
  }
}

/** Nothing is short where the table had no place for the key: then soon. */
function waitMs(shortMs: number): number {
  return shortMs > 0 ? shortMs : 1;
}
