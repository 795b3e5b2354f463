/** Which of a backend's endpoints are to be balanced over. Pure; run anew when something of it changes, never for a request. */
import type { Balancing } from '../snapshot/backend/balancing.ts';
import type { Health } from '../snapshot/backend/health.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { OPEN } from './watcher.ts';

export interface SelectionSettings {
  readonly balancing: Balancing;
  readonly health: Health | undefined;
  /** The data plane's own; empty: not known. */
  readonly zone: string;
}

/** Empty: no endpoint may get a request now. */
export function select(pools: readonly EndpointPool[], _settings: SelectionSettings): readonly EndpointPool[] {
  const serving = pools.filter((pool) => pool.blocked === 0);
  if (serving.length > 0) return serving;
  // Where none is healthy, health says nothing any more. An open breaker stays open.
  return pools.filter((pool) => (pool.blocked & OPEN) === 0);
}
