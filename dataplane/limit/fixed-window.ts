/**
 * Fixed window: a count that starts again at each whole multiple of the window since the epoch (an hour's at the full hour, UTC).
 *
 * Bound: in each of those windows at most `limit` units; across the seam of two, up to twice that within any time. Shares of a global limit sum
 * to exactly `limit` in each window.
 */
import { type HashSeed, KeyHash } from './hash.ts';
import { classOfWindow, FIRST } from './layout.ts';
import { portionOf } from './share.ts';
import type { Decision, Limiter, LimiterOptions } from './store.ts';
import { classed, type LimitSurroundings, NOT_SHARED } from './surroundings.ts';
import { Windows } from './windows.ts';

export class FixedWindow implements Limiter {
  readonly #around: LimitSurroundings;
  readonly #hash: KeyHash;
  readonly #kind: number;
  readonly #share: Int32Array;
  readonly #limit: number;
  readonly #windows: Windows;

  constructor(options: LimiterOptions, around: LimitSurroundings, seed: HashSeed) {
    const { limit, windowMs, scope, global } = options;
    this.#around = around;
    this.#hash = new KeyHash(seed, scope);
    this.#kind = classOfWindow(windowMs);
    this.#share = global ? around.share : NOT_SHARED;
    this.#limit = limit;
    this.#windows = new Windows(windowMs, around.epochMs);
  }

  take(key: string, cost: number, decision: Decision): undefined {
    const { table, now } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const hi = classed(hash.hi, this.#kind);
    const nowMs = now();
    const { index, endMs } = this.#windows.at(nowMs);
    const quota = portionOf(this.#limit, this.#share[0] as number, index);
    let slot = table.enter(hash.lo, hi);
    let count = this.#count(slot, endMs, quota);
    let admitted = count + (cost === 0 ? 1 : cost) <= quota;
    if (admitted && cost > 0) {
      if (slot < 0) slot = table.claim(hash.lo, hi, nowMs);
      admitted = slot >= 0;
      if (admitted) {
        count += cost;
        table.numbers[slot + FIRST] = count;
        table.numbers[slot] = Math.max(endMs, table.numbers[slot] as number);
      }
    }
    table.leave();
    decision.failed = false;
    decision.admitted = admitted;
    decision.remaining = Math.max(0, quota - count);
    decision.resetMs = Math.max(0, endMs - nowMs);
    decision.retryMs = admitted ? 0 : decision.resetMs;
  }

  giveBack(key: string, cost: number): void {
    this.#add(key, -cost);
  }

  charge(key: string, cost: number): void {
    this.#add(key, cost);
  }

  #add(key: string, change: number): void {
    const { table, now } = this.#around;
    const hash = this.#hash;
    hash.update(key);
    const hi = classed(hash.hi, this.#kind);
    const nowMs = now();
    const { index, endMs } = this.#windows.at(nowMs);
    let slot = table.enter(hash.lo, hi);
    const count = this.#count(slot, endMs, portionOf(this.#limit, this.#share[0] as number, index));
    if (slot < 0 && change > 0) slot = table.claim(hash.lo, hi, nowMs);
    if (slot >= 0) {
      table.numbers[slot + FIRST] = Math.max(0, count + change);
      table.numbers[slot] = Math.max(endMs, table.numbers[slot] as number);
    }
    table.leave();
  }

  /** Units of the window that ends at `endMs`; a thread that is a moment ahead may have begun the next one already: then of that. */
  #count(slot: number, endMs: number, quota: number): number {
    const { table } = this.#around;
    if (slot >= 0) return (table.numbers[slot] as number) >= endMs ? (table.numbers[slot + FIRST] as number) : 0;
    // Whoever was evicted in this window may have had all of it.
    return table.watermark(this.#kind) >= endMs ? quota : 0;
  }
}
