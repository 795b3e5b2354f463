/**
 * Something of another server that is fetched at once and again before it gets too old, still used for a while when the server does not
 * answer, and asked for once more, at most every so often, when it seems not to be the newest. One fetch is in flight at a time, and all
 * who wait share it.
 */
export interface Freshness {
  readonly maxAgeMs: number;
  /** How long after that it is still used while it can't be fetched. */
  readonly staleMs: number;
  /** Least time between two fetches that `again` makes. */
  readonly cooldownMs: number;
}

export interface KeptFreshOptions<T> extends Freshness {
  /** Bounds its wait. Rejects where there is nothing to be had. */
  readonly load: (before: T | null) => Promise<T>;
  readonly onTake: (value: T, before: T | null) => void;
  /** `tooOld`: what is held, if anything, should have been replaced by now. */
  readonly onFail: (error: unknown, tooOld: boolean) => void;
  /** ms, monotonic. */
  readonly now: () => number;
  /** At least 0, less than 1. */
  readonly random: () => number;
}

/** Waits between fetches that fail: doubled from the first to the cap, with jitter. */
const RETRY_MS = { base: 500, cap: 30_000 };
/** The part of the greatest age after which it is fetched again. */
const REFRESH_AT = { from: 0.7, to: 0.85 };

export class KeptFresh<T> {
  readonly #options: KeptFreshOptions<T>;
  #value: T | null = null;
  #fetchedAtMs = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #fetching: Promise<T | null> | null = null;
  #first: Promise<T | null>;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: KeptFreshOptions<T>) {
    this.#options = options;
    this.#first = this.#fetch().finally(() => {
      this.#first = Promise.resolve(null);
    });
  }

  /** Null: there is none yet, or it got too old. */
  current(): T | null {
    const { now, maxAgeMs, staleMs } = this.#options;
    return now() - this.#fetchedAtMs <= maxAgeMs + staleMs ? this.#value : null;
  }

  /** What the first fetch brings, where it is still under way; else as `current`. */
  async first(): Promise<T | null> {
    return this.current() ?? (await this.#first) ?? this.current();
  }

  /** What a fetch brings, where it is allowed now; else as `current`. */
  async again(): Promise<T | null> {
    if (this.#fetching !== null) return (await this.#fetching) ?? this.current();
    const { now, cooldownMs } = this.#options;
    if (now() - this.#askedAtMs < cooldownMs) return this.current();
    this.#askedAtMs = now();
    return (await this.#fetch()) ?? this.current();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Null where it failed. Never rejects. */
  #fetch(): Promise<T | null> {
    this.#fetching ??= this.#options
      .load(this.#value)
      .then(
        (value) => this.#take(value),
        (error: unknown) => this.#fail(error),
      )
      .finally(() => {
        this.#fetching = null;
      });
    return this.#fetching;
  }

  #take(value: T): T {
    const before = this.#value;
    const { maxAgeMs, now, random, onTake } = this.#options;
    this.#value = value;
    this.#fetchedAtMs = now();
    this.#failures = 0;
    onTake(value, before);
    this.#next(maxAgeMs * (REFRESH_AT.from + (REFRESH_AT.to - REFRESH_AT.from) * random()));
    return value;
  }

  #fail(error: unknown): null {
    const { maxAgeMs, now, random, onFail } = this.#options;
    onFail(error, this.#value === null || now() - this.#fetchedAtMs > maxAgeMs);
    const waitMs = Math.min(RETRY_MS.cap, RETRY_MS.base * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#next(waitMs * (0.5 + random() / 2));
    return null;
  }

  #next(waitMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#fetch(), waitMs);
    this.#timer.unref();
  }
}
