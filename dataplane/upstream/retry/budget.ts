/**
 * How many retries a backend may get beside its requests, so that an outage is not answered with a storm (Finagle's RetryBudget, with
 * Envoy's reading of the floor): within any ten seconds at most `percent` of the requests, or `minPerSecond` × 10 where that is
 * more. Hence over any time: retries ≤ requests × percent / 100, as soon as there are enough requests for the floor not to count. One
 * a backend and worker, shared by all rules that retry; each asks with its own figures. Pure.
 */

const SLICES = 10;
const SLICE_MS = 1000;

export interface BudgetSettings {
  /** 0 to 100. */
  readonly percent: number;
  readonly minPerSecond: number;
}

export class RetryBudget {
  private readonly requests = new Uint32Array(SLICES);
  private readonly retries = new Uint32Array(SLICES);
  private requestSum = 0;
  private retrySum = 0;
  private slice = 0;

  /** A request came in; its retries are not to be counted here. `nowMs` never goes back. */
  request(nowMs: number): void {
    const at = this.advance(nowMs);
    this.requests[at] = (this.requests[at] as number) + 1;
    this.requestSum++;
  }

  /** Takes a retry; false: there is none left for now. */
  take(nowMs: number, { percent, minPerSecond }: BudgetSettings): boolean {
    const at = this.advance(nowMs);
    const allowed = Math.max((this.requestSum * percent) / 100, minPerSecond * SLICES);
    if (this.retrySum + 1 > allowed) return false;
    this.retries[at] = (this.retries[at] as number) + 1;
    this.retrySum++;
    return true;
  }

  /** Index of the slice that `nowMs` lies in; those that are older than the window are emptied. */
  private advance(nowMs: number): number {
    const slice = Math.floor(nowMs / SLICE_MS);
    if (slice > this.slice) {
      const first = Math.max(this.slice + 1, slice - SLICES + 1);
      for (let one = first; one <= slice; one++) {
        const at = one % SLICES;
        this.requestSum -= this.requests[at] as number;
        this.retrySum -= this.retries[at] as number;
        this.requests[at] = 0;
        this.retries[at] = 0;
      }
      this.slice = slice;
    }
    return this.slice % SLICES;
  }
}
