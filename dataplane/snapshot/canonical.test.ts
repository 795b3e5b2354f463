import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalBytes, canonicalJson, hashBody } from './canonical.ts';

test('sorts keys at every depth, keeps array order, leaves undefined out', () => {
  const value = { b: [2, 1, { z: null, a: true }], a: 'x', gone: undefined };
  expect(canonicalJson(value)).toBe('{"a":"x","b":[2,1,{"a":true,"z":null}]}');
  expect(canonicalJson({ gone: undefined })).toBe('{}');
});

test('sorts by UTF-16 code unit as RFC 8785 section 3.2.3 shows', () => {
  const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 };
  expect(canonicalJson(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}');
});

test('refuses what JSON can not hold', () => {
  for (const bad of [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    undefined,
    [undefined],
    1n,
    () => 0,
    new Map(),
    new Date(0),
  ]) {
    expect(() => canonicalJson({ bad: [bad] })).toThrow(TypeError);
  }
});

test('any JSON value survives, and the order in which keys were set does not show', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(canonicalJson(reverseKeys(value))).toBe(text);
    }),
  );
});

test('the hash is the first 128 bits of SHA-256', () => {
  // FIPS 180-2 appendix B.1: SHA-256("abc").
  expect(hashBody(Buffer.from('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223');
  expect(Buffer.from(canonicalBytes('ü')).toString('hex')).toBe('22c3bc22');
});

function reverseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseKeys);
  if (typeof value !== 'object' || value === null) return value;
  const pairs = Object.entries(value).reverse();
  return Object.fromEntries(pairs.map(([key, member]) => [key, reverseKeys(member)]));
}
