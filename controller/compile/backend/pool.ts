import type { PoolSettings } from '@tidegate/dataplane/snapshot/backend/pool';
import { durationMs } from '../../api/duration.ts';
import type { PoolSpec } from '../../api/v1alpha1/backend/pool.ts';

const DEFAULT_MAX_CONNECTIONS = 512;
const DEFAULT_MAX_PENDING = 1024;
const DEFAULT_IDLE_TIMEOUT_MS = 60_000;

export function compilePool(spec: PoolSpec | undefined): PoolSettings {
  return {
    maxConnections: spec?.maxConnections ?? DEFAULT_MAX_CONNECTIONS,
    maxPending: spec?.maxPending ?? DEFAULT_MAX_PENDING,
    idleTimeoutMs: spec?.idleTimeout === undefined ? DEFAULT_IDLE_TIMEOUT_MS : durationMs(spec.idleTimeout),
  };
}
