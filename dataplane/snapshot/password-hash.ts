/**
 * Password hashes as both sides take them: scrypt and argon2id as PHC strings (github.com/P-H-C/phc-string-format), bcrypt in its own
 * form. The bounds keep one verification between what is worth having and what nobody can use to stall a data plane.
 */

export type PasswordHash =
  | {
      readonly algorithm: 'scrypt';
      /** N, r and p of RFC 7914. */
      readonly cost: number;
      readonly blockSize: number;
      readonly parallelization: number;
      readonly salt: Buffer;
      readonly digest: Buffer;
    }
  | {
      /** RFC 9106, version 1.3. */
      readonly algorithm: 'argon2id';
      readonly memoryKib: number;
      readonly passes: number;
      readonly parallelism: number;
      readonly salt: Buffer;
      readonly digest: Buffer;
    }
  | { readonly algorithm: 'bcrypt'; readonly cost: number; readonly text: string };

/** UTF-16 units. */
export const MAX_PASSWORD_HASH = 512;

/** N·r·p: from ln=14,r=8,p=1 to four times ln=17,r=8,p=1 (about 1.5 s). */
const SCRYPT_WORK = { min: 2 ** 17, max: 2 ** 22 };
/** 128·N·r bytes. */
const SCRYPT_MEMORY_MAX = 256 * 2 ** 20;
/** m·t in KiB: from the default of the `argon2` command (m=4096,t=3) to 1 GiB. */
const ARGON2_WORK = { min: 12_288, max: 2 ** 20 };
const ARGON2_MEMORY_MAX_KIB = 262_144;
/** From the default of `htpasswd -B`. */
const BCRYPT_COST = { min: 5, max: 14 };

const TAKEN = 'give a scrypt ($scrypt$…), argon2id ($argon2id$…) or bcrypt ($2y$…) hash';

/** A sentence without the hash in it where it is none that is taken. */
export function readPasswordHash(text: string): PasswordHash | string {
  if (text.length > MAX_PASSWORD_HASH) return `is longer than ${MAX_PASSWORD_HASH} characters: ${TAKEN}`;
  if (text.startsWith('$scrypt$')) return readScrypt(text);
  if (text.startsWith('$argon2id$')) return readArgon2id(text);
  if (/^\$2[aby]\$/.test(text)) return readBcrypt(text);
  return `is ${nameOf(text)}: ${TAKEN}`;
}

function readScrypt(text: string): PasswordHash | string {
  const found = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(text);
  if (found === null) return 'is not a scrypt hash as PHC writes it: $scrypt$ln=…,r=…,p=…$salt$hash';
  const [, ln, r, p, salt, digest] = found;
  const hash = {
    algorithm: 'scrypt',
    cost: 2 ** Number(ln),
    blockSize: Number(r),
    parallelization: Number(p),
    ...bytesOf(salt, digest),
  } as const;
  const work = hash.cost * hash.blockSize * hash.parallelization;
  if (work < SCRYPT_WORK.min) return 'is too cheap: scrypt needs at least ln=14,r=8,p=1';
  if (work > SCRYPT_WORK.max || 128 * hash.cost * hash.blockSize > SCRYPT_MEMORY_MAX)
    return 'is too dear: scrypt may take up to ln=17,r=8,p=4 and 256 MiB';
  return lengthProblem(hash.salt, hash.digest) ?? hash;
}

function readArgon2id(text: string): PasswordHash | string {
  const found = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
    text,
  );
  if (found === null) return 'is not an argon2id hash as PHC writes it: $argon2id$v=19$m=…,t=…,p=…$salt$hash';
  const [, m, t, p, salt, digest] = found;
  const hash = {
    algorithm: 'argon2id',
    memoryKib: Number(m),
    passes: Number(t),
    parallelism: Number(p),
    ...bytesOf(salt, digest),
  } as const;
  const work = hash.memoryKib * hash.passes;
  if (work < ARGON2_WORK.min) return 'is too cheap: argon2id needs at least m=4096,t=3 or as much as that';
  if (work > ARGON2_WORK.max || hash.memoryKib > ARGON2_MEMORY_MAX_KIB)
    return 'is too dear: argon2id may take up to m=262144,t=4';
  if (hash.parallelism < 1 || hash.parallelism > 16 || hash.memoryKib < 8 * hash.parallelism)
    return 'has a parallelism argon2id does not allow: p is 1 to 16, and m at least 8·p';
  return lengthProblem(hash.salt, hash.digest) ?? hash;
}

function readBcrypt(text: string): PasswordHash | string {
  const found = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text);
  if (found === null) return 'is not a bcrypt hash: $2y$, two digits, $, and 53 characters';
  const cost = Number(found[1]);
  if (cost < BCRYPT_COST.min || cost > BCRYPT_COST.max)
    return `has a bcrypt cost of ${cost}; it may be ${BCRYPT_COST.min} to ${BCRYPT_COST.max}`;
  return { algorithm: 'bcrypt', cost, text };
}

function bytesOf(salt = '', digest = ''): { salt: Buffer; digest: Buffer } {
  return { salt: Buffer.from(salt, 'base64'), digest: Buffer.from(digest, 'base64') };
}

function lengthProblem(salt: Buffer, digest: Buffer): string | undefined {
  if (salt.length < 8 || salt.length > 64) return 'has a salt that is not 8 to 64 bytes long';
  if (digest.length < 16 || digest.length > 64) return 'has a hash part that is not 16 to 64 bytes long';
  return undefined;
}

function nameOf(text: string): string {
  if (/^\$(apr1|1)\$/.test(text)) return 'an MD5 hash, which is broken';
  if (/^\{SSHA\}|^\{SHA\}/i.test(text)) return 'a SHA-1 hash, which can be guessed by the billion';
  if (/^\$[56]\$/.test(text)) return 'a SHA-crypt hash, which is not taken';
  if (/^\$argon2[di]?\$/.test(text)) return 'an argon2 hash of another kind than argon2id';
  return 'a plain password, or a hash of a kind that is not known';
}
