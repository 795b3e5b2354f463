/** Which of a backend's endpoints are balanced over, and with what weights. Pure; run anew when something of it changes, never for a request. */
import type { Balancing } from '../snapshot/backend/balancing.ts';
import type { Health } from '../snapshot/backend/health.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { tierShares } from './tiers.ts';
import { EJECTED, OPEN, UNHEALTHY } from './watcher.ts';
import { zoneFactors } from './zones.ts';

export interface SelectionSettings {
  readonly balancing: Balancing;
  readonly health: Health | undefined;
  /** The data plane's own; empty: not known. */
  readonly zone: string;
  /** How much of its weight an endpoint has by now (slow start): above 0, up to 1. */
  readonly risen: (pool: EndpointPool) => number;
}

export interface Selection {
  /** Empty: no endpoint may get a request now. */
  readonly pools: readonly EndpointPool[];
  /** Above 0, one a pool. Those of the first priority that serves, in the own zone, are whole: shares of others are relative to them. */
  readonly weights: readonly number[];
  /** They serve, and have no share now: for an attempt after which none of `pools` is left. By priority. */
  readonly spare: readonly EndpointPool[];
  /** Too few are healthy: health is not looked at. */
  readonly panic: boolean;
}

export function select(pools: readonly EndpointPool[], settings: SelectionSettings): Selection {
  const panic = panics(pools, settings.health?.panicPercent ?? 0);
  const counts = panic ? OPEN : UNHEALTHY | EJECTED | OPEN;
  const serves = (pool: EndpointPool): boolean => (pool.blocked & counts) === 0;
  const tiers = byPriority(pools);
  const weighted = new Map<EndpointPool, number>();
  // In panic zones say nothing either: the more share the load, the better.
  const zone = settings.balancing.preferZone === true && !panic ? settings.zone : '';
  const shares = tierShares(
    tiers.map((tier) => ({ all: sumOf(tier, weightOf), serving: sumOf(tier.filter(serves), weightOf) })),
  );
  let unit = 0;
  tiers.forEach((tier, i) => {
    const share = shares[i] as number;
    if (share === 0) return;
    const factors =
      zone === ''
        ? null
        : zoneFactors(
            tier.map((pool) => zoned(pool, serves(pool))),
            zone,
          );
    const own = tier.map((pool, at) => (serves(pool) ? pool.weight * settings.risen(pool) * (factors?.[at] ?? 1) : 0));
    const sum = own.reduce((total, weight) => total + weight, 0);
    // What one of weight 1 in the first tier that serves has of all requests.
    if (unit === 0) unit = share / sum;
    const scale = share / sum / unit;
    tier.forEach((pool, at) => {
      if ((own[at] as number) > 0) weighted.set(pool, (own[at] as number) * scale);
    });
  });
  // In the order of the list, which is that of the addresses whatever their priority: consistent hashes depend on it.
  const chosen = pools.filter((pool) => weighted.has(pool));
  return {
    pools: chosen,
    weights: chosen.map((pool) => weighted.get(pool) as number),
    spare: tiers.flat().filter((pool) => serves(pool) && !weighted.has(pool)),
    panic,
  };
}

/** Health and ejection alone count here: an open breaker stays open whatever the others do. */
function panics(pools: readonly EndpointPool[], panicPercent: number): boolean {
  const healthy = sumOf(pools, ({ blocked }) => ((blocked & (UNHEALTHY | EJECTED)) === 0 ? 1 : 0));
  return healthy * 100 < pools.length * panicPercent;
}

function byPriority(pools: readonly EndpointPool[]): EndpointPool[][] {
  const tiers: EndpointPool[][] = [];
  for (const pool of pools) {
    const { priority = 0 } = pool.endpoint;
    tiers[priority] ??= [];
    tiers[priority].push(pool);
  }
  return tiers.filter((tier) => tier !== undefined);
}

function zoned({ endpoint, weight }: EndpointPool, serves: boolean): Parameters<typeof zoneFactors>[0][number] {
  return { zone: endpoint.zone, forZones: endpoint.forZones, weight, serves };
}

const weightOf = ({ weight }: EndpointPool): number => weight;

function sumOf(pools: readonly EndpointPool[], of: (pool: EndpointPool) => number): number {
  return pools.reduce((sum, pool) => sum + of(pool), 0);
}
