/** ioredis for the connection, a breaker for what it asks. */
import { readFileSync } from 'node:fs';
import { Redis as Connection, ReplyError } from 'ioredis';
import CircuitBreaker from 'opossum';
import type { Counter } from '../../telemetry/stage-counters.ts';
import type { RedisLimits, RedisOptions, RedisTrouble } from './redis.ts';
import { RedisError, type RedisErrorCode } from './redis-error.ts';
import type { Script } from './script.ts';
import { tlsCaOf, withoutParameters } from './url.ts';

/** Commands sent and not answered, of one worker. */
export const MAX_IN_FLIGHT = 4_096;
/** So many failures one after the other open the circuit; or, within WINDOW_MS, more than half of at least VOLUME commands. */
const FAILURES_IN_A_ROW = 5;
const WINDOW_MS = 2_000;
const VOLUME = 20;
/** The PING that tries a Redis that failed. */
const PING_TIMEOUT_MS = 1_000;
/** Attempts to connect that fail before that is called a trouble: a server that closes an idle connection is none. */
const FAILED_ATTEMPTS = 2;

export interface ClientOptions extends Pick<RedisOptions, 'url' | 'counter'> {
  readonly address: string;
  readonly limits: RedisLimits;
  readonly onTrouble: (trouble: RedisTrouble) => void;
}

type Argument = string | number | Buffer;
/** Name and arguments. */
type Command = readonly [string, ...Argument[]];
type Outcome = 'ok' | RedisErrorCode;

export class Client {
  readonly #address: string;
  readonly #limits: RedisLimits;
  readonly #onTrouble: (trouble: RedisTrouble) => void;
  readonly #connection: Connection;
  readonly #breaker: CircuitBreaker<[Command, number], unknown>;
  readonly #counters: Readonly<Record<Outcome, Counter>>;
  /** Settles with the first attempt to connect; requests that come before wait for it within their own time. */
  #firstAttempt: Promise<void> | null;
  /** Failures of commands that were sent before Redis was well again. */
  readonly #oldNews = new WeakSet<object>();
  #inFlight = 0;
  #failuresInARow = 0;
  /** How often Redis was found well again. */
  #recoveries = 0;
  #lastError = 'no connection yet';

  constructor({ url, address, limits, counter, onTrouble }: ClientOptions) {
    this.#address = address;
    this.#limits = limits;
    this.#onTrouble = onTrouble;
    const count = (outcome: Outcome) => counter('redis_commands', { outcome });
    this.#counters = {
      ok: count('ok'),
      timeout: count('timeout'),
      unreachable: count('unreachable'),
      'circuit-open': count('circuit-open'),
      overloaded: count('overloaded'),
      refused: count('refused'),
    };
    this.#breaker = this.#createBreaker();
    const tlsCa = tlsCaOf(url);
    this.#connection = new Connection(withoutParameters(url), {
      ...(tlsCa !== null && { tls: { ca: readFileSync(tlsCa) } }),
      connectionName: 'tidegate',
      connectTimeout: limits.connectTimeoutMs,
      socketTimeout: limits.silenceMs,
      // What can't be sent now fails now, and nothing is sent twice or late: a count must not be taken again.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (attempts) => this.#retryAfterMs(attempts),
      // A replica after a failover: the name leads to the new primary.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    });
    this.#connection.on('error', (error: Error) => {
      this.#lastError = error.message || String((error as NodeJS.ErrnoException).code ?? error.name);
    });
    this.#connection.on('ready', () => {
      // Said of an end without an error.
      this.#lastError = 'it closed the connection';
      this.#recover();
    });
    this.#firstAttempt = new Promise((resolve) => {
      const settle = () => {
        this.#firstAttempt = null;
        resolve();
      };
      this.#connection.once('ready', settle);
      this.#connection.once('close', settle);
    });
  }

  /** EVALSHA; EVAL where Redis has not seen the script yet. */
  async run(
    { lua, sha1 }: Script,
    keys: readonly string[],
    args: readonly Argument[],
    timeoutMs: number,
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args] as const;
    const startedAt = performance.now();
    try {
      return await this.#ask(['evalsha', sha1, ...rest], timeoutMs);
    } catch (error) {
      if (!(error instanceof RedisError && isNoScript(error.cause))) throw error;
      return this.#ask(['eval', lua, ...rest], Math.max(1, timeoutMs - (performance.now() - startedAt)));
    }
  }

  async attempted(): Promise<void> {
    await this.#firstAttempt;
  }

  command(name: string, args: readonly Argument[], timeoutMs: number): Promise<unknown> {
    return this.#ask([name, ...args], timeoutMs);
  }

  close(): void {
    this.#breaker.shutdown();
    this.#connection.disconnect();
  }

  async #ask(command: Command, timeoutMs: number): Promise<unknown> {
    // Not opossum's `capacity`: it takes what was never sent for a failure of Redis.
    if (this.#inFlight >= MAX_IN_FLIGHT) throw this.#count(this.#failure('overloaded', 'too many commands wait'));
    this.#inFlight++;
    try {
      const answer = await this.#breaker.fire(command, timeoutMs);
      this.#failuresInARow = 0;
      this.#counters.ok.value++;
      return answer;
    } catch (error) {
      if (error instanceof RedisError) throw this.#count(error);
      if (!CircuitBreaker.isOurError(error as Error)) throw error;
      throw this.#count(this.#failure('circuit-open', 'it failed a moment ago'));
    } finally {
      this.#inFlight--;
    }
  }

  #send([name, ...args]: Command, timeoutMs: number): Promise<unknown> {
    const recoveries = this.#recoveries;
    return new Promise((resolve, refuse) => {
      const reject = (error: RedisError): void => {
        if (recoveries !== this.#recoveries) this.#oldNews.add(error);
        refuse(error);
      };
      let settled = false;
      const timer = setTimeout(() => {
        // Where this thread stood still, the answer may be there, unread: the socket comes first.
        setImmediate(() => {
          if (!settled) reject(this.#failed('timeout', `no answer within ${timeoutMs} ms`));
        });
      }, timeoutMs);
      const settle = (): void => {
        settled = true;
        clearTimeout(timer);
      };
      const done = (answer: unknown): void => {
        settle();
        resolve(answer);
      };
      const fail = (error: unknown): void => {
        settle();
        reject(this.#failureOf(error));
      };
      if (this.#firstAttempt === null) this.#connection.call(name, ...args).then(done, fail);
      else this.#firstAttempt.then(() => this.#connection.call(name, ...args)).then(done, fail);
    });
  }

  #failureOf(error: unknown): RedisError {
    if (error instanceof ReplyError) {
      if (isNoScript(error)) return this.#failure('refused', 'it does not know the script', error);
      return this.#failed('refused', `it answered ${(error as Error).message}`, error);
    }
    // ioredis says of a lost connection only that there is none; the reason came before.
    return this.#failed('unreachable', this.#lastError, error);
  }

  #failed(code: RedisErrorCode, why: string, cause?: unknown): RedisError {
    this.#lastError = why;
    return this.#failure(code, why, cause);
  }

  #failure(code: RedisErrorCode, why: string, cause?: unknown): RedisError {
    return new RedisError(code, `Redis at ${this.#address}: ${why}`, cause);
  }

  #count(error: RedisError): RedisError {
    this.#counters[error.code].value++;
    return error;
  }

  #createBreaker(): CircuitBreaker<[Command, number], unknown> {
    const send = (command: Command, timeoutMs: number) => this.#send(command, timeoutMs);
    const breaker: CircuitBreaker<[Command, number], unknown> = new CircuitBreaker(send, {
      // Each command has its own.
      timeout: false,
      resetTimeout: this.#limits.restMs,
      rollingCountTimeout: WINDOW_MS,
      volumeThreshold: VOLUME,
      errorThresholdPercentage: 50,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      errorFilter: (error: unknown) =>
        error instanceof RedisError && (isNoScript(error.cause) || (breaker.closed && this.#oldNews.has(error))),
    });
    breaker.on('failure', () => {
      if (++this.#failuresInARow >= FAILURES_IN_A_ROW && breaker.closed) breaker.open();
    });
    breaker.on('open', () => this.#onTrouble(`Redis at ${this.#address} fails: ${this.#lastError}`));
    breaker.on('close', () => {
      this.#recoveries++;
      this.#failuresInARow = 0;
      this.#onTrouble(null);
    });
    // It alone passes now: no request has to find out whether Redis is back.
    breaker.on('halfOpen', () => void breaker.fire(['ping'], PING_TIMEOUT_MS).catch(() => {}));
    return breaker;
  }

  #recover(): void {
    this.#failuresInARow = 0;
    if (this.#breaker.closed) this.#onTrouble(null);
    else this.#breaker.close();
  }

  #retryAfterMs(attempts: number): number {
    if (attempts >= FAILED_ATTEMPTS && this.#breaker.closed) this.#breaker.open();
    const { reconnectBaseMs, reconnectCapMs } = this.#limits;
    const waitMs = Math.min(reconnectCapMs, reconnectBaseMs * 2 ** Math.min(attempts - 1, 16));
    return waitMs * (0.5 + Math.random() / 2);
  }
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
