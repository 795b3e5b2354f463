/** Counts of the last so many ms, in so many parts: the oldest part is dropped as a whole. Sums are kept, never added up. */
export class RollingWindow {
  total = 0;
  failures = 0;
  slow = 0;
  private readonly partMs: number;
  private readonly parts: number;
  /** Three counts a part. */
  private readonly counts: Uint32Array;
  /** Number of the running part since the beginning of time, and when it ends. */
  private part = 0;
  private endsMs = 0;

  constructor(windowMs: number, parts: number) {
    this.partMs = windowMs / parts;
    this.parts = parts;
    this.counts = new Uint32Array(3 * parts);
  }

  add(nowMs: number, failed: boolean, slow: boolean): void {
    if (nowMs >= this.endsMs) this.turn(nowMs);
    const at = (this.part % this.parts) * 3;
    this.count(at);
    this.total++;
    if (failed) {
      this.count(at + 1);
      this.failures++;
    }
    if (slow) {
      this.count(at + 2);
      this.slow++;
    }
  }

  /** One that was added as good, and failed later. */
  addFailure(nowMs: number): void {
    if (nowMs >= this.endsMs) this.turn(nowMs);
    this.count((this.part % this.parts) * 3 + 1);
    this.failures++;
  }

  clear(): void {
    this.counts.fill(0);
    this.total = this.failures = this.slow = 0;
  }

  private count(at: number): void {
    this.counts[at] = (this.counts[at] as number) + 1;
  }

  /** To the part of `nowMs`; what has fallen out of the window is taken off. */
  private turn(nowMs: number): void {
    const part = Math.floor(nowMs / this.partMs);
    if (part - this.part >= this.parts) this.clear();
    else {
      for (let old = this.part + 1; old <= part; old++) {
        const at = (old % this.parts) * 3;
        this.total -= this.counts[at] as number;
        this.failures -= this.counts[at + 1] as number;
        this.slow -= this.counts[at + 2] as number;
        this.counts.fill(0, at, at + 3);
      }
    }
    this.part = part;
    this.endsMs = (part + 1) * this.partMs;
  }
}
