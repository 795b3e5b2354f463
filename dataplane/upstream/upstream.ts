/** A backend as the data plane holds it: its endpoints' pools and the balancer over them. Lives through generations and is updated in place. */
import type { BackendResource, EndpointsResource } from '../snapshot/resources.ts';
import type { Balancer } from './balance/balancer.ts';
import { createLeastRequest } from './balance/least-request.ts';
import { createRoundRobin } from './balance/round-robin.ts';
import { EndpointPool, endpointName, type PoolDependencies } from './endpoint-pool.ts';

export interface UpstreamDependencies extends PoolDependencies {
  /** From 0 to below 1; default Math.random. */
  readonly random?: () => number;
}

export interface UpstreamStats {
  readonly endpoints: number;
  readonly connections: number;
  /** Exchanges at the endpoints, waiting ones included. */
  readonly active: number;
  readonly pending: number;
}

export interface Upstream {
  /** Id of the backend resource. */
  readonly id: string;
  /** `<namespace>/<name>`: what `exchange.backend` gets. */
  readonly name: string;
  /** Number of endpoints to choose from. */
  readonly size: number;
  /** The endpoint for the next exchange, none of `tried`; null where there is none left. */
  pick(tried: readonly EndpointPool[] | null): EndpointPool | null;
  /** Takes over new settings and endpoints. Pools of endpoints that stay are kept; those of others finish what they have and close. */
  update(backend: BackendResource, endpoints: EndpointsResource): void;
  /** Idle connections close now, busy ones when their exchange ends. */
  close(): void;
  readonly stats: UpstreamStats;
}

export function createUpstream(
  backend: BackendResource,
  endpoints: EndpointsResource,
  deps: UpstreamDependencies,
): Upstream {
  const random = deps.random ?? Math.random;
  let pools: EndpointPool[] = [];
  /** Left the list, and still have exchanges. */
  let leaving: EndpointPool[] = [];
  let balancer: Balancer = createRoundRobin([]);

  function update(next: BackendResource, list: EndpointsResource): void {
    const known = new Map(pools.map((pool) => [pool.name, pool]));
    pools = list.endpoints.map((endpoint) => {
      const name = endpointName(endpoint);
      const pool = known.get(name);
      if (pool === undefined) return new EndpointPool(endpoint, next, deps);
      known.delete(name);
      pool.weight = endpoint.weight;
      pool.configure(next);
      return pool;
    });
    retire([...known.values()]);
    balancer =
      next.balancing.algorithm === 'leastRequest'
        ? createLeastRequest(pools, random)
        : createRoundRobin(pools, Math.floor(random() * 1_000_000));
  }

  function retire(gone: EndpointPool[]): void {
    for (const pool of gone) pool.drain();
    leaving = leaving.concat(gone).filter((pool) => pool.connections > 0);
  }

  function pick(tried: readonly EndpointPool[] | null): EndpointPool | null {
    const index = balancer.pick();
    if (index < 0) return null;
    const pool = pools[index] as EndpointPool;
    if (tried === null || !tried.includes(pool)) return pool;
    return pools.find((other) => !tried.includes(other)) ?? null;
  }

  update(backend, endpoints);
  return {
    id: backend.id,
    name: backend.id.slice(backend.id.indexOf('/') + 1),
    get size() {
      return pools.length;
    },
    pick,
    update,
    close: () => {
      retire(pools);
      pools = [];
      balancer = createRoundRobin([]);
    },
    get stats() {
      const all = pools.concat(leaving);
      const sum = (of: (pool: EndpointPool) => number): number => all.reduce((total, pool) => total + of(pool), 0);
      return {
        endpoints: pools.length,
        connections: sum((pool) => pool.connections),
        active: sum((pool) => pool.active),
        pending: sum((pool) => pool.pending),
      };
    },
  };
}
