/**
 * JWK Sets (RFC 7517), bounded: read by the controller to refuse what can't be used, by the data plane to verify with. What can't verify a
 * signature here is left out, and so is the private part of a key that stands in a set by mistake.
 */
import { SHARED_KEY_ALGORITHMS, type TokenAlgorithm } from './sections/authentication/jwt.ts';

export interface ReadKey {
  /** Undefined: it fits any key id. */
  readonly kid: string | undefined;
  /** What it may verify: by its type, and by its `alg` where it has one. */
  readonly algorithms: readonly TokenAlgorithm[];
  /** The members that make the key, `kid` and `alg` among them. */
  readonly members: Readonly<Record<string, string>>;
}

export const MAX_KEYS = 100;
/** Bits of an RSA modulus; below is breakable (RFC 7518 section 3.3), above takes milliseconds a token. */
const RSA_BITS = { min: 2048, max: 8192 };
const MAX_MEMBER_LENGTH = 8192;
/** Bytes of a shared key: RFC 7518 section 3.2 asks for as many as the hash has. */
const MIN_SHARED = { HS256: 32, HS384: 48, HS512: 64 } as const;

/** `shared`: symmetric keys count too. A text says, for a person, why it is no set of use: `it is not JSON`. */
export function readJwkSet(text: string, shared: boolean): readonly ReadKey[] | string {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const list = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(list)) return 'it is not a JWK Set: there is no list called keys';
  if (list.length > MAX_KEYS) return `it holds ${list.length} keys, at most ${MAX_KEYS} are taken`;
  const keys = list.flatMap((jwk: unknown) => readKey(jwk, shared) ?? []);
  return keys.length === 0 ? 'it holds no key that can verify a signature' : keys;
}

const PUBLIC_MEMBERS: readonly string[] = ['kty', 'kid', 'alg', 'n', 'e', 'crv', 'x', 'y'];

function readKey(value: unknown, shared: boolean): ReadKey | null {
  if (typeof value !== 'object' || value === null) return null;
  const { use, key_ops: operations, kty } = value as { use?: unknown; key_ops?: unknown; kty?: unknown };
  if (use !== undefined && use !== 'sig') return null;
  if (Array.isArray(operations) && !operations.includes('verify')) return null;
  const members: Record<string, string> = {};
  for (const [name, member] of Object.entries(value)) {
    if (!PUBLIC_MEMBERS.includes(name) && !(shared && kty === 'oct' && name === 'k')) continue;
    if (typeof member !== 'string' || member.length > MAX_MEMBER_LENGTH) return null;
    members[name] = member;
  }
  const algorithms = algorithmsOf(members, shared).filter((one) => members.alg === undefined || members.alg === one);
  return algorithms.length === 0 ? null : { kid: members.kid, algorithms, members };
}

function algorithmsOf({ kty, crv, n, k }: Readonly<Record<string, string>>, shared: boolean): TokenAlgorithm[] {
  switch (kty) {
    case 'RSA': {
      const bits = byteLength(n) * 8;
      if (bits < RSA_BITS.min || bits > RSA_BITS.max) return [];
      return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
    }
    case 'EC':
      if (crv === 'P-256') return ['ES256'];
      if (crv === 'P-384') return ['ES384'];
      return crv === 'P-521' ? ['ES512'] : [];
    case 'OKP':
      return crv === 'Ed25519' ? ['EdDSA'] : [];
    case 'oct':
      return shared ? SHARED_KEY_ALGORITHMS.filter((name) => byteLength(k) >= MIN_SHARED[name]) : [];
    default:
      return [];
  }
}

/** Of base64url, without leading zero bytes (RFC 7518 section 6.3.1.1 forbids them, some write them). */
function byteLength(text: string | undefined): number {
  const bytes = Buffer.from(text ?? '', 'base64url');
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : bytes.length - first;
}
