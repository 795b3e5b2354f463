/** A backend as the data plane holds it: its endpoints' pools and the balancer over them. Lives through generations and is updated in place. */
import { isDeepStrictEqual } from 'node:util';
import type { TimerWheel } from '../io/wheel.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type BackendView, endpointName } from '../snapshot/backend/view.ts';
import type { BackendResource, Endpoint, EndpointsResource } from '../snapshot/resources.ts';
import { type LastHeard, LatencyMeter } from './balance/latency-meter.ts';
import { Choice, type NoPick, withdraw } from './choice.ts';
import { createDialer } from './dial/dialer.ts';
import { TlsFailures } from './dial/tls-failures.ts';
import { type Materials, NO_MATERIALS, sameMaterials } from './dial/tls-settings.ts';
import { EndpointPool, type PoolDependencies } from './endpoint-pool.ts';
import { type BackendGuardState, type EndpointGuardState, type GuardDependencies, Guards } from './guards.ts';
import { SharedRetries } from './retry/shared.ts';
import { EJECTED, type Gate, OPEN, UNHEALTHY } from './watcher.ts';

export interface UpstreamDependencies extends PoolDependencies, Pick<GuardDependencies, 'counter' | 'log'> {
  /** From 0 to below 1; default Math.random. */
  readonly random?: () => number;
  /** The data plane's own; default: not known. */
  readonly zone?: string;
  /** Times retries; default: the pools' own. */
  readonly fineWheel?: TimerWheel;
  /** ms since the epoch; default Date.now. */
  readonly epochMs?: () => number;
  /** Which endpoints are blocked, and why, may have changed. Cheap: called for each change. */
  readonly onBlocked?: () => void;
}

export interface UpstreamStats extends BackendGuardState {
  readonly endpoints: number;
  readonly connections: number;
  /** Exchanges at the endpoints, waiting ones included. */
  readonly active: number;
  readonly pending: number;
}

export interface EndpointState extends EndpointGuardState {
  /** `address:port` */
  readonly name: string;
  readonly weight: number;
  readonly active: number;
  readonly connections: number;
  /** The part of the backend's requests that it gets now, of 1: after priorities, zones, health and slow start. */
  readonly share: number;
  /** What peak EWMA takes its latency to be; 0: not known. Only there. */
  readonly latencyMs?: number;
  /** Why the last TLS handshake with it failed, such as `expired (CERT_HAS_EXPIRED)`; absent: it did not. */
  readonly tlsError?: string;
  /** Why it gets no requests; empty: it gets some. */
  readonly blocked: readonly ('unhealthy' | 'ejected' | 'open')[];
}

export interface Upstream {
  /** Id of the backend resource. */
  readonly id: string;
  /** `<namespace>/<name>`: what `exchange.backend` gets. */
  readonly name: string;
  /** Its endpoints speak gRPC. */
  readonly grpc: boolean;
  /** Number of endpoints to choose from. */
  readonly size: number;
  /**
   * The endpoint for the next attempt, none of `tried`; null where there is none, and `refusal` says why. The attempt has begun at it:
   * `pool.leave` must follow.
   */
  pick(exchange: Exchange, tried: readonly EndpointPool[] | null): EndpointPool | null;
  readonly refusal: NoPick;
  readonly retries: SharedRetries;
  /** The head of a response of `pool` is there, and not passed on yet: a sticky cookie is set. */
  answered(exchange: Exchange, pool: EndpointPool): void;
  /** Takes over new settings and endpoints. Pools of endpoints that stay are kept; those of others finish what they have and close. */
  update(backend: BackendResource, endpoints: EndpointsResource, materials?: Materials): void;
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
  materials: Materials = NO_MATERIALS,
): Upstream {
  let settings = backend;
  let sent: readonly Endpoint[] = endpoints.endpoints;
  let allowLocal = endpoints.names?.allowLocal === true;
  let seen: BackendView | null = null;
  let pools: EndpointPool[] = [];
  /** Left the list, and still have attempts. */
  let leaving: EndpointPool[] = [];
  const random = deps.random ?? Math.random;
  const guards = new Guards(backend.id.slice(backend.id.indexOf('/') + 1), { ...deps, random });
  const heard: LastHeard = { atMs: 0 };
  const choice = new Choice(backend, { ...deps, random, zone: deps.zone ?? '' });
  let refusal: NoPick = choice.refusal;

  function rebuild(): void {
    const known = new Map(pools.map((pool) => [pool.name, pool]));
    const unhealthy = new Set(seen?.unhealthy);
    const fresh: EndpointPool[] = [];
    pools = (seen?.endpoints ?? sent).map((endpoint) => {
      const name = endpointName(endpoint);
      const pool = known.get(name) ?? create(endpoint);
      if (!known.delete(name)) fresh.push(pool);
      pool.endpoint = endpoint;
      pool.weight = endpoint.weight;
      pool.configure(settings, dialer);
      pool.allowLocal(allowLocal);
      equip(pool);
      pool.block(UNHEALTHY, unhealthy.has(name));
      return pool;
    });
    guards.configure(settings, pools);
    const gone = [...known.values()];
    retire(gone);
    choice.configure(settings, pools, fresh);
    if (pools.length > 0) for (const pool of gone) pool.evict();
    deps.onBlocked?.();
  }

  function create(endpoint: Endpoint): EndpointPool {
    const pool = new EndpointPool(endpoint, settings, dialer, deps);
    pool.onBlocked = () => {
      choice.blocked(pool);
      deps.onBlocked?.();
      // Later: what blocks it may be in the middle of telling of an attempt.
      if (pool.blocked !== 0) queueMicrotask(() => moveOn(pool));
    };
    return pool;
  }

  /** Who waits for a connection to one that is blocked is served by others, where there are any: nothing was sent yet. */
  function moveOn(pool: EndpointPool): void {
    if (pool.blocked !== 0 && pools.some(({ blocked }) => blocked === 0)) pool.evict();
  }

  /** Who looks on at the attempts at an endpoint, as the settings have it. What is known stays. */
  function equip(pool: EndpointPool): void {
    const measured = settings.balancing.algorithm === 'peakEwma';
    if (measured === (pool.latency !== null)) return;
    if (pool.latency !== null) pool.unwatch(pool.latency);
    pool.latency = measured ? new LatencyMeter(deps.wheel.now, heard) : null;
    if (pool.latency !== null) pool.watch(pool.latency);
  }

  function retire(gone: EndpointPool[]): void {
    for (const pool of gone) {
      pool.drain();
      choice.gone(pool);
      guards.gone(pool);
    }
    leaving = leaving.concat(gone).filter((pool) => pool.connections > 0);
  }

  function pick(exchange: Exchange, tried: readonly EndpointPool[] | null): EndpointPool | null {
    const { gates } = guards;
    for (let i = 0; i < gates.length; i++) {
      const gate = gates[i] as Gate;
      if (gate.admits()) continue;
      refusal = gate;
      withdraw(gates, i);
      return null;
    }
    const pool = choice.pick(exchange, tried);
    if (pool === null) {
      refusal = choice.refusal;
      if (refusal.code === 'breaker-open') guards.allOpen();
      withdraw(gates, gates.length);
    }
    return pool;
  }

  const name = backend.id.slice(backend.id.indexOf('/') + 1);
  const retries = new SharedRetries(name, {
    wheel: deps.fineWheel ?? deps.wheel,
    random,
    epochMs: deps.epochMs ?? Date.now,
    counter: deps.counter ?? null,
  });

  let held = materials;
  const failures = new TlsFailures(name, { ...deps, now: deps.wheel.now });
  let dialer = createDialer(backend, materials, failures);

  rebuild();
  return {
    id: backend.id,
    name,
    retries,
    get grpc() {
      return settings.grpc === true;
    },
    get size() {
      return pools.length;
    },
    pick,
    get refusal() {
      return refusal;
    },
    answered: (exchange, pool) => choice.answered(exchange, pool),
    update: (next, list, given = NO_MATERIALS) => {
      if (dialsOtherwise(settings, next) || !sameMaterials(given, held)) {
        dialer = createDialer(next, given, failures);
        held = given;
      }
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
      choice.close();
      guards.close();
    },
    get stats() {
      const all = pools.concat(leaving);
      const sum = (of: (pool: EndpointPool) => number): number => all.reduce((total, pool) => total + of(pool), 0);
      return {
        endpoints: pools.length,
        connections: sum((pool) => pool.connections),
        active: sum((pool) => pool.active),
        pending: sum((pool) => pool.pending),
        ...guards.state,
      };
    },
    states: () => {
      const shares = choice.shares();
      return pools.map((pool) => ({
        ...stateOf(pool, shares.get(pool) ?? 0, failures.lastOf(pool)),
        ...guards.stateOf(pool),
      }));
    },
  };
}

function dialsOtherwise(a: BackendResource, b: BackendResource): boolean {
  return a.protocol !== b.protocol || a.proxyProtocol !== b.proxyProtocol || !isDeepStrictEqual(a.tls, b.tls);
}

function stateOf(pool: EndpointPool, share: number, tlsError: string | null): EndpointState {
  const { name, weight, active, connections, blocked, latency, wheel } = pool;
  const reasons: EndpointState['blocked'][number][] = [];
  if ((blocked & UNHEALTHY) !== 0) reasons.push('unhealthy');
  if ((blocked & EJECTED) !== 0) reasons.push('ejected');
  if ((blocked & OPEN) !== 0) reasons.push('open');
  return {
    name,
    weight,
    active,
    connections,
    share: round(share, 4),
    ...(latency !== null && { latencyMs: round(latency.at(wheel.now(), active), 2) }),
    ...(tlsError !== null && { tlsError }),
    blocked: reasons,
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
