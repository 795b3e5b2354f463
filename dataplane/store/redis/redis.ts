/**
 * The data plane's Redis, one connection a worker. Every command is bounded in time, none waits for a Redis that is known to be dead, and
 * what Redis missed is not sent later. The libraries are loaded, and the connection opened, by the first `open`.
 */
import { messageOf } from '../../errors.ts';
import type { Counter } from '../../telemetry/stage-counters.ts';
import type { Client } from './client.ts';
import { RedisError } from './redis-error.ts';
import type { Script } from './script.ts';
import { describeRedisUrl } from './url.ts';

export interface RedisOptions {
  readonly url: string;
  /** Series of `tidegate_redis_commands_total`. */
  readonly counter: (name: string, labels: Readonly<Record<string, string>>) => Counter;
  readonly limits?: Partial<RedisLimits>;
}

export interface RedisLimits {
  readonly connectTimeoutMs: number;
  /** An answer that takes longer means that the connection is dead: it is opened anew. Longer than any command's own time-out. */
  readonly silenceMs: number;
  /** How long Redis is left alone after it failed, before a PING tries it again. */
  readonly restMs: number;
  readonly reconnectBaseMs: number;
  readonly reconnectCapMs: number;
}

const LIMITS: RedisLimits = {
  connectTimeoutMs: 2_000,
  silenceMs: 5_000,
  restMs: 500,
  reconnectBaseMs: 50,
  reconnectCapMs: 1_000,
};

/** Null: it answers. Otherwise why it does not, as a Policy's status may show it. */
export type RedisTrouble = string | null;

export class Redis {
  /** `redis://host:port/0`. */
  readonly address: string;
  readonly #options: RedisOptions;
  readonly #watchers = new Set<(trouble: RedisTrouble) => void>();
  #client: Client | null = null;
  #opening: Promise<Client> | null = null;
  #trouble: RedisTrouble = null;
  #closed = false;

  constructor(options: RedisOptions) {
    this.#options = options;
    this.address = describeRedisUrl(options.url);
  }

  /** Nobody asked for it yet, it answers, or it does not. */
  get state(): 'unused' | 'up' | 'down' {
    if (this.#opening === null) return 'unused';
    return this.#trouble === null ? 'up' : 'down';
  }

  /** Begins to connect, so that the first request need not wait for it. */
  open(): void {
    void this.#connect().catch(() => {});
  }

  /** Resolves when the first attempt to connect has succeeded or failed; at once where nobody has opened it. Never rejects. */
  async attempted(): Promise<void> {
    const client = await this.#opening?.catch(() => null);
    await client?.attempted();
  }

  /** Rejects with RedisError, after `timeoutMs` at the latest. Keys of one call belong into one hash slot. */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
    timeoutMs: number,
  ): Promise<unknown> {
    const client = this.#client;
    if (client !== null) return client.run(script, keys, args, timeoutMs);
    return this.#late(timeoutMs, (late, leftMs) => late.run(script, keys, args, leftMs));
  }

  /** As `run`. */
  command(name: string, args: readonly (string | number | Buffer)[], timeoutMs: number): Promise<unknown> {
    const client = this.#client;
    if (client !== null) return client.command(name, args, timeoutMs);
    return this.#late(timeoutMs, (late, leftMs) => late.command(name, args, leftMs));
  }

  /** Calls `watcher` now and whenever that changes, until what it returns is called. */
  watch(watcher: (trouble: RedisTrouble) => void): () => void {
    this.#watchers.add(watcher);
    watcher(this.#trouble);
    return () => this.#watchers.delete(watcher);
  }

  /** Ends the connection and what waits on it. */
  async close(): Promise<void> {
    this.#closed = true;
    (await this.#opening?.catch(() => null))?.close();
  }

  /** While the client is being loaded. */
  #late<T>(timeoutMs: number, ask: (client: Client, leftMs: number) => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new RedisError('timeout', `Redis at ${this.address}: the client is not loaded yet`)),
        timeoutMs,
      );
      this.#connect()
        .then((client) => ask(client, Math.max(1, timeoutMs - (performance.now() - startedAt))))
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  #connect(): Promise<Client> {
    if (this.#closed) return Promise.reject(new Error('Redis is closed: the worker ends'));
    this.#opening ??= this.#createClient().catch((error: unknown) => {
      const failure = new RedisError(
        'unreachable',
        `Redis at ${this.address} can't be used: ${messageOf(error)}`,
        error,
      );
      this.#say(failure.message);
      throw failure;
    });
    return this.#opening;
  }

  /** Rejects where the file of an authority can't be read. */
  async #createClient(): Promise<Client> {
    const { Client } = await import('./client.ts');
    const { url, counter, limits } = this.#options;
    this.#client = new Client({
      url,
      address: this.address,
      limits: { ...LIMITS, ...limits },
      counter,
      onTrouble: (trouble) => this.#say(trouble),
    });
    return this.#client;
  }

  #say(trouble: RedisTrouble): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    for (const watcher of this.#watchers) watcher(trouble);
  }
}
