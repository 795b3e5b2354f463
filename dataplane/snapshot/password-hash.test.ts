import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readPasswordHash } from './password-hash.ts';

const SALT = 'c2FsdHNhbHQ';
const DIGEST = 'A'.repeat(43);
const scrypt = (parameters: string) => `$scrypt$${parameters}$${SALT}$${DIGEST}`;
const argon2id = (parameters: string) => `$argon2id$v=19$${parameters}$${SALT}$${DIGEST}`;
const bcrypt = (start: string) => `${start}${'a'.repeat(53)}`;

test.each([
  [scrypt('ln=14,r=8,p=1'), 'scrypt'],
  [scrypt('ln=17,r=8,p=4'), 'scrypt'],
  [argon2id('m=19456,t=2,p=1'), 'argon2id'],
  [argon2id('m=4096,t=3,p=4'), 'argon2id'],
  [bcrypt('$2y$10$'), 'bcrypt'],
  [bcrypt('$2b$05$'), 'bcrypt'],
  [bcrypt('$2a$14$'), 'bcrypt'],
])('%s is taken', (text, algorithm) => {
  expect(readPasswordHash(text)).toMatchObject({ algorithm });
});

describe.each([
  ['hunter2hunter2', 'plain password'],
  ['', 'plain password'],
  ['$apr1$c2FsdA$0123456789abcdefghij..', 'MD5'],
  ['$1$c2FsdA$0123456789abcdefghij..', 'MD5'],
  ['{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', 'SHA-1'],
  ['$6$c2FsdA$0123456789abcdefghij', 'SHA-crypt'],
  ['5f4dcc3b5aa765d61d8327deb882cf99', 'plain password'],
  ['rqXexS6ZhobKA', 'plain password'],
  ['$argon2i$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', 'another kind than argon2id'],
  [argon2id('m=4096,t=1,p=1'), 'too cheap'],
  [argon2id('m=1048576,t=1,p=1'), 'too dear'],
  [argon2id('m=65536,t=3,p=0'), 'parallelism'],
  [argon2id('t=3,m=65536,p=4'), 'as PHC writes it'],
  [argon2id('m=65536,t=3,p=4').replace('v=19', 'v=16'), 'as PHC writes it'],
  [scrypt('ln=10,r=8,p=1'), 'too cheap'],
  [scrypt('ln=20,r=8,p=1'), 'too dear'],
  [scrypt('ln=18,r=16,p=1'), 'too dear'],
  [scrypt('ln=14,r=0,p=1'), 'too cheap'],
  [`$scrypt$ln=14,r=8,p=1$c2FsdA$${DIGEST}`, 'salt'],
  [`$scrypt$ln=14,r=8,p=1$${SALT}$c2FsdA`, 'hash part'],
  [`$scrypt$ln=14,r=8,p=1$${SALT}=$${DIGEST}`, 'as PHC writes it'],
  [bcrypt('$2y$04$'), 'cost of 4'],
  [bcrypt('$2y$15$'), 'cost of 15'],
  [`${bcrypt('$2y$10$')}a`, 'not a bcrypt hash'],
  ['$'.repeat(513), 'longer than 512'],
])('%s', (text, reason) => {
  test('is refused with its reason and without quoting it', () => {
    const read = readPasswordHash(text);
    expect(read).toContain(reason);
    if (text.length > 8) expect(read).not.toContain(text.slice(-8));
  });
});

test('never throws, and what it takes is within its bounds', () => {
  const piece = fc.constantFrom('$', 'scrypt', 'argon2id', '2y', 'v=19', 'ln=', 'm=', 't=', 'p=', ',', SALT, DIGEST);
  const near = fc.array(fc.oneof(piece, fc.nat(1 << 21).map(String)), { maxLength: 16 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(near, fc.string()), (text) => {
      const read = readPasswordHash(text);
      if (typeof read === 'string') return true;
      if (read.algorithm === 'scrypt') return 128 * read.cost * read.blockSize <= 256 * 2 ** 20;
      if (read.algorithm === 'argon2id') return read.memoryKib <= 262_144;
      return read.cost <= 14;
    }),
  );
});
