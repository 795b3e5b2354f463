/**
 * Sliding window by two fixed ones: the previous window counts by the part of it that the sliding one still covers, as if its requests had come
 * evenly ("An alternative approach to rate limiting", Figma 2017; Cloudflare's estimate).
 *
 * Bound: in any t ≤ windowMs at most limit × (1 + t / windowMs) units, where a fixed window allows 2 × limit at once; in each of the
 * clock's windows at most `limit`. After two windows without a request the whole limit is there. Of a global limit each data plane estimates over
 * its own share; the shares sum to `limit` in each window.
 */
import { type HashSeed, KeyHash } from './hash.ts';
import { classOfWindow, FIRST, SECOND } from './layout.ts';
import { portionOf } from './share.ts';
import type { Decision, Limiter, LimiterOptions } from './store.ts';
import { classed, type LimitSurroundings, NOT_SHARED } from './surroundings.ts';
import { Windows } from './windows.ts';

/** Of a unit: what float64 products may be off. */
const TOLERANCE = 1e-6;

export class SlidingWindow implements Limiter {
  readonly #around: LimitSurroundings;
  readonly #hash: KeyHash;
  readonly #kind: number;
  readonly #share: Int32Array;
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #windows: Windows;
  /** As last read. */
  #current = 0;
  #previous = 0;

  constructor(options: LimiterOptions, around: LimitSurroundings, seed: HashSeed) {
    const { limit, windowMs, scope, global } = options;
    this.#around = around;
    this.#hash = new KeyHash(seed, scope);
    this.#kind = classOfWindow(windowMs);
    this.#share = global ? around.share : NOT_SHARED;
    this.#limit = limit;
    this.#windowMs = windowMs;
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
    const needed = cost === 0 ? 1 : cost;
    const leftMs = Math.min(this.#windowMs, Math.max(0, endMs - nowMs));
    let slot = table.enter(hash.lo, hi);
    this.#read(slot, endMs, quota);
    let used = (this.#previous * leftMs) / this.#windowMs + this.#current;
    let admitted = used + needed <= quota + TOLERANCE;
    if (admitted && cost > 0) {
      if (slot < 0) slot = table.claim(hash.lo, hi, nowMs);
      admitted = slot >= 0;
      if (admitted) {
        used += cost;
        this.#write(slot, endMs, cost);
      }
    }
    table.leave();
    decision.failed = false;
    decision.admitted = admitted;
    decision.remaining = Math.max(0, Math.floor(quota - used + TOLERANCE));
    decision.resetMs = this.#resetMs(leftMs);
    decision.retryMs = admitted ? 0 : this.#retryMs(quota, needed, leftMs);
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
    this.#read(slot, endMs, portionOf(this.#limit, this.#share[0] as number, index));
    if (slot < 0 && change > 0) slot = table.claim(hash.lo, hi, nowMs);
    if (slot >= 0) this.#write(slot, endMs, change);
    table.leave();
  }

  /** The counts of the window that ends at `endMs` and of the one before. A slot is fresh one window after the one it counts for. */
  #read(slot: number, endMs: number, quota: number): void {
    const { table } = this.#around;
    const { numbers } = table;
    if (slot < 0) {
      // Whoever was evicted in a window may have had all of it.
      const fresh = table.watermark(this.#kind);
      this.#current = fresh >= endMs + this.#windowMs ? quota : 0;
      this.#previous = fresh >= endMs ? quota : 0;
      return;
    }
    const aheadMs = (numbers[slot] as number) - this.#windowMs - endMs;
    if (aheadMs >= 0) {
      this.#current = numbers[slot + FIRST] as number;
      this.#previous = numbers[slot + SECOND] as number;
    } else {
      // By halves: whole windows apart, whatever the rounding.
      this.#previous = aheadMs > -1.5 * this.#windowMs ? (numbers[slot + FIRST] as number) : 0;
      this.#current = 0;
    }
  }

  #write(slot: number, endMs: number, change: number): void {
    const { numbers } = this.#around.table;
    this.#current = Math.max(0, this.#current + change);
    numbers[slot + FIRST] = this.#current;
    numbers[slot + SECOND] = this.#previous;
    // Never back: a thread that is a moment ahead may have begun the next window.
    numbers[slot] = Math.max(endMs + this.#windowMs, numbers[slot] as number);
  }

  #resetMs(leftMs: number): number {
    if (this.#current > 0) return leftMs + this.#windowMs;
    return this.#previous > 0 ? leftMs : 0;
  }

  /** When the estimate has sunk far enough: within this window, or within the next, where this one's count is the previous. */
  #retryMs(quota: number, needed: number, leftMs: number): number {
    const room = quota - needed;
    if (room < 0) return leftMs;
    if (this.#current <= room && this.#previous > 0)
      return Math.max(0, leftMs - ((room - this.#current) / this.#previous) * this.#windowMs);
    return leftMs + this.#windowMs * (1 - room / this.#current);
  }
}
