/** Log lines about endpoints, bounded: a backend that flaps must not fill the log. */
import type { Log, LogFields } from '../log.ts';

/** Lines of one backend … */
const MAX_LINES = 20;
/** … in this time. */
const PERIOD_MS = 60_000;

export class Notices {
  private readonly log: Log | undefined;
  private readonly now: () => number;
  private sinceMs = Number.NEGATIVE_INFINITY;
  private lines = 0;
  private withheld = 0;

  constructor(log: Log | undefined, now: () => number) {
    this.log = log;
    this.now = now;
  }

  /** The first line after some that were withheld says how many. */
  write(fields: LogFields, message: string): void {
    if (this.log === undefined) return;
    const nowMs = this.now();
    if (nowMs - this.sinceMs >= PERIOD_MS) {
      this.sinceMs = nowMs;
      this.lines = 0;
    }
    if (this.lines >= MAX_LINES) {
      this.withheld++;
      return;
    }
    this.lines++;
    this.log.warn(this.withheld === 0 ? fields : { ...fields, withheld: this.withheld }, message);
    this.withheld = 0;
  }
}
