/** Encrypts what browsers and stores keep for us (JWE, direct encryption with AES-256-GCM), with keys that can be rotated. */
import { hash, hkdfSync } from 'node:crypto';
import { EncryptJWT, jwtDecrypt } from 'jose';
import type { Secret } from '../../secret.ts';

export interface SealerOptions {
  /** The first one encrypts, all decrypt. */
  readonly secrets: readonly Secret[];
  /** What is sealed for one purpose is nothing for another, though the secrets are the same. */
  readonly purpose: string;
  readonly epochMs: () => number;
}

interface Key {
  readonly id: string;
  readonly bytes: Uint8Array;
}

export class Sealer {
  readonly #keys: readonly Key[];
  readonly #epochMs: () => number;

  constructor({ secrets, purpose, epochMs }: SealerOptions) {
    this.#epochMs = epochMs;
    this.#keys = secrets.map((secret) => {
      const bytes = new Uint8Array(hkdfSync('sha256', secret.bytes(), '', `tidegate ${purpose}`, 32));
      return { id: hash('sha256', bytes, 'base64url').slice(0, 8), bytes };
    });
  }

  /** Text for a cookie, good until then. */
  seal(content: object, untilMs: number): Promise<string> {
    const key = this.#keys[0] as Key;
    return new EncryptJWT({ c: content })
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key.id })
      .setExpirationTime(new Date(untilMs))
      .encrypt(key.bytes);
  }

  /** Null: not ours, changed, of a key that is gone, or over. */
  async open(text: string): Promise<unknown> {
    try {
      const { payload } = await jwtDecrypt(text, ({ kid }) => this.#keyOf(kid), {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM'],
        currentDate: new Date(this.#epochMs()),
        requiredClaims: ['exp'],
      });
      return payload.c ?? null;
    } catch {
      return null;
    }
  }

  #keyOf(kid: string | undefined): Uint8Array {
    const key = this.#keys.find(({ id }) => id === kid);
    if (key === undefined) throw new Error('no such key');
    return key.bytes;
  }
}
