/**
 * How many retries a backend may get beside its requests, so that an outage is not answered with a storm. Tokens over a sliding
 * window, as Finagle's RetryBudget, with two differences: the window is 2 s (Finagle: 10), because what a calm time has left over is spent
 * at once when an outage begins; and the floor is an alternative, not an addition, so that it does not count where there is traffic.
 * A retry is granted if with it there are at most `percent` of the requests of the last 2 s, or at most `minPerSecond` × 10 in the last
 * 10 s. Hence over any time, without the floor: retries ≤ requests × percent / 100.
 *
 * One a backend and worker, shared by all rules that retry; each asks with its own figures. Pure.
 */

const SLICES = 10;
const SHARE_SLICE_MS = 200;
const FLOOR_SLICE_MS = 1000;

export interface BudgetSettings {
  /** 0 to 100. */
  readonly percent: number;
  readonly minPerSecond: number;
}

export class RetryBudget {
  private readonly requests = new SlidingCount(SHARE_SLICE_MS);
  private readonly retries = new SlidingCount(SHARE_SLICE_MS);
  private readonly lately = new SlidingCount(FLOOR_SLICE_MS);

  /** A request came in; its retries are not to be counted here. `nowMs` never goes back. */
  request(nowMs: number): void {
    this.requests.add(nowMs);
  }

  /** Takes a retry; false: there is none left for now. */
  take(nowMs: number, { percent, minPerSecond }: BudgetSettings): boolean {
    const share = (this.requests.sum(nowMs) * percent) / 100;
    const floor = (minPerSecond * SLICES * FLOOR_SLICE_MS) / 1000;
    if (this.retries.sum(nowMs) + 1 > share && this.lately.sum(nowMs) + 1 > floor) return false;
    this.retries.add(nowMs);
    this.lately.add(nowMs);
    return true;
  }
}

/** How often in the last `SLICES` slices, the running one included. */
class SlidingCount {
  private readonly sliceMs: number;
  private readonly counts = new Uint32Array(SLICES);
  private total = 0;
  private slice = 0;

  constructor(sliceMs: number) {
    this.sliceMs = sliceMs;
  }

  add(nowMs: number): void {
    const at = this.advance(nowMs);
    this.counts[at] = (this.counts[at] as number) + 1;
    this.total++;
  }

  sum(nowMs: number): number {
    this.advance(nowMs);
    return this.total;
  }

  /** Index of the slice that `nowMs` lies in; those that have left the window are emptied. */
  private advance(nowMs: number): number {
    const slice = Math.floor(nowMs / this.sliceMs);
    if (slice > this.slice) {
      for (let one = Math.max(this.slice + 1, slice - SLICES + 1); one <= slice; one++) {
        const at = one % SLICES;
        this.total -= this.counts[at] as number;
        this.counts[at] = 0;
      }
      this.slice = slice;
    }
    return this.slice % SLICES;
  }
}
