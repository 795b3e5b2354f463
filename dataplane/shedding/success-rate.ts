/**
 * Admission by success: of the requests within a window, those that succeeded, against how many should (Envoy's admission control; client-side
 * throttling in Google's "Site Reliability Engineering", chapter 21). What is admitted tells: rejected requests do not count, so it recovers
 * as soon as those that pass succeed again. Pure: time is what it is told.
 */

const SLICES = 10;
/** One request in five always passes, or nothing would tell that all is well again. */
const MOST = 0.8;

export interface SuccessRateOptions {
  /** Share of requests that should succeed, above 0 to 1. */
  readonly threshold: number;
  /** Within a window; with fewer nothing is rejected. */
  readonly minRequests: number;
  readonly windowMs: number;
}

export class SuccessRate {
  readonly #options: SuccessRateOptions;
  readonly #sliceMs: number;
  readonly #requests = new Float64Array(SLICES);
  readonly #successes = new Float64Array(SLICES);
  #slice: number;
  #total = 0;
  #good = 0;

  constructor(options: SuccessRateOptions, nowMs: number) {
    this.#options = options;
    this.#sliceMs = options.windowMs / SLICES;
    this.#slice = Math.floor(nowMs / this.#sliceMs);
  }

  /** Requests counted within the window. */
  requests(nowMs: number): number {
    this.#turn(nowMs);
    return this.#total;
  }

  /** An admitted request has ended. */
  record(success: boolean, nowMs: number): void {
    this.#turn(nowMs);
    const at = this.#slice % SLICES;
    this.#total++;
    (this.#requests[at] as number)++;
    if (!success) return;
    this.#good++;
    (this.#successes[at] as number)++;
  }

  /** 0 to 0.8: the share of requests to reject. */
  share(nowMs: number): number {
    this.#turn(nowMs);
    const { threshold, minRequests } = this.#options;
    if (this.#total < minRequests) return 0;
    const share = (this.#total - this.#good / threshold) / (this.#total + 1);
    return Math.min(MOST, Math.max(0, share));
  }

  #turn(nowMs: number): void {
    const slice = Math.floor(nowMs / this.#sliceMs);
    if (slice <= this.#slice) return;
    if (slice - this.#slice >= SLICES) {
      this.#requests.fill(0);
      this.#successes.fill(0);
      this.#total = 0;
      this.#good = 0;
      this.#slice = slice;
      return;
    }
    while (this.#slice < slice) {
      this.#slice++;
      const at = this.#slice % SLICES;
      this.#total -= this.#requests[at] as number;
      this.#good -= this.#successes[at] as number;
      this.#requests[at] = 0;
      this.#successes[at] = 0;
    }
  }
}
