import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyHash } from './hash.ts';

const hashOf = (hash: KeyHash, key: string): string => {
  hash.update(key);
  return `${hash.lo}/${hash.hi}`;
};

test('the same seed, prefix and key give the same 64 bits in every thread', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), fc.string(), fc.string({ unit: 'binary' }), (k0, k1, prefix, key) => {
      const one = new KeyHash([k0, k1], prefix);
      hashOf(one, 'another key before');
      expect(hashOf(one, key)).toBe(hashOf(new KeyHash([k0, k1], prefix), key));
    }),
  );
});

test('seed, prefix and key each change it, and a character does not pass from prefix to key', () => {
  const seen = new Set<string>();
  for (const seed of [
    [1, 2],
    [2, 1],
  ] as const) {
    for (const prefix of ['', 'a', 'ab', 'b']) {
      const hash = new KeyHash(seed, prefix);
      for (const key of ['', 'a', 'b', 'ab', 'ba', 'abc', 'Ā', '\0', '\0\0', 'a\0']) seen.add(hashOf(hash, key));
    }
  }
  expect(seen.size).toBe(80);
});

test('keys that differ little spread over all sets', () => {
  const hash = new KeyHash([0x12345678, 0x1abcdef0], 'policy/a/b/rateLimit per-client');
  const sets = new Uint32Array(1024);
  const pairs = new Set<string>();
  for (let i = 0; i < 65_536; i++) {
    pairs.add(hashOf(hash, `10.0.${i >> 8}.${i & 255}`));
    (sets[hash.lo & 1023] as number)++;
  }
  expect(pairs.size).toBe(65_536);
  // 64 a set, standard deviation 8: six of them.
  expect(Math.max(...sets)).toBeLessThan(64 + 48);
  expect(Math.min(...sets)).toBeGreaterThan(64 - 48);
});
