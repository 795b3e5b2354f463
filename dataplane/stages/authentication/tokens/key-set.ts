/** A JWK Set as keys to verify with. */
import { importJWK } from 'jose';
import { type ReadKey, readJwkSet } from '../../../snapshot/jwk-set.ts';
import type { TokenAlgorithm } from '../../../snapshot/sections/authentication/jwt.ts';

type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

export interface VerificationKey extends ReadKey {
  /** Of its members: equal for equal keys. */
  readonly fingerprint: string;
  /** Imports it once an algorithm. Rejects where the key turns out unusable. */
  readonly imported: (algorithm: TokenAlgorithm) => Promise<ImportedKey>;
}

/** Of the keys that fit a token without key id, so many are tried. */
const MAX_CANDIDATES = 4;

export class KeySet {
  readonly keys: readonly VerificationKey[];
  readonly #fingerprints: ReadonlySet<string>;

  constructor(keys: readonly VerificationKey[]) {
    this.keys = keys;
    this.#fingerprints = new Set(keys.map(({ fingerprint }) => fingerprint));
  }

  has(key: VerificationKey): boolean {
    return this.#fingerprints.has(key.fingerprint);
  }

  candidates(kid: string | undefined, algorithm: TokenAlgorithm): VerificationKey[] {
    return this.keys
      .filter((key) => key.algorithms.includes(algorithm))
      .filter((key) => kid === undefined || key.kid === undefined || key.kid === kid)
      .slice(0, MAX_CANDIDATES);
  }
}

export interface KeySetOptions {
  /** Shared keys count too: only where the set came from a secret. */
  readonly shared: boolean;
  /** Keys that are the same as before keep what was imported of them. */
  readonly before?: KeySet | null;
}

/** Throws Error, with a reason for a person, where the text is no JWK Set of use. */
export function parseKeySet(text: string, { shared, before }: KeySetOptions): KeySet {
  const read = readJwkSet(text, shared);
  if (typeof read === 'string') throw new Error(read);
  const known = new Map((before?.keys ?? []).map((key) => [key.fingerprint, key]));
  return new KeySet(
    read.map((key) => {
      const fingerprint = JSON.stringify(Object.entries(key.members).sort(([a], [b]) => (a < b ? -1 : 1)));
      return known.get(fingerprint) ?? verificationKey(key, fingerprint);
    }),
  );
}

function verificationKey(key: ReadKey, fingerprint: string): VerificationKey {
  const imports = new Map<TokenAlgorithm, Promise<ImportedKey>>();
  return {
    ...key,
    fingerprint,
    imported: (algorithm) => {
      const importing = imports.get(algorithm) ?? importJWK(key.members, algorithm);
      imports.set(algorithm, importing);
      return importing;
    },
  };
}
