/** The keys of an issuer, by URL, kept fresh. */
import { messageOf } from '../../../errors.ts';
import type { Outbound } from '../../../outbound/outbound.ts';
import { isOldNews } from '../../../outbound/outbound-error.ts';
import type { KeySetUrl } from '../../../snapshot/sections/authentication/jwt.ts';
import { KeptFresh } from './kept-fresh.ts';
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

export class RemoteKeys implements KeySource {
  readonly #kept: KeptFresh<KeySet>;
  readonly #listeners = new Set<(keys: KeySet) => void>();

  constructor(config: KeySetUrl, { http, now, random, voices }: RemoteKeysDeps) {
    const { origin, pathname } = new URL(config.url);
    this.#kept = new KeptFresh({
      ...config,
      now,
      random,
      load: (before) => fetchKeys(config, http, before),
      onTake: (keys, before) => {
        voices.say(null);
        if (before !== null && sameKeys(keys, before)) return;
        for (const listener of this.#listeners) listener(keys);
      },
      onFail: (error, tooOld) => {
        // While what is held is young enough, nobody needs to know.
        if (tooOld && (voices.silent || !isOldNews(error)))
          voices.say(`JWKS ${origin}${pathname} can not be fetched: ${messageOf(error)}`);
      },
    });
  }

  current(): KeySet | null {
    return this.#kept.current();
  }

  first(): Promise<KeySet | null> {
    return this.#kept.first();
  }

  again(): Promise<KeySet | null> {
    return this.#kept.again();
  }

  onChange(listener: (keys: KeySet) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#kept.close();
  }
}

async function fetchKeys({ url, timeoutMs }: KeySetUrl, http: Outbound, before: KeySet | null): Promise<KeySet> {
  const headers = { accept: 'application/jwk-set+json, application/json' };
  const answer = await http.request({ method: 'GET', url, headers, timeoutMs, maxBytes: MAX_BYTES });
  if (answer.status !== 200) throw new Error(`the server answers ${answer.status}`);
  return parseKeySet(answer.body.toString(), { shared: false, before });
}

function sameKeys(a: KeySet, b: KeySet): boolean {
  return a.keys.length === b.keys.length && a.keys.every((key) => b.has(key));
}
