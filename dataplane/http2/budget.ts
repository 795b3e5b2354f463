/** What the other side may ask of a connection beyond messages, by leaky bucket: a burst, and so many a second. */
export class Budget {
  private readonly burst: number;
  private readonly perMs: number;
  private used = 0;
  private sinceMs = 0;

  constructor(burst: number, perSecond: number) {
    this.burst = burst;
    this.perMs = perSecond / 1000;
  }

  /** One more; `earned`: what was done since that makes up for some of it. False: too many. */
  take(nowMs: number, earned = 0): boolean {
    this.used = Math.max(0, this.used - (nowMs - this.sinceMs) * this.perMs - earned) + 1;
    this.sinceMs = nowMs;
    return this.used <= this.burst;
  }
}
