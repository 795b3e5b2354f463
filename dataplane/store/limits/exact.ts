/** A limit that asks Redis for each request. Bound: that of the algorithm, for all data planes together. */
import type { AskedLimit, Decision, Limiter, LimiterOptions } from '../../limit/store.ts';
import { ADJUST, TAKE } from './scripts.ts';
import type { RedisLimitsOptions } from './store.ts';

/** What every script is told of a limit. */
export function scriptArguments({ algorithm, limit, windowMs, burst }: LimiterOptions): readonly (string | number)[] {
  return [algorithm, limit, windowMs * 1000, burst];
}

export class ExactLimit implements Limiter {
  readonly keyOf: (caller: string) => string;
  readonly args: readonly (string | number)[];
  readonly #options: RedisLimitsOptions;

  constructor(options: RedisLimitsOptions, limit: LimiterOptions, keyOf: (caller: string) => string) {
    this.#options = options;
    this.keyOf = keyOf;
    this.args = scriptArguments(limit);
  }

  take(key: string, cost: number, decision: Decision): undefined | Promise<void> {
    return takeTogether(this.#options, [{ limiter: this, key, cost, decision, firm: true }]);
  }

  giveBack(key: string, cost: number): void {
    this.#adjust(key, -cost);
  }

  charge(key: string, cost: number): void {
    this.#adjust(key, cost);
  }

  #adjust(key: string, units: number): void {
    const { redis, timeoutMs } = this.#options;
    redis.run(ADJUST, [this.keyOf(key)], [...this.args, units, -1], timeoutMs).catch(() => {});
  }
}

/** See LimitStore; all of them ExactLimit. */
export function takeTogether(
  { redis, timeoutMs }: RedisLimitsOptions,
  asked: readonly AskedLimit[],
): undefined | Promise<void> {
  if (redis.state === 'down') return fail(asked);
  const keys: string[] = [];
  const args: (string | number)[] = [];
  for (const { limiter, key, cost, firm } of asked) {
    const exact = limiter as ExactLimit;
    keys.push(exact.keyOf(key));
    args.push(...exact.args, cost, firm ? 1 : 0);
  }
  return redis.run(TAKE, keys, args, timeoutMs).then(
    (answer) => read(answer as number[], asked),
    () => fail(asked),
  );
}

function read(answer: readonly number[], asked: readonly AskedLimit[]): void {
  asked.forEach(({ decision }, i) => {
    decision.failed = false;
    decision.admitted = answer[4 * i] === 1;
    decision.remaining = answer[4 * i + 1] as number;
    decision.resetMs = answer[4 * i + 2] as number;
    decision.retryMs = answer[4 * i + 3] as number;
  });
}

function fail(asked: readonly AskedLimit[]): undefined {
  for (const { decision } of asked) decision.failed = true;
  return undefined;
}
