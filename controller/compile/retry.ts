/** Retries as the data plane runs them: with every figure said. */
import type { RetrySettings } from '@tidegate/dataplane/snapshot/retry';
import { durationMs } from '../api/duration.ts';
import type { RetrySpec } from '../api/v1alpha1/retry.ts';

const STATUSES = [502, 503, 504];
/** RFC 9110 section 9.2.2, without TRACE. */
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'];

export function compileRetry(spec: RetrySpec): RetrySettings {
  const { attempts = 1, budget = {}, backoff = {}, bodyBytes = 65_536, hedge, maxRetryAfter, perTryTimeout } = spec;
  const on = spec.retryOn ?? [
    'connect',
    'reset',
    ...(perTryTimeout === undefined ? [] : (['timeout'] as const)),
    ...(spec.statuses === undefined ? [] : (['status'] as const)),
  ];
  const baseMs = backoff.base === undefined ? 25 : durationMs(backoff.base);
  const maxMs = backoff.max === undefined ? Math.max(250, baseMs) : durationMs(backoff.max);
  return {
    attempts,
    ...(perTryTimeout === undefined ? {} : { perTryTimeoutMs: durationMs(perTryTimeout) }),
    on: [...on],
    statuses: on.includes('status') ? [...(spec.statuses ?? STATUSES)].sort((a, b) => a - b) : [],
    methods: [...(spec.methods ?? METHODS)],
    budget: { percent: budget.percent ?? 20, minPerSecond: budget.minPerSecond ?? 3 },
    backoff: { baseMs: Math.min(baseMs, maxMs), maxMs },
    maxRetryAfterMs: maxRetryAfter === undefined ? 1000 : durationMs(maxRetryAfter),
    bodyBytes,
    ...(hedge === undefined ? {} : { hedge: { afterMs: durationMs(hedge.after), max: hedge.max ?? 1 } }),
  };
}
