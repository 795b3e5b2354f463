/**
 * A concurrency limit that follows latency: the gradient of Envoy's adaptive concurrency filter (limit × base / latency, plus the square root of the
 * limit to grow by) over the means of short windows. Where Envoy lowers its limit every minute to find the base latency anew, this one
 * does so only when none of the last windows came near it, and by no more than drains the queue (as BBR's ProbeRTT). Pure: time comes
 * with what it is told; nothing runs by itself.
 */

export interface GradientOptions {
  readonly minLimit: number;
  readonly maxLimit: number;
  /** Latency may be this share of the base before the limit shrinks. 100 or more. */
  readonly tolerancePercent: number;
}

const WINDOW_MS = 100;
/** A window lasts until it has so many samples. */
const MIN_SAMPLES = 20;
/** Latencies below are taken for this one: there it is noise that makes the share. */
const FLOOR_MS = 1;
/** How often the base latency is held against the windows since. */
const BASE_MS = 10_000;
/** … and how often where the limit has halved since: the backend may have become slower for good. */
const HALVED_BASE_MS = 2_000;
/** A window this close to the base confirms it. */
const NEAR = 1.1;
/** A probe ends after this, whatever it saw. */
const PROBE_MS = 2_000;
/** Under a probe: this part of what the tolerance allows, so that no request has to wait at the backend. */
const PROBE_SHARE = 0.8;
/** What a window's time-outs make of the limit at most. */
const DROP_SHARE = 0.9;
/** Part of the way to the new limit that one window goes: an overload is met at once, what follows it is probed. */
const SMOOTHING_UP = 0.4;
const SMOOTHING_DOWN = 0.6;

export class Gradient {
  /** Now; a whole number from `minLimit` to `maxLimit`. */
  limit: number;
  private readonly options: GradientOptions;
  private readonly tolerance: number;
  /** Without rounding. */
  private exact: number;
  /** Latency without queueing, ms; 0: not known yet. */
  private baseMs = 0;
  private baseCheckedAtMs = Number.NEGATIVE_INFINITY;
  /** The limit when the base was checked. */
  private checkedLimit = 0;
  /** The least mean of a window since the base was checked. */
  private leastMs = Number.POSITIVE_INFINITY;
  private startsMs = Number.NEGATIVE_INFINITY;
  private samples = 0;
  private sumMs = 0;
  private drops = 0;
  /** Only what began after it counts; -Infinity: no probe. */
  private probingSinceMs = Number.NEGATIVE_INFINITY;

  /** Begins at `minLimit`, where there is no queue to take for the base. */
  constructor(options: GradientOptions) {
    this.options = options;
    this.tolerance = options.tolerancePercent / 100;
    this.exact = options.minLimit;
    this.limit = options.minLimit;
  }

  get probing(): boolean {
    return this.probingSinceMs !== Number.NEGATIVE_INFINITY;
  }

  /** A good response after `latencyMs`. */
  sample(nowMs: number, latencyMs: number): void {
    if (nowMs - latencyMs < this.probingSinceMs) return;
    this.samples++;
    this.sumMs += latencyMs;
    if (nowMs - this.startsMs >= WINDOW_MS) this.turn(nowMs);
  }

  /** One that got no answer in time. */
  drop(nowMs: number): void {
    this.drops++;
    if (nowMs - this.startsMs >= WINDOW_MS) this.turn(nowMs);
  }

  private turn(nowMs: number): void {
    if (this.startsMs === Number.NEGATIVE_INFINITY) {
      this.startsMs = this.baseCheckedAtMs = nowMs;
      return;
    }
    const overdue = this.probing && nowMs - this.probingSinceMs >= PROBE_MS;
    if (this.samples + this.drops < MIN_SAMPLES && !overdue) return;
    const meanMs = this.samples === 0 ? 0 : Math.max(this.sumMs / this.samples, FLOOR_MS);
    if (this.probing) this.endProbe(nowMs, this.samples >= MIN_SAMPLES / 2 ? meanMs : 0);
    else this.move(nowMs, meanMs);
    this.startsMs = nowMs;
    this.samples = this.sumMs = this.drops = 0;
  }

  private move(nowMs: number, meanMs: number): void {
    const { exact } = this;
    let next = exact;
    if (meanMs > 0) {
      if (this.baseMs === 0) this.baseMs = meanMs;
      // Smoothed, as the least of many means is less than what is meant.
      else if (meanMs < this.baseMs) this.baseMs += (meanMs - this.baseMs) * 0.2;
      if (meanMs < this.leastMs) this.leastMs = meanMs;
      const gradient = Math.min(2, Math.max(0.5, (this.tolerance * this.baseMs) / meanMs));
      next = exact * gradient + Math.sqrt(exact * gradient);
    }
    if (this.drops > 0) next = Math.min(next, exact * DROP_SHARE);
    this.set(exact + (next - exact) * (next > exact ? SMOOTHING_UP : SMOOTHING_DOWN));
    const sinceMs = nowMs - this.baseCheckedAtMs;
    if (sinceMs >= BASE_MS || (sinceMs >= HALVED_BASE_MS && this.exact < this.checkedLimit / 2)) this.check(nowMs);
  }

  /** Confirms the base, or begins to look for it. */
  private check(nowMs: number): void {
    this.baseCheckedAtMs = nowMs;
    this.checkedLimit = this.exact;
    if (this.leastMs <= this.baseMs * NEAR) {
      this.baseMs = Math.max(this.baseMs, this.leastMs);
      this.leastMs = Number.POSITIVE_INFINITY;
      return;
    }
    this.probingSinceMs = nowMs;
    this.limit = Math.max(this.options.minLimit, Math.floor((this.exact * PROBE_SHARE) / this.tolerance));
  }

  /** `meanMs` 0: too little was seen, and the base stays. */
  private endProbe(nowMs: number, meanMs: number): void {
    this.probingSinceMs = Number.NEGATIVE_INFINITY;
    this.baseCheckedAtMs = nowMs;
    this.checkedLimit = this.exact;
    this.leastMs = Number.POSITIVE_INFINITY;
    if (meanMs > 0) this.baseMs = meanMs;
    this.set(this.exact);
  }

  private set(limit: number): void {
    this.exact = Math.min(this.options.maxLimit, Math.max(this.options.minLimit, limit));
    this.limit = Math.floor(this.exact);
  }
}
