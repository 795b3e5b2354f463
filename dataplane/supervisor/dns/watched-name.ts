/**
 * One name that is followed. It is asked for again before its answer expires. What is known outlives the servers' failures, however long,
 * and an answer "no such name" for a bound: while a record is replaced, servers have been seen to say so.
 */
import { type BackoffOptions, backoffMs } from '../../sync/backoff.ts';
import type { Answer } from './answer.ts';

export interface WatchedNameOptions<T> {
  readonly ask: () => Promise<Answer<T>>;
  /** What is known after `found`, given what was known before. Default: `found`. */
  readonly combine?: (found: T, before: T) => T;
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  /** How long what is known outlives "no such name". */
  readonly keepAfterNoneMs: number;
  /** `value` has changed, or a first result is there. */
  readonly onChange: () => void;
  readonly onResult: (kind: Answer<T>['kind']) => void;
  readonly time: NameTime;
}

export interface NameTime {
  /** ms of a clock that never goes back. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Returns what calls it off. */
  readonly setTimer: (run: () => void, delayMs: number) => () => void;
}

export type NameState<T> =
  /** Nothing has been learnt yet. */
  { readonly kind: 'unknown' } | { readonly kind: 'found'; readonly value: T } | { readonly kind: 'none' };

const FAILED: BackoffOptions = { baseMs: 1_000, capMs: 30_000 };
const MISSING: BackoffOptions = { baseMs: 1_000, capMs: 10_000 };
/** Failures after which a name that was never found is told to be in trouble. */
const TROUBLE_AFTER = 3;

export class WatchedName<T> {
  readonly #options: WatchedNameOptions<T>;
  #state: NameState<T> = { kind: 'unknown' };
  #expiresAtMs = 0;
  /** Since when the answer has been "no such name". */
  #noneSinceMs: number | null = null;
  /** Results in a row that were not `found`. */
  #misses = 0;
  #error = '';
  #asked = false;
  #closed = false;
  #cancel: () => void = () => {};

  constructor(options: WatchedNameOptions<T>) {
    this.#options = options;
    void this.#ask();
  }

  get state(): NameState<T> {
    return this.#state;
  }

  /** A first result is there, whatever it is. */
  get asked(): boolean {
    return this.#asked;
  }

  /** ms since the answer that is used expired; 0: it has not. */
  get staleMs(): number {
    if (this.#state.kind !== 'found') return 0;
    return Math.max(0, this.#options.time.now() - this.#expiresAtMs);
  }

  /** ms for which the answer counts. */
  get leftMs(): number {
    return this.#state.kind === 'found' ? Math.max(0, this.#expiresAtMs - this.#options.time.now()) : 0;
  }

  /** Of the last result; empty: it was `found`. */
  get error(): string {
    return this.#error;
  }

  /** Why there is nothing to go by; null: there is, or it is early. */
  get trouble(): string | null {
    if (this.#state.kind === 'none') return 'does not exist';
    if (this.#state.kind === 'unknown' && this.#misses >= TROUBLE_AFTER) return `can't be resolved (${this.#error})`;
    return null;
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  async #ask(): Promise<void> {
    const { ask, onResult } = this.#options;
    const answer = await ask().catch((error: unknown): Answer<T> => ({ kind: 'failed', code: String(error) }));
    if (this.#closed) return;
    onResult(answer.kind);
    const before = this.#state;
    const first = !this.#asked;
    const troubled = this.trouble;
    this.#asked = true;
    const delayMs = this.#take(answer);
    this.#cancel = this.#options.time.setTimer(() => void this.#ask(), delayMs);
    if (first || this.#state !== before || this.trouble !== troubled) this.#options.onChange();
  }

  /** ms until the next question. */
  #take(answer: Answer<T>): number {
    const { time, minTtlMs, maxTtlMs, keepAfterNoneMs, combine } = this.#options;
    if (answer.kind === 'found') {
      const ttlMs = Math.min(maxTtlMs, Math.max(minTtlMs, answer.ttlMs));
      this.#misses = 0;
      this.#error = '';
      this.#noneSinceMs = null;
      this.#expiresAtMs = time.now() + ttlMs;
      const before = this.#state;
      const value =
        before.kind === 'found' && combine !== undefined ? combine(answer.value, before.value) : answer.value;
      this.#state = { kind: 'found', value };
      return ttlMs * (0.75 + 0.2 * time.random());
    }
    const misses = this.#misses++;
    if (answer.kind === 'failed') {
      this.#error = answer.code;
      this.#noneSinceMs = null;
      return waitMs(misses, FAILED, time.random());
    }
    this.#error = 'no such name';
    this.#noneSinceMs ??= time.now();
    const keptMs = this.#state.kind === 'found' ? keepAfterNoneMs - (time.now() - this.#noneSinceMs) : 0;
    if (keptMs <= 0) this.#state = { kind: 'none' };
    const nextMs = waitMs(misses, MISSING, time.random());
    return keptMs > 0 ? Math.min(nextMs, keptMs) : nextMs;
  }
}

/** Never at once: half of the backoff is certain. */
function waitMs(misses: number, options: BackoffOptions, random: number): number {
  const fullMs = backoffMs(misses, options, 1);
  return fullMs / 2 + (fullMs / 2) * random;
}
