/** Hashes of new passwords, as PHC strings. Parameters: OWASP Password Storage Cheat Sheet, those that need the least memory. */
import { argon2, randomBytes, scrypt } from 'node:crypto';

export type HashAlgorithm = 'argon2id' | 'scrypt';

const ARGON2 = { memory: 19_456, passes: 2, parallelism: 1 };
const SCRYPT = { ln: 15, r: 8, p: 3 };
const SALT_BYTES = 16;
const DIGEST_BYTES = 32;

const MIN_LENGTH = 8;
const MAX_LENGTH = 1024;

/** Undefined: it can be one. Control characters can't be sent (RFC 7617 section 2). */
export function passwordProblem(password: string): string | undefined {
  if (password.length < MIN_LENGTH) return `a password has at least ${MIN_LENGTH} characters`;
  if (password.length > MAX_LENGTH) return `a password has at most ${MAX_LENGTH} characters`;
  if (!password.isWellFormed() || /[\x00-\x1f\x7f]/.test(password)) return 'a password holds no control characters';
  return undefined;
}

/** In NFC, as the gateway reads passwords. */
export async function hashPassword(password: string, algorithm: HashAlgorithm): Promise<string> {
  const text = password.normalize('NFC');
  const salt = randomBytes(SALT_BYTES);
  const digest = await (algorithm === 'argon2id' ? argon2Digest(text, salt) : scryptDigest(text, salt));
  const parameters =
    algorithm === 'argon2id'
      ? `v=19$m=${ARGON2.memory},t=${ARGON2.passes},p=${ARGON2.parallelism}`
      : `ln=${SCRYPT.ln},r=${SCRYPT.r},p=${SCRYPT.p}`;
  return `$${algorithm}$${parameters}$${unpadded(salt)}$${unpadded(digest)}`;
}

function argon2Digest(text: string, nonce: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parameters = { ...ARGON2, message: Buffer.from(text), nonce, tagLength: DIGEST_BYTES };
    argon2('argon2id', parameters, (error, digest) => (error === null ? resolve(digest) : reject(error)));
  });
}

function scryptDigest(text: string, salt: Buffer): Promise<Buffer> {
  const { ln, r, p } = SCRYPT;
  const cost = 2 ** ln;
  const options = { cost, blockSize: r, parallelization: p, maxmem: 256 * cost * r };
  return new Promise((resolve, reject) => {
    scrypt(text, salt, DIGEST_BYTES, options, (error, digest) => (error === null ? resolve(digest) : reject(error)));
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
