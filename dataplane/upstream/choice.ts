/** The choice of an endpoint: over which, with what algorithm, and which one. What it rests on is put together anew when that changes, at the next pick. */
import type { Exchange } from '../pipeline/exchange.ts';
import type { BackendResource } from '../snapshot/resources.ts';
import type { Balancer, Tally } from './balance/balancer.ts';
import { createBalancer } from './balance/create.ts';
import type { EndpointPool, PoolDependencies } from './endpoint-pool.ts';
import { createKeyOf, type KeyOf } from './hash-key.ts';
import type { ForwardCode } from './seam.ts';
import { type Selection, select } from './selection.ts';
import { SlowStart } from './slow-start.ts';
import { Sticky } from './sticky.ts';
import { type Gate, OPEN } from './watcher.ts';

export interface ChoiceDependencies extends PoolDependencies {
  readonly random: () => number;
  /** The data plane's own; empty: not known. */
  readonly zone: string;
}

/** Why there was none. */
export interface NoPick {
  readonly code: ForwardCode;
  /** 0: unknown. */
  readonly retryAfterS: number;
}

const NO_ENDPOINT: NoPick = { code: 'no-endpoint', retryAfterS: 0 };
const ALL_OPEN: NoPick = { code: 'breaker-open', retryAfterS: 0 };
const NOTHING: Selection = { pools: [], weights: [], spare: [], panic: false };

export class Choice {
  /** Of the last pick that had none. */
  refusal = NO_ENDPOINT;
  readonly #deps: ChoiceDependencies;
  readonly #slowStart: SlowStart<EndpointPool>;
  #settings: BackendResource;
  #pools: readonly EndpointPool[] = [];
  #keyOf: KeyOf | null = null;
  #sticky: Sticky | null = null;
  #selection = NOTHING;
  #balancer: Balancer;
  /** Requests in flight at those of the selection. */
  #tally: Tally = { active: 0 };
  /** 1 for those of the selection that a request must not get. */
  #marked = new Uint8Array(0);
  #stale = true;

  constructor(settings: BackendResource, deps: ChoiceDependencies) {
    this.#deps = deps;
    this.#slowStart = new SlowStart(deps.wheel, () => this.outdate());
    this.#settings = settings;
    this.#balancer = this.#createBalancer(deps.random());
  }

  /** Takes over settings and endpoints. Those in `fresh` begin slowly, where there were others before. */
  configure(settings: BackendResource, pools: readonly EndpointPool[], fresh: readonly EndpointPool[]): void {
    const { hash, sticky, slowStartMs = 0 } = settings.balancing;
    const first = this.#pools.length === 0;
    if (settings !== this.#settings || first) {
      this.#keyOf = hash === undefined ? null : createKeyOf(hash, this.#deps.random);
      this.#sticky = sticky === undefined ? null : new Sticky(sticky);
      this.#slowStart.configure(slowStartMs);
    }
    this.#settings = settings;
    this.#pools = pools;
    this.#sticky?.over(pools);
    if (!first) for (const pool of fresh) this.#slowStart.begin(pool);
    this.outdate();
  }

  /** Something the choice rests on has changed. */
  outdate(): void {
    this.#stale = true;
  }

  /** An endpoint is blocked, or no longer. */
  blocked(pool: EndpointPool): void {
    if (pool.blocked === 0) {
      // The penalty for failing would keep requests from it long after it is back, and those a half-open breaker waits for too.
      pool.latency?.forget();
      this.#slowStart.begin(pool);
    }
    this.outdate();
  }

  gone(pool: EndpointPool): void {
    this.#slowStart.end(pool);
  }

  /**
   * One that admits the request and is none of `tried`; null where there is none, and `refusal` says why. The request has entered it. A
   * client with a sticky cookie gets its own as long as that one serves, whatever its priority or zone.
   */
  pick(exchange: Exchange, tried: readonly EndpointPool[] | null): EndpointPool | null {
    if (this.#stale) this.#rebuild();
    if (this.#sticky !== null) {
      const own = this.#sticky.find(exchange);
      if (own !== null && this.#serves(own) && tried?.includes(own) !== true && this.#admitted(own)) {
        return this.#entered(own);
      }
    }
    const key = this.#keyOf === null ? 0 : this.#keyOf(exchange);
    if (tried === null) {
      const index = this.#balancer.pick(key);
      if (index >= 0) {
        const pool = this.#selection.pools[index] as EndpointPool;
        if (this.#admitted(pool)) return this.#entered(pool);
        return this.#another(key, tried, index);
      }
    }
    return this.#another(key, tried, -1);
  }

  /** The head of a response of `pool` is there. */
  answered(exchange: Exchange, pool: EndpointPool): void {
    if (this.#sticky !== null) this.#sticky.keep(exchange, pool);
  }

  /** The part of the requests that each gets, of 1; those without one are left out. */
  shares(): ReadonlyMap<EndpointPool, number> {
    if (this.#stale) this.#rebuild();
    const { pools, weights } = this.#selection;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return new Map(pools.map((pool, i) => [pool, (weights[i] as number) / sum]));
  }

  close(): void {
    this.#slowStart.close();
    this.#pools = [];
    this.outdate();
  }

  /** `refused`: index of one that was asked already; -1: none was. */
  #another(key: number, tried: readonly EndpointPool[] | null, refused: number): EndpointPool | null {
    const { pools, spare } = this.#selection;
    const marked = this.#marked;
    marked.fill(0);
    if (refused >= 0) marked[refused] = 1;
    else this.refusal = NO_ENDPOINT;
    for (const pool of tried ?? []) {
      const at = pools.indexOf(pool);
      if (at >= 0) marked[at] = 1;
    }
    while (pools.length > 0) {
      const index = this.#balancer.another(key, marked);
      if (index < 0) break;
      const pool = pools[index] as EndpointPool;
      if (this.#admitted(pool)) return this.#entered(pool);
      marked[index] = 1;
    }
    for (const pool of spare) {
      if (tried?.includes(pool) !== true && this.#admitted(pool)) return this.#entered(pool);
    }
    if (this.refusal === NO_ENDPOINT && pools.length + spare.length === 0) this.refusal = this.#openRefusal();
    return null;
  }

  #entered(pool: EndpointPool): EndpointPool {
    pool.enter();
    return pool;
  }

  #admitted({ gates }: EndpointPool): boolean {
    for (let i = 0; i < gates.length; i++) {
      const gate = gates[i] as Gate;
      if (gate.admits()) continue;
      this.refusal = gate;
      withdraw(gates, i);
      return false;
    }
    return true;
  }

  #serves({ blocked }: EndpointPool): boolean {
    return blocked === 0 || (this.#selection.panic && (blocked & OPEN) === 0);
  }

  /** No endpoint serves: is that because of breakers? */
  #openRefusal(): NoPick {
    const open = this.#pools.filter(({ blocked }) => (blocked & OPEN) !== 0);
    if (open.length === 0) return NO_ENDPOINT;
    // Those that will serve as soon as their breaker lets them, if there are any.
    const waiting = open.filter(({ blocked }) => blocked === OPEN);
    const gates = (waiting.length > 0 ? waiting : open).flatMap((pool) =>
      pool.gates.filter(({ code }) => code === 'breaker-open'),
    );
    return gates.toSorted((a, b) => a.retryAfterS - b.retryAfterS)[0] ?? ALL_OPEN;
  }

  #rebuild(): void {
    this.#stale = false;
    const { balancing, health } = this.#settings;
    this.#selection = select(this.#pools, {
      balancing,
      health,
      zone: this.#deps.zone,
      risen: (pool) => this.#slowStart.risen(pool),
    });
    const { pools } = this.#selection;
    const chosen = new Set(pools);
    this.#tally = { active: 0 };
    const others: Tally = { active: 0 };
    for (const pool of this.#pools) {
      pool.tally = chosen.has(pool) ? this.#tally : others;
      pool.tally.active += pool.active;
    }
    this.#marked = new Uint8Array(pools.length);
    this.#balancer = this.#createBalancer(this.#balancer.position ?? this.#deps.random());
  }

  #createBalancer(start: number): Balancer {
    const { pools, weights } = this.#selection;
    const configured = this.#pools.reduce((sum, { weight }) => sum + weight, 0);
    return createBalancer(this.#settings.balancing, {
      candidates: pools,
      weights,
      unit: configured / Math.max(1, this.#pools.length),
      tally: this.#tally,
      random: this.#deps.random,
      now: this.#deps.wheel.now,
      start,
    });
  }
}

/** Gives back the places of the first `count`. */
export function withdraw(gates: readonly Gate[], count: number): void {
  for (let i = 0; i < count; i++) (gates[i] as Gate).withdraw();
}
