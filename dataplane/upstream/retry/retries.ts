/**
 * The retries of one exchange: how many there were, whether there is another, and when. Made with the first thing that needs it: a failure, or
 * an attempt that is timed.
 */
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import { soonest, until } from '../delays.ts';
import { backoffMs } from './backoff.ts';
import type { Hedge } from './hedge.ts';
import type { RetryOptions, RetryReason } from './options.ts';
import type { RetryResult, SharedRetries } from './shared.ts';

/** Endpoints asked for a connection at least, whatever `attempts`: as many as without a policy. */
export const MIN_CONNECT_TRIES = 3;

/** Whose attempts are retried. */
export interface Retrier {
  /** The back-off is over. */
  onRetry(): void;
  /** The attempt had no head in its time. */
  onTryTimeout(): void;
  /** Time for one more attempt beside. */
  onHedge(): void;
}

export class Retries implements TimerOwner {
  /** Attempts that run beside the exchange's own. */
  hedges: Hedge[] = [];
  private readonly options: RetryOptions;
  private readonly shared: SharedRetries;
  private readonly retrier: Retrier;
  private readonly timer = new Timer(this);
  private used = 0;
  private hedged = 0;
  /** Of the retry that runs. */
  private reason: RetryReason | null = null;
  private waiting = false;
  private tryEndsAtMs = 0;
  private hedgeAtMs = 0;

  constructor(options: RetryOptions, shared: SharedRetries, retrier: Retrier) {
    this.options = options;
    this.shared = shared;
    this.retrier = retrier;
  }

  /** An attempt begins. `hedgeable`: another one may run beside it. */
  begin(hedgeable: boolean): void {
    const { perTryTimeoutMs, hedge } = this.options;
    const nowMs = this.shared.wheel.now();
    this.tryEndsAtMs = perTryTimeoutMs === 0 ? 0 : nowMs + perTryTimeoutMs;
    this.hedgeAtMs = hedgeable && hedge !== null && this.hedged < hedge.max ? nowMs + hedge.afterMs : 0;
    this.arm(nowMs);
  }

  /** The client's body is on its way: how long that takes is not the endpoint's doing. */
  uploading(): void {
    this.tryEndsAtMs = 0;
    this.arm(this.shared.wheel.now());
  }

  uploaded(): void {
    const { perTryTimeoutMs } = this.options;
    if (perTryTimeoutMs === 0) return;
    const nowMs = this.shared.wheel.now();
    this.tryEndsAtMs = nowMs + perTryTimeoutMs;
    this.arm(nowMs);
  }

  /** The running attempt is over, or its head is there. */
  end(result: RetryResult): void {
    this.tryEndsAtMs = 0;
    this.hedgeAtMs = 0;
    this.waiting = false;
    this.shared.wheel.drop(this.timer);
    if (this.reason !== null) this.shared.count(this.reason, result);
    this.reason = null;
  }

  /**
   * Another endpoint at once, after a connect failure: nothing was sent, so that it adds nothing to what the backend has to bear,
   * and needs no budget.
   */
  redirects(): boolean {
    const { attempts, on } = this.options;
    return on.connect && attempts > 0 && this.used < Math.max(attempts, MIN_CONNECT_TRIES - 1);
  }

  redirected(): void {
    this.used++;
    this.reason = 'connect';
  }

  /**
   * ms to wait before one more attempt; -1: there is none. `retryAfterMs` as the response asked, below 0: it did not. `untilMs`: when the
   * exchange has to be over, 0 is never.
   */
  grant(reason: RetryReason, repeatable: boolean, retryAfterMs: number, untilMs: number): number {
    const { options, shared } = this;
    if (!options.on[reason] || this.used >= options.attempts || (reason !== 'connect' && !repeatable)) return -1;
    if (retryAfterMs > options.maxRetryAfterMs) return -1;
    const delayMs = Math.max(retryAfterMs, backoffMs(this.used + 1, options.backoff, shared.random));
    const nowMs = shared.wheel.now();
    if (untilMs > 0 && nowMs + delayMs >= untilMs) return -1;
    if (!shared.budget.take(nowMs, options.budget)) {
      shared.countExhausted();
      return -1;
    }
    this.used++;
    this.reason = reason;
    return delayMs;
  }

  wait(delayMs: number): void {
    this.waiting = true;
    this.shared.wheel.arm(this.timer, Math.max(1, delayMs));
  }

  /** Whether the budget has room for one beside. */
  grantHedge(): boolean {
    this.hedged++;
    if (this.shared.budget.take(this.shared.wheel.now(), this.options.budget)) return true;
    this.shared.countExhausted();
    return false;
  }

  /** One of those beside is over. */
  endHedge(hedge: Hedge, result: RetryResult): void {
    this.hedges = this.hedges.filter((one) => one !== hedge);
    this.shared.count('hedge', result);
  }

  closeHedges(): void {
    const { hedges } = this;
    if (hedges.length === 0) return;
    this.hedges = [];
    for (const hedge of hedges) {
      hedge.close();
      this.shared.count('hedge', 'abandoned');
    }
  }

  onTimeout(): void {
    const nowMs = this.shared.wheel.now();
    if (this.waiting) {
      this.waiting = false;
      this.retrier.onRetry();
    } else if (this.tryEndsAtMs > 0 && nowMs >= this.tryEndsAtMs) {
      this.tryEndsAtMs = 0;
      this.retrier.onTryTimeout();
    } else if (this.hedgeAtMs > 0 && nowMs >= this.hedgeAtMs) {
      const { hedge } = this.options;
      const more = hedge !== null && this.hedged + 1 < hedge.max;
      this.hedgeAtMs = more ? nowMs + hedge.afterMs : 0;
      this.arm(nowMs);
      this.retrier.onHedge();
    } else this.arm(nowMs);
  }

  private arm(nowMs: number): void {
    const delayMs = soonest(until(this.tryEndsAtMs, nowMs), until(this.hedgeAtMs, nowMs));
    if (delayMs > 0) this.shared.wheel.arm(this.timer, delayMs);
    else this.shared.wheel.disarm(this.timer);
  }
}
