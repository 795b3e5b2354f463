/**
 * The keys of an issuer, by URL: fetched at once and again before they get too old; still used for a while when the server does not answer;
 * asked for once more, at most every so often, when a token names a key that is not among them. One fetch is in flight at a time, and all
 * who wait share it.
 */
import { messageOf } from '../../../errors.ts';
import type { Outbound } from '../../../outbound/outbound.ts';
import { isOldNews } from '../../../outbound/outbound-error.ts';
import type { KeySetUrl } from '../../../snapshot/sections/authentication/jwt.ts';
import { type KeySet, parseKeySet } from './key-set.ts';
import type { KeySource } from './key-source.ts';
import type { Voices } from './voices.ts';

export interface RemoteKeysDeps {
  readonly http: Outbound;
  /** ms, monotonic. */
  readonly now: () => number;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly voices: Voices;
}

const MAX_BYTES = 262_144;
/** Waits between fetches that fail: doubled from the first to the second, with jitter. */
const RETRY_MS = { base: 500, cap: 30_000 };
/** The part of their greatest age after which keys are fetched again. */
const REFRESH_AT = { from: 0.7, to: 0.85 };

export class RemoteKeys implements KeySource {
  readonly #config: KeySetUrl;
  readonly #deps: RemoteKeysDeps;
  readonly #listeners = new Set<(keys: KeySet) => void>();
  #keys: KeySet | null = null;
  #fetchedAtMs = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #fetching: Promise<KeySet | null> | null = null;
  #first: Promise<KeySet | null>;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(config: KeySetUrl, deps: RemoteKeysDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#first = this.#fetch().finally(() => {
      this.#first = Promise.resolve(null);
    });
  }

  current(): KeySet | null {
    if (this.#keys === null) return null;
    const { maxAgeMs, staleMs } = this.#config;
    return this.#deps.now() - this.#fetchedAtMs <= maxAgeMs + staleMs ? this.#keys : null;
  }

  async first(): Promise<KeySet | null> {
    return this.current() ?? (await this.#first) ?? this.current();
  }

  async again(): Promise<KeySet | null> {
    if (this.#fetching !== null) return (await this.#fetching) ?? this.current();
    if (this.#deps.now() - this.#askedAtMs < this.#config.cooldownMs) return this.current();
    this.#askedAtMs = this.#deps.now();
    return (await this.#fetch()) ?? this.current();
  }

  onChange(listener: (keys: KeySet) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Null where it failed. Never rejects. */
  #fetch(): Promise<KeySet | null> {
    this.#fetching ??= this.#ask()
      .then(
        (keys) => this.#take(keys),
        (error: unknown) => this.#fail(error),
      )
      .finally(() => {
        this.#fetching = null;
      });
    return this.#fetching;
  }

  async #ask(): Promise<KeySet> {
    const { url, timeoutMs } = this.#config;
    const headers = { accept: 'application/jwk-set+json, application/json' };
    const answer = await this.#deps.http.request({ method: 'GET', url, headers, timeoutMs, maxBytes: MAX_BYTES });
    if (answer.status !== 200) throw new Error(`the server answers ${answer.status}`);
    return parseKeySet(answer.body.toString(), { shared: false, before: this.#keys });
  }

  #take(keys: KeySet): KeySet {
    const before = this.#keys;
    this.#keys = keys;
    this.#fetchedAtMs = this.#deps.now();
    this.#failures = 0;
    this.#deps.voices.say(null);
    if (before === null || keys.keys.length !== before.keys.length || !keys.keys.every((key) => before.has(key))) {
      for (const listener of this.#listeners) listener(keys);
    }
    const part = REFRESH_AT.from + (REFRESH_AT.to - REFRESH_AT.from) * this.#deps.random();
    this.#next(this.#config.maxAgeMs * part);
    return keys;
  }

  #fail(error: unknown): null {
    // While what is held is young enough, nobody needs to know.
    const tooOld = this.#keys === null || this.#deps.now() - this.#fetchedAtMs > this.#config.maxAgeMs;
    if (tooOld && (this.#deps.voices.silent || !isOldNews(error)))
      this.#deps.voices.say(`JWKS ${shown(this.#config.url)} can not be fetched: ${messageOf(error)}`);
    const waitMs = Math.min(RETRY_MS.cap, RETRY_MS.base * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#next(waitMs * (0.5 + this.#deps.random() / 2));
    return null;
  }

  #next(waitMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#fetch(), waitMs);
    this.#timer.unref();
  }
}

/** Without user name, password and query, as it stands in a status. */
function shown(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
