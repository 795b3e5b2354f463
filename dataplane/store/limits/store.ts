/** Limits of all data planes together, kept in Redis: asked for each request (exact), or for batches (leased). */
import type { AskedLimit, Limiter, LimiterOptions, LimitStore } from '../../limit/store.ts';
import type { Redis } from '../redis/redis.ts';
import { ExactLimit, takeTogether } from './exact.ts';
import { limitKeys } from './keys.ts';
import { LeasedLimit } from './leased.ts';

export interface RedisLimitsOptions {
  readonly redis: Redis;
  /** What a request may wait for Redis, ms. */
  readonly timeoutMs: number;
  /** ms, monotonic. */
  readonly now: () => number;
  /** Workers of all data planes, this one among them, as far as is known. */
  readonly workers: () => number;
}

export class RedisLimitStore implements LimitStore {
  readonly #options: RedisLimitsOptions;

  constructor(options: RedisLimitsOptions) {
    this.#options = options;
  }

  /** Scopes begin with what all limits of one request share, the policy, and a space. */
  open(options: LimiterOptions): Limiter {
    const { algorithm, scope, mode } = options;
    if (algorithm === 'concurrency') throw new Error('requests in flight are not counted in Redis');
    this.#options.redis.open();
    const keyOf = limitKeys(scope.split(' ', 1)[0] as string, scope);
    return mode === 'leased'
      ? new LeasedLimit(this.#options, options, keyOf)
      : new ExactLimit(this.#options, options, keyOf);
  }

  takeTogether(asked: readonly AskedLimit[]): undefined | Promise<void> {
    return takeTogether(this.#options, asked);
  }
}
