/**
 * The store as the data plane reads it: opened with the first question and again after it failed, brought to this program's schema, every
 * question bounded in time and number, and none asked while it is known to be away (opossum).
 */
import type CircuitBreaker from 'opossum';
import type { Counter } from '../../telemetry/stage-counters.ts';
import type { CredentialReader, CredentialStore } from './store.ts';
import { StoreError } from './store-error.ts';

export interface GuardLimits {
  /** No question takes longer. */
  readonly timeoutMs: number;
  /** Questions under way at once. */
  readonly maxInFlight: number;
  /** How long it is left alone after it failed. */
  readonly restMs: number;
}

/** So many answers at least, and half of them failures, within WINDOW_MS open the circuit. */
const VOLUME = 3;
const WINDOW_MS = 5_000;

export interface GuardedStoreOptions {
  readonly open: () => Promise<CredentialStore>;
  /** Series of `tidegate_credential_reads_total`. */
  readonly counter: (name: string, labels: Readonly<Record<string, string>>) => Counter;
  readonly limits: GuardLimits;
}

type Question = (store: CredentialReader) => Promise<unknown>;
type Breaker = CircuitBreaker<[Question], unknown>;

export class GuardedStore {
  readonly #options: GuardedStoreOptions;
  readonly #counters: Readonly<Record<'ok' | 'failed' | 'circuit-open' | 'overloaded', Counter>>;
  #breaker: Promise<Breaker> | null = null;
  #store: Promise<CredentialStore> | null = null;
  #inFlight = 0;
  #closed = false;

  constructor(options: GuardedStoreOptions) {
    this.#options = options;
    const count = (outcome: string) => options.counter('credential_reads', { outcome });
    this.#counters = {
      ok: count('ok'),
      failed: count('failed'),
      'circuit-open': count('circuit-open'),
      overloaded: count('overloaded'),
    };
  }

  /** Rejects with StoreError, after `timeoutMs` at the latest. */
  async ask<T>(question: (store: CredentialReader) => Promise<T>): Promise<T> {
    const { limits } = this.#options;
    if (this.#closed) throw new StoreError('STORE_UNAVAILABLE', 'the credential store is closed: the worker ends');
    if (this.#inFlight >= limits.maxInFlight) {
      this.#counters.overloaded.value++;
      throw new StoreError('STORE_UNAVAILABLE', 'too many credentials are being looked up');
    }
    this.#inFlight++;
    try {
      this.#breaker ??= this.#createBreaker();
      const breaker = await this.#breaker;
      const answer = await breaker.fire(question);
      this.#counters.ok.value++;
      return answer as T;
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#inFlight--;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    (await this.#breaker)?.shutdown();
    await this.#dropStore();
  }

  async #dropStore(): Promise<void> {
    const store = this.#store;
    this.#store = null;
    await (await store?.catch(() => null))?.close();
  }

  async #createBreaker(): Promise<Breaker> {
    const { default: CircuitBreaker } = await import('opossum');
    const { timeoutMs, restMs } = this.#options.limits;
    const breaker: Breaker = new CircuitBreaker((question: Question) => this.#answer(question), {
      timeout: timeoutMs,
      resetTimeout: restMs,
      rollingCountTimeout: WINDOW_MS,
      volumeThreshold: VOLUME,
      errorThresholdPercentage: 50,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    });
    // The next attempt begins from nothing: with new connections, and a schema where the database lost it.
    breaker.on('open', () => void this.#dropStore());
    return breaker;
  }

  async #answer(question: Question): Promise<unknown> {
    this.#store ??= this.#open();
    return question(await this.#store);
  }

  async #open(): Promise<CredentialStore> {
    try {
      const store = await this.#options.open();
      await store.migrate();
      return store;
    } catch (error) {
      this.#store = null;
      throw error;
    }
  }

  #failure(error: unknown): StoreError {
    const { code, message } = error as Error & { code?: string };
    if (code === 'EOPENBREAKER') {
      this.#counters['circuit-open'].value++;
      return new StoreError('STORE_UNAVAILABLE', 'it failed a moment ago', error);
    }
    this.#counters.failed.value++;
    if (error instanceof StoreError) return error;
    if (code === 'ETIMEDOUT')
      return new StoreError('STORE_TIMEOUT', `no answer within ${this.#options.limits.timeoutMs} ms`, error);
    return new StoreError('STORE_UNAVAILABLE', message, error);
  }
}
