import type { PoolSettings } from '@tidegate/dataplane/snapshot/backend/pool';
import { durationMs } from '../../api/duration.ts';
import type { PoolSpec } from '../../api/v1alpha1/backend/pool.ts';

const DEFAULT_MAX_CONNECTIONS = 512;
const DEFAULT_MAX_PENDING = 1024;
const DEFAULT_IDLE_TIMEOUT_MS = 60_000;

const DEFAULT_MIN_LIMIT = 10;
const DEFAULT_MAX_LIMIT = 1000;
const DEFAULT_TOLERANCE_PERCENT = 150;

export function compilePool(spec: PoolSpec | undefined): PoolSettings {
  return {
    maxConnections: spec?.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    maxPending: spec?.maxPending ?? DEFAULT_MAX_PENDING,
    idleTimeoutMs: spec?.idleTimeout === undefined ? DEFAULT_IDLE_TIMEOUT_MS : durationMs(spec.idleTimeout),
    ...(spec?.pendingTimeout === undefined ? {} : { pendingTimeoutMs: durationMs(spec.pendingTimeout) }),
    ...(spec?.maxRequestsPerConnection === undefined
      ? {}
      : { maxRequestsPerConnection: spec.maxRequestsPerConnection }),
    ...(spec?.maxConnectionAge === undefined ? {} : { maxConnectionAgeMs: durationMs(spec.maxConnectionAge) }),
    ...(spec?.maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams: spec.maxConcurrentStreams }),
    ...(spec?.maxRequests === undefined ? {} : { maxRequests: spec.maxRequests }),
    ...(spec?.adaptive === undefined ? {} : { adaptive: compileAdaptive(spec.adaptive) }),
  };
}

function compileAdaptive({
  minLimit,
  maxLimit,
  tolerancePercent,
}: NonNullable<PoolSpec['adaptive']>): NonNullable<PoolSettings['adaptive']> {
  return {
    minLimit: minLimit ?? Math.min(DEFAULT_MIN_LIMIT, maxLimit ?? DEFAULT_MIN_LIMIT),
    maxLimit: maxLimit ?? Math.max(DEFAULT_MAX_LIMIT, minLimit ?? DEFAULT_MAX_LIMIT),
    tolerancePercent: tolerancePercent ?? DEFAULT_TOLERANCE_PERCENT,
  };
}
