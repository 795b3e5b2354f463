/** A JWK Set (RFC 7517) as keys to verify with, bounded; what can't verify a signature here is left out. */
import { importJWK, type JWK } from 'jose';
import type { TokenAlgorithm } from '../../../snapshot/sections/authentication/jwt.ts';

type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

export interface VerificationKey {
  /** Undefined: it fits any key id. */
  readonly kid: string | undefined;
  readonly algorithms: readonly TokenAlgorithm[];
  /** Of its members: equal for equal keys. */
  readonly fingerprint: string;
  /** Imports it once an algorithm. Rejects where the key turns out unusable. */
  readonly imported: (algorithm: TokenAlgorithm) => Promise<ImportedKey>;
}

export const MAX_KEYS = 100;
/** Bits of an RSA modulus; below is breakable (RFC 7518 section 3.3), above takes milliseconds a token. */
const RSA_BITS = { min: 2048, max: 8192 };
const MAX_MEMBER_LENGTH = 8192;
/** Bytes of a shared key: RFC 7518 section 3.2 asks for as many as the hash has. */
const MIN_SHARED = { HS256: 32, HS384: 48, HS512: 64 } as const;
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

/** Throws Error, with a reason for a person, where the text is no JWK Set or holds no key of use. */
export function parseKeySet(text: string, { shared, before }: KeySetOptions): KeySet {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  const list = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(list)) throw new Error('it is not a JWK Set: there is no list called keys');
  if (list.length > MAX_KEYS) throw new Error(`it holds ${list.length} keys, at most ${MAX_KEYS} are taken`);
  const known = new Map((before?.keys ?? []).map((key) => [key.fingerprint, key]));
  const keys = list.flatMap((jwk: unknown) => {
    const key = keyOf(jwk, shared);
    return key === null ? [] : [known.get(key.fingerprint) ?? key];
  });
  if (keys.length === 0) throw new Error('it holds no key that can verify a signature');
  return new KeySet(keys);
}

function keyOf(value: unknown, shared: boolean): VerificationKey | null {
  if (typeof value !== 'object' || value === null) return null;
  const members = Object.entries(value as Record<string, unknown>);
  if (members.some(([, member]) => typeof member === 'string' && member.length > MAX_MEMBER_LENGTH)) return null;
  const jwk = publicPart(value as JWK, shared);
  if (jwk.use !== undefined && jwk.use !== 'sig') return null;
  if (Array.isArray(jwk.key_ops) && !jwk.key_ops.includes('verify')) return null;
  const algorithms = algorithmsOf(jwk, shared).filter((algorithm) => jwk.alg === undefined || jwk.alg === algorithm);
  if (algorithms.length === 0) return null;
  const { use: _use, key_ops: _operations, ...material } = jwk;
  const imports = new Map<TokenAlgorithm, Promise<ImportedKey>>();
  return {
    kid: typeof jwk.kid === 'string' ? jwk.kid : undefined,
    algorithms,
    fingerprint: JSON.stringify(Object.entries(material).sort(([a], [b]) => (a < b ? -1 : 1))),
    imported: (algorithm) => {
      const importing = imports.get(algorithm) ?? Promise.resolve(importJWK(material, algorithm));
      imports.set(algorithm, importing);
      return importing;
    },
  };
}

const PUBLIC_MEMBERS = ['kty', 'kid', 'use', 'key_ops', 'alg', 'n', 'e', 'crv', 'x', 'y'] as const;

/** A private key in a set by mistake is not kept. */
function publicPart(jwk: JWK, shared: boolean): JWK {
  const names: readonly string[] = shared && jwk.kty === 'oct' ? [...PUBLIC_MEMBERS, 'k'] : PUBLIC_MEMBERS;
  return Object.fromEntries(Object.entries(jwk).filter(([name]) => names.includes(name)));
}

function algorithmsOf(jwk: JWK, shared: boolean): TokenAlgorithm[] {
  switch (jwk.kty) {
    case 'RSA': {
      const bits = byteLength(jwk.n) * 8;
      if (bits < RSA_BITS.min || bits > RSA_BITS.max) return [];
      return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
    }
    case 'EC':
      if (jwk.crv === 'P-256') return ['ES256'];
      if (jwk.crv === 'P-384') return ['ES384'];
      return jwk.crv === 'P-521' ? ['ES512'] : [];
    case 'OKP':
      return jwk.crv === 'Ed25519' ? ['EdDSA'] : [];
    case 'oct': {
      if (!shared) return [];
      const length = byteLength(jwk.k);
      return (Object.keys(MIN_SHARED) as (keyof typeof MIN_SHARED)[]).filter((name) => length >= MIN_SHARED[name]);
    }
    default:
      return [];
  }
}

/** Of base64url, without leading zero bytes (RFC 7518 section 6.3.1.1 forbids them, some write them). */
function byteLength(text: unknown): number {
  if (typeof text !== 'string') return 0;
  const bytes = Buffer.from(text, 'base64url');
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : bytes.length - first;
}
