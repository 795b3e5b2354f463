/**
 * A circuit breaker with opossum's states, options and events, without its promise, timers and emitter a call: closed lets everything
 * through and counts, open refuses, half open lets a few probes through. Pure: time comes with what it is told.
 *
 * Differs from opossum: thresholds are reached at, not above, their share (100 % would never open); probes are as many as
 * `halfOpenRequests` and all must succeed; the window begins anew when it closes; consecutive failures and slow calls open it too.
 */
import type { Circuit as CircuitSettings } from '../../snapshot/backend/breaker.ts';
import { type Attempt, type AttemptFailure, BAD, GOOD, UNDECIDED } from '../watcher.ts';
import { RollingWindow } from './rolling-window.ts';

export type CircuitState = 'closed' | 'open' | 'halfOpen';

/**
 * An attempt fails with a 5xx or without a whole response; one that neither was answered nor failed (the client left) counts for
 * nothing and gives its probe's place back. What was chosen before the last opening counts for nothing either: it says nothing of now.
 */
export class Circuit {
  state: CircuitState = 'closed';
  private readonly settings: CircuitSettings;
  private readonly onState: (state: CircuitState) => void;
  private readonly slowMs: number;
  private readonly window: RollingWindow;
  private openedAtMs = Number.NEGATIVE_INFINITY;
  /** Failures one after the other. */
  private consecutive = 0;
  /** Probes on their way. */
  private probing = 0;
  /** Probes that succeeded. */
  private succeeded = 0;

  /** `onState` is called after each change. */
  constructor(settings: CircuitSettings, onState: (state: CircuitState) => void) {
    this.settings = settings;
    this.onState = onState;
    const { slowCallDurationMs, slowCallThresholdPercentage } = settings;
    this.slowMs =
      slowCallThresholdPercentage === undefined
        ? Number.POSITIVE_INFINITY
        : (slowCallDurationMs ?? Number.POSITIVE_INFINITY);
    this.window = new RollingWindow(settings.rollingCountTimeoutMs, settings.rollingCountBuckets);
  }

  /** Whether an attempt may begin now. True takes a place of a probe where half open. */
  admits(nowMs: number): boolean {
    if (this.state === 'closed') return true;
    this.elapse(nowMs);
    if (this.state === 'open' || this.probing + this.succeeded >= this.settings.halfOpenRequests) return false;
    this.probing++;
    return true;
  }

  /** Gives the place of an `admits` back after which nothing began. */
  withdraw(): void {
    if (this.state === 'halfOpen') this.probing--;
  }

  /** Open becomes half open when its time has come. */
  elapse(nowMs: number): void {
    if (this.state !== 'open' || nowMs - this.openedAtMs < this.settings.resetTimeoutMs) return;
    this.probing = 0;
    this.succeeded = 0;
    this.enter('halfOpen');
  }

  /** ms until another try is worth it; 0 where it would be let through now or is up to the probes. */
  remainingMs(nowMs: number): number {
    return this.state === 'open' ? Math.max(0, this.openedAtMs + this.settings.resetTimeoutMs - nowMs) : 0;
  }

  answered(status: number, latencyMs: number, attempt: Attempt): void {
    if (attempt.chosenAtMs <= this.openedAtMs) return;
    const failed = status >= 500;
    const slow = latencyMs > this.slowMs;
    const nowMs = attempt.chosenAtMs + latencyMs;
    if (this.state === 'closed') {
      this.window.add(nowMs, failed, slow);
      if (failed) this.consecutive++;
      if (failed || slow) this.judge(nowMs);
    } else if (this.state === 'halfOpen') {
      this.probing--;
      if (failed || slow) this.open(nowMs);
      else if (++this.succeeded >= this.settings.halfOpenRequests) this.close();
    }
  }

  failed(_failure: AttemptFailure, attempt: Attempt, nowMs: number): void {
    if (attempt.chosenAtMs <= this.openedAtMs || attempt.verdict === BAD) return;
    if (this.state === 'closed') {
      if (attempt.verdict === UNDECIDED) this.window.add(nowMs, true, nowMs - attempt.chosenAtMs > this.slowMs);
      else this.window.addFailure(nowMs);
      this.consecutive++;
      this.judge(nowMs);
    } else if (this.state === 'halfOpen') this.open(nowMs);
  }

  left(attempt: Attempt): void {
    if (attempt.chosenAtMs <= this.openedAtMs) return;
    if (attempt.verdict === GOOD) this.consecutive = 0;
    else if (attempt.verdict === UNDECIDED && this.state === 'halfOpen') this.probing--;
  }

  private judge(nowMs: number): void {
    const { settings, window } = this;
    const { consecutiveFailures, slowCallThresholdPercentage: slowShare } = settings;
    const { total, failures, slow } = window;
    if (
      (consecutiveFailures !== undefined && this.consecutive >= consecutiveFailures) ||
      (total >= settings.volumeThreshold &&
        (failures * 100 >= settings.errorThresholdPercentage * total ||
          (slowShare !== undefined && slow * 100 >= slowShare * total)))
    ) {
      this.open(nowMs);
    }
  }

  private open(nowMs: number): void {
    this.openedAtMs = nowMs;
    this.enter('open');
  }

  private close(): void {
    this.consecutive = 0;
    this.window.clear();
    this.enter('closed');
  }

  private enter(state: CircuitState): void {
    this.state = state;
    this.onState(state);
  }
}
