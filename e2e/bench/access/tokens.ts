/** Signed tokens as an identity provider gives them out, some 600 characters each, and the key set to verify them with. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export const ISSUER = 'https://login.bench.test';
export const AUDIENCE = 'bench';

export type SigningAlgorithm = 'RS256' | 'ES256';

export class TokenMaker {
  /** JWK Set (RFC 7517) with both public keys. */
  readonly jwks: string;
  readonly #keys: Readonly<Record<SigningAlgorithm, KeyObject>>;
  #made = 0;

  constructor() {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#keys = { RS256: rsa.privateKey, ES256: ec.privateKey };
    const keys = [
      { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'RS256', alg: 'RS256', use: 'sig' },
      { ...ec.publicKey.export({ format: 'jwk' }), kid: 'ES256', alg: 'ES256', use: 'sig' },
    ];
    this.jwks = JSON.stringify({ keys });
  }

  /** No two are alike. They hold for a day. */
  make(algorithm: SigningAlgorithm): string {
    const id = ++this.#made;
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: ISSUER,
      aud: AUDIENCE,
      sub: `user-${id}`,
      email: `user-${id}@bench.test`,
      scope: 'orders:read orders:write',
      groups: ['staff', 'tides'],
      iat: now,
      exp: now + 86_400,
      jti: `${id.toString(16).padStart(8, '0')}-bench`,
    };
    const text = `${encoded({ alg: algorithm, typ: 'JWT', kid: algorithm })}.${encoded(claims)}`;
    const key = this.#keys[algorithm];
    const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  }

  many(count: number, algorithm: SigningAlgorithm): string[] {
    return Array.from({ length: count }, () => this.make(algorithm));
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
