/** A backend as the data plane holds it: its endpoints' pools and the balancer over them. Lives through generations and is updated in place. */
import type { Exchange } from '../pipeline/exchange.ts';
import { type BackendView, endpointName } from '../snapshot/backend/view.ts';
import type { BackendResource, Endpoint, EndpointsResource } from '../snapshot/resources.ts';
import type { Balancer } from './balance/balancer.ts';
import { createBalancer } from './balance/create.ts';
import { EndpointPool, type PoolDependencies } from './endpoint-pool.ts';
import type { ForwardCode } from './seam.ts';
import { select } from './selection.ts';
import { EJECTED, type Gate, OPEN, UNHEALTHY } from './watcher.ts';

export interface UpstreamDependencies extends PoolDependencies {
  /** From 0 to below 1; default Math.random. */
  readonly random?: () => number;
  /** The data plane's own; default: not known. */
  readonly zone?: string;
}

export interface UpstreamStats {
  readonly endpoints: number;
  readonly connections: number;
  /** Exchanges at the endpoints, waiting ones included. */
  readonly active: number;
  readonly pending: number;
}

export interface EndpointState {
  /** `address:port` */
  readonly name: string;
  readonly weight: number;
  readonly active: number;
  readonly connections: number;
  /** Why it gets no requests; empty: it gets some. */
  readonly blocked: readonly ('unhealthy' | 'ejected' | 'open')[];
}

/** Why `pick` had none. */
export interface NoPick {
  readonly code: ForwardCode;
  /** 0: unknown. */
  readonly retryAfterS: number;
}

const NO_ENDPOINT: NoPick = { code: 'no-endpoint', retryAfterS: 0 };

export interface Upstream {
  /** Id of the backend resource. */
  readonly id: string;
  /** `<namespace>/<name>`: what `exchange.backend` gets. */
  readonly name: string;
  /** Number of endpoints to choose from. */
  readonly size: number;
  /**
   * The endpoint for the next attempt, none of `tried`; null where there is none, and `refusal` says why. The attempt has begun at it:
   * `pool.leave` must follow.
   */
  pick(exchange: Exchange, tried: readonly EndpointPool[] | null): EndpointPool | null;
  readonly refusal: NoPick;
  /** Takes over new settings and endpoints. Pools of endpoints that stay are kept; those of others finish what they have and close. */
  update(backend: BackendResource, endpoints: EndpointsResource): void;
  /** What the data plane has found out by itself. */
  view(view: BackendView): void;
  /** Idle connections close now, busy ones when their exchange ends. */
  close(): void;
  readonly stats: UpstreamStats;
  states(): EndpointState[];
}

export function createUpstream(
  backend: BackendResource,
  endpoints: EndpointsResource,
  deps: UpstreamDependencies,
): Upstream {
  const random = deps.random ?? Math.random;
  const zone = deps.zone ?? '';
  let settings = backend;
  let sent: readonly Endpoint[] = endpoints.endpoints;
  let allowLocal = endpoints.names?.allowLocal === true;
  let seen: BackendView | null = null;
  let pools: EndpointPool[] = [];
  /** Left the list, and still have attempts. */
  let leaving: EndpointPool[] = [];
  /** Of the whole backend, in the order they are asked. */
  const gates: readonly Gate[] = [];
  let chosen: readonly EndpointPool[] = [];
  let balancer: Balancer = createBalancer(backend.balancing, [], random);
  /** Something the choice rests on has changed. */
  let stale = true;
  let refusal = NO_ENDPOINT;
  const outdate = (): void => {
    stale = true;
  };

  function rebuild(): void {
    const known = new Map(pools.map((pool) => [pool.name, pool]));
    const unhealthy = new Set(seen?.unhealthy);
    pools = (seen?.endpoints ?? sent).map((endpoint) => {
      const name = endpointName(endpoint);
      const pool = known.get(name) ?? create(endpoint);
      known.delete(name);
      pool.endpoint = endpoint;
      pool.weight = endpoint.weight;
      pool.configure(settings);
      pool.allowLocal(allowLocal);
      pool.block(UNHEALTHY, unhealthy.has(name));
      return pool;
    });
    retire([...known.values()]);
    stale = true;
  }

  function create(endpoint: Endpoint): EndpointPool {
    const pool = new EndpointPool(endpoint, settings, deps);
    pool.onBlocked = outdate;
    return pool;
  }

  function retire(gone: EndpointPool[]): void {
    for (const pool of gone) {
      pool.drain();
      for (const watcher of pool.watchers) watcher.close?.();
    }
    leaving = leaving.concat(gone).filter((pool) => pool.connections > 0);
  }

  function balance(): void {
    stale = false;
    chosen = select(pools, { balancing: settings.balancing, health: settings.health, zone });
    balancer = createBalancer(settings.balancing, chosen, random);
  }

  function pick(_exchange: Exchange, tried: readonly EndpointPool[] | null): EndpointPool | null {
    if (stale) balance();
    for (let i = 0; i < gates.length; i++) {
      const gate = gates[i] as Gate;
      if (gate.admits()) continue;
      refusal = gate;
      withdraw(gates, i);
      return null;
    }
    const index = balancer.pick(0);
    const first = index < 0 ? null : (chosen[index] as EndpointPool);
    if (first !== null && (tried === null || !tried.includes(first)) && admitted(first)) return entered(first);
    refusal = NO_ENDPOINT;
    for (const pool of chosen) {
      if (pool !== first && tried?.includes(pool) !== true && admitted(pool)) return entered(pool);
    }
    withdraw(gates, gates.length);
    return null;
  }

  function entered(pool: EndpointPool): EndpointPool {
    pool.enter();
    return pool;
  }

  function admitted({ gates: own }: EndpointPool): boolean {
    for (let i = 0; i < own.length; i++) {
      const gate = own[i] as Gate;
      if (gate.admits()) continue;
      refusal = gate;
      withdraw(own, i);
      return false;
    }
    return true;
  }

  rebuild();
  return {
    id: backend.id,
    name: backend.id.slice(backend.id.indexOf('/') + 1),
    get size() {
      return pools.length;
    },
    pick,
    get refusal() {
      return refusal;
    },
    update: (next, list) => {
      settings = next;
      sent = list.endpoints;
      allowLocal = list.names?.allowLocal === true;
      rebuild();
    },
    view: (view) => {
      seen = view;
      rebuild();
    },
    close: () => {
      retire(pools);
      pools = [];
      stale = true;
      for (const gate of gates) gate.close?.();
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
    states: () => pools.map(stateOf),
  };
}

/** Gives back the places of the first `count`. */
function withdraw(gates: readonly Gate[], count: number): void {
  for (let i = 0; i < count; i++) (gates[i] as Gate).withdraw();
}

function stateOf({ name, weight, active, connections, blocked }: EndpointPool): EndpointState {
  const reasons: EndpointState['blocked'][number][] = [];
  if ((blocked & UNHEALTHY) !== 0) reasons.push('unhealthy');
  if ((blocked & EJECTED) !== 0) reasons.push('ejected');
  if ((blocked & OPEN) !== 0) reasons.push('open');
  return { name, weight, active, connections, blocked: reasons };
}
