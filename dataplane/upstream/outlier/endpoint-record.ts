/** What outlier detection knows of one endpoint: watches its attempts, and tells the detector when there are too many errors in a row. */
import { type Attempt, type AttemptFailure, BAD, GOOD, UNDECIDED, type Watcher } from '../watcher.ts';
import type { OutlierDetector } from './detector.ts';
import type { Seen } from './judge.ts';

export class EndpointRecord implements Watcher {
  readonly name: string;
  /** Of the running interval. */
  readonly seen: { -readonly [K in keyof Seen]: Seen[K] } = { requests: 0, good: 0, answered: 0, latencySumMs: 0 };
  /** In a row; intervals without one take them off again. */
  ejections = 0;
  ejected = false;
  /** When the ejection ends. */
  untilMs = 0;
  /** Attempts chosen before it say nothing of the endpoint as it is now. */
  readmittedAtMs = Number.NEGATIVE_INFINITY;
  gone = false;
  private readonly detector: OutlierDetector;
  private readonly block: (ejected: boolean) => void;
  private errors = 0;
  private connectErrors = 0;

  /** `block` takes the endpoint out of the choice, or puts it back. */
  constructor(name: string, detector: OutlierDetector, block: (ejected: boolean) => void) {
    this.name = name;
    this.detector = detector;
    this.block = block;
  }

  answered(status: number, latencyMs: number, attempt: Attempt): void {
    if (this.ejected || attempt.chosenAtMs < this.readmittedAtMs) return;
    const { seen, detector } = this;
    this.connectErrors = 0;
    seen.requests++;
    seen.answered++;
    seen.latencySumMs += latencyMs;
    if (!detector.running) detector.touch();
    if (status < 500) seen.good++;
    else this.error();
  }

  failed(failure: AttemptFailure, attempt: Attempt): void {
    if (this.ejected || attempt.chosenAtMs < this.readmittedAtMs || attempt.verdict === BAD) return;
    const { seen, detector } = this;
    if (attempt.verdict === UNDECIDED) seen.requests++;
    else if (seen.good > 0) seen.good--;
    if (!detector.running) detector.touch();
    if (failure === 'connect' || failure === 'connect-timeout') {
      const { consecutiveConnectErrors } = detector.settings;
      if (++this.connectErrors === consecutiveConnectErrors) {
        this.connectErrors = 0;
        detector.eject(this, 'consecutiveConnectErrors');
      }
    } else this.connectErrors = 0;
    this.error();
  }

  left(attempt: Attempt): void {
    if (attempt.verdict === GOOD && attempt.chosenAtMs >= this.readmittedAtMs) this.errors = 0;
  }

  close(): void {
    this.detector.forget(this);
  }

  eject(untilMs: number): void {
    this.ejected = true;
    this.untilMs = untilMs;
    this.block(true);
  }

  readmit(nowMs: number): void {
    this.ejected = false;
    this.readmittedAtMs = nowMs;
    this.errors = 0;
    this.connectErrors = 0;
    this.restart();
    this.block(false);
  }

  /** Begins the next interval. */
  restart(): void {
    const { seen } = this;
    seen.requests = seen.good = seen.answered = seen.latencySumMs = 0;
  }

  private error(): void {
    if (this.ejected || ++this.errors !== this.detector.settings.consecutiveErrors) return;
    this.errors = 0;
    this.detector.eject(this, 'consecutiveErrors');
  }
}
