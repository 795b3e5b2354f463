/**
 * What an endpoint's latency is taken to be: the peak EWMA of Twitter's Finagle. A latency above the estimate is believed at once; lower ones
 * draw it down as time passes, with weight 1 - e^(-t/τ). Without any it decays towards 0, so that who was slow is tried again.
 *
 * Beyond Finagle:
 * - Each lower answer takes off an eighth of the difference at least: a pause of the gateway itself, which all endpoints seem to have had, is
 *   over after some twenty answers each, and who is slow for good is not forgotten meanwhile.
 * - While requests wait and none is answered, though other endpoints answer, the estimate is at least the time since the last answer: who hangs
 *   is left long before a time-out says so.
 * - A failure is a penalty for a time, after which nothing is known; one request then finds out. Faded like a latency, it would keep requests from
 *   an endpoint for half a minute after it is back.
 */
import { type Attempt, UNDECIDED, type Watcher } from '../watcher.ts';

/** Finagle's is 10 s; with half of that one slow answer costs an endpoint its share for half as long. */
export const DECAY_MS = 5_000;
/** Of what the estimate lies above an answer. */
const MOST_KEPT = 7 / 8;
/** A failure counts as a latency of at least this, for as long: who refuses quickly is not quick. */
export const FAILURE_MS = 1_000;
export const MAX_FAILURE_MS = 30_000;
/** Nothing is faster: noise below it decides nothing, and after a long pause all are alike. */
export const FLOOR_MS = 0.25;

/** When any of a backend's endpoints was heard of. */
export interface LastHeard {
  atMs: number;
}

export class LatencyMeter implements Watcher {
  readonly #now: () => number;
  readonly #heard: LastHeard;
  /** At `#stampMs`; 0: nothing is known. */
  #estimateMs = 0;
  #stampMs = 0;
  /** When something was last heard, or the first of the requests in flight began. */
  #silentSinceMs = 0;
  /** Of its failures since it last succeeded; 0: none. */
  #penaltyMs = 0;
  #penaltyEndMs = 0;

  /** `now`: monotonic ms. `heard` is shared by the meters of a backend. */
  constructor(now: () => number, heard: LastHeard) {
    this.#now = now;
    this.#heard = heard;
  }

  /** A request begins, and no other is in flight. */
  began(): void {
    this.#silentSinceMs = this.#now();
  }

  /** A 5xx counts as a failure. */
  answered(status: number, latencyMs: number): void {
    if (status >= 500) this.failed();
    else this.#succeeded(latencyMs);
  }

  /** The penalty of one that fails again when it has passed is twice as long, up to 30 s. */
  failed(): void {
    const nowMs = this.#now();
    this.#silentSinceMs = this.#heard.atMs = nowMs;
    // Of the same trouble: all that were in flight may fail at once.
    if (this.#penaltyMs > 0 && nowMs < this.#penaltyEndMs) return;
    this.#penaltyMs = Math.min(MAX_FAILURE_MS, Math.max(FAILURE_MS, 2 * this.#penaltyMs));
    this.#penaltyEndMs = nowMs + this.#penaltyMs;
    this.#estimateMs = Math.max(this.#penaltyMs, this.#estimateMs);
    this.#stampMs = nowMs;
  }

  /** What was learned no longer holds. */
  forget(): void {
    this.#estimateMs = 0;
    this.#penaltyMs = 0;
  }

  /** One that was given up, as another was faster or the client left, would have taken longer still. */
  left({ verdict, chosenAtMs }: Attempt): void {
    if (verdict !== UNDECIDED) return;
    const nowMs = this.#now();
    if (nowMs - chosenAtMs > this.at(nowMs, 0)) this.#observe(nowMs - chosenAtMs);
  }

  /** ms; 0: nothing is known. `active`: requests in flight. */
  at(nowMs: number, active: number): number {
    const estimateMs = this.#estimateMs;
    if (estimateMs === 0 || (this.#penaltyMs > 0 && nowMs >= this.#penaltyEndMs)) return 0;
    const decayedMs = Math.max(FLOOR_MS, estimateMs * Math.exp((this.#stampMs - nowMs) / DECAY_MS));
    return active === 0 ? decayedMs : Math.max(decayedMs, this.#heard.atMs - this.#silentSinceMs);
  }

  #succeeded(latencyMs: number): void {
    if (this.#penaltyMs > 0) {
      const nowMs = this.#now();
      this.#silentSinceMs = this.#heard.atMs = nowMs;
      if (nowMs < this.#penaltyEndMs) return;
      this.forget();
    }
    this.#observe(latencyMs);
  }

  #observe(latencyMs: number): void {
    const nowMs = this.#now();
    const ms = latencyMs > FLOOR_MS ? latencyMs : FLOOR_MS;
    if (ms >= this.#estimateMs) this.#estimateMs = ms;
    else {
      const kept = Math.min(MOST_KEPT, Math.exp((this.#stampMs - nowMs) / DECAY_MS));
      this.#estimateMs = this.#estimateMs * kept + ms * (1 - kept);
    }
    this.#stampMs = this.#silentSinceMs = this.#heard.atMs = nowMs;
  }
}
