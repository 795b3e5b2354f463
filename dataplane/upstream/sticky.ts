/**
 * Sticky sessions: a cookie names the endpoint a client was served by. It holds a keyed hash of the endpoint's name, the same in every worker and
 * data plane, and tells nobody an address: the key, of the snapshot, is the Backend's own and not to be had from outside.
 */
import { createHmac } from 'node:crypto';
import type { Exchange } from '../pipeline/exchange.ts';
import { parseCookies } from '../pipeline/values.ts';
import type { Balancing } from '../snapshot/backend/balancing.ts';
import type { EndpointPool } from './endpoint-pool.ts';

export type StickySettings = NonNullable<Balancing['sticky']>;

/** 96 bits, base64url. */
const ALIAS_LENGTH = 16;

export class Sticky {
  readonly #settings: StickySettings;
  readonly #attributes: string;
  #pools = new Map<string, EndpointPool>();

  constructor(settings: StickySettings) {
    this.#settings = settings;
    const age = settings.ttlMs === 0 ? '' : `; Max-Age=${Math.ceil(settings.ttlMs / 1000)}`;
    this.#attributes = `; Path=${settings.path}; HttpOnly; SameSite=Lax${age}`;
  }

  /** All that the backend has now. */
  over(pools: readonly EndpointPool[]): void {
    const known = this.#pools;
    const aliases = new Map([...known].map(([alias, pool]) => [pool, alias]));
    this.#pools = new Map(pools.map((pool) => [aliases.get(pool) ?? this.#aliasOf(pool), pool]));
  }

  /** The one the request's cookie names; null where it has no cookie, or its endpoint is gone. */
  find(exchange: Exchange): EndpointPool | null {
    const alias = parseCookies(exchange.headers).get(this.#settings.cookie);
    return alias === undefined ? null : (this.#pools.get(alias) ?? null);
  }

  /** A response of `pool` is there: has the client its cookie for the next time? */
  keep(exchange: Exchange, pool: EndpointPool): void {
    if (this.find(exchange) === pool) return;
    const secure = exchange.scheme === 'https' ? '; Secure' : '';
    exchange.responseHeaders?.add(
      'set-cookie',
      `${this.#settings.cookie}=${this.#aliasOf(pool)}${this.#attributes}${secure}`,
    );
  }

  #aliasOf({ name }: EndpointPool): string {
    return createHmac('sha256', this.#settings.key).update(name).digest('base64url').slice(0, ALIAS_LENGTH);
  }
}
