/** One verification of a password against its hash: slow on purpose, and never on the event loop. */
import { argon2, scrypt, timingSafeEqual } from 'node:crypto';
import { type PasswordHash, readPasswordHash } from '../snapshot/password-hash.ts';
import { BcryptThread } from './bcrypt-thread.ts';

/** Rejects where the hash can't be computed: none that readPasswordHash takes is of that kind. */
export async function verifyPassword(password: string, text: string, bcrypt: () => BcryptThread): Promise<boolean> {
  const hash = readPasswordHash(text);
  if (typeof hash === 'string') throw new TypeError(`a password hash ${hash}`);
  if (hash.algorithm === 'bcrypt') return bcrypt().verify(password, hash.text);
  return timingSafeEqual(await digestOf(password, hash), hash.digest);
}

export const startBcrypt = (): BcryptThread => new BcryptThread();

type Derived = Exclude<PasswordHash, { algorithm: 'bcrypt' }>;

function digestOf(password: string, hash: Derived): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, digest: Buffer) => (error === null ? resolve(digest) : reject(error));
    if (hash.algorithm === 'argon2id') {
      const { memoryKib, passes, parallelism, salt, digest } = hash;
      const message = Buffer.from(password);
      argon2(
        'argon2id',
        { message, nonce: salt, parallelism, tagLength: digest.length, memory: memoryKib, passes },
        done,
      );
      return;
    }
    const { cost, blockSize, parallelization, salt, digest } = hash;
    // OpenSSL counts a little more than 128·N·r.
    const maxmem = 128 * blockSize * (cost + parallelization + 64);
    scrypt(password, salt, digest.length, { cost, blockSize, parallelization, maxmem }, done);
  });
}
