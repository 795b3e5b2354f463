/** What a client may ask of a session beyond requests, by leaky bucket: a burst, and so many a second. */
export class Budget {
  private readonly burst: number;
  private readonly perMs: number;
  private used = 0;
  private sinceMs = 0;

  constructor(burst: number, perSecond: number) {
    this.burst = burst;
    this.perMs = perSecond / 1000;
  }

  /** One more; false: too many. */
  take(nowMs: number): boolean {
    this.used = Math.max(0, this.used - (nowMs - this.sinceMs) * this.perMs) + 1;
    this.sinceMs = nowMs;
    return this.used <= this.burst;
  }
}
