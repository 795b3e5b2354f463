/** What a rule retries, in the form in which requests ask for it. */
import type { RetrySettings } from '../../snapshot/retry.ts';
import type { BackoffSettings } from './backoff.ts';
import type { BudgetSettings } from './budget.ts';

export type RetryReason = 'connect' | 'reset' | 'timeout' | 'status' | 'grpcUnavailable';

export interface RetryOptions {
  /** Retries after the first try. */
  readonly attempts: number;
  /** ms from the choice of an endpoint, or from the end of the upload, until the response head; 0 is off. */
  readonly perTryTimeoutMs: number;
  readonly on: { readonly [R in RetryReason]: boolean };
  readonly statuses: ReadonlySet<number>;
  /** Connect failures are retried for any method. */
  readonly methods: ReadonlySet<string>;
  readonly budget: BudgetSettings;
  readonly backoff: BackoffSettings;
  readonly maxRetryAfterMs: number;
  /** Largest request body that is kept for a repeat. */
  readonly bodyBytes: number;
  readonly hedge: { readonly afterMs: number; readonly max: number } | null;
  /** Attempts are timed: there is a per-try time-out, or hedging. */
  readonly timed: boolean;
}

export function retryOptions(settings: RetrySettings): RetryOptions {
  const { on, perTryTimeoutMs = 0, hedge = null } = settings;
  return {
    ...settings,
    perTryTimeoutMs,
    hedge,
    on: {
      connect: on.includes('connect'),
      reset: on.includes('reset'),
      timeout: on.includes('timeout'),
      status: on.includes('status'),
      grpcUnavailable: on.includes('grpcUnavailable'),
    },
    statuses: new Set(on.includes('status') ? settings.statuses : []),
    methods: new Set(settings.methods),
    timed: perTryTimeoutMs > 0 || hedge !== null,
  };
}
