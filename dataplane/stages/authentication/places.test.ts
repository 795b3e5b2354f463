import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import type { CredentialPlace } from '../../snapshot/sections/authentication/source.ts';
import { cookieValue, createPlaces, queryValue } from './places.ts';

const header = (name: string, scheme = ''): CredentialPlace => ({ in: 'header', name, scheme });
const find = (place: CredentialPlace, line: string, fields: string[] = []) => {
  const exchange = memoryExchange(line, { fields });
  const places = createPlaces([place]);
  const found = places.find(exchange);
  places.strip(exchange);
  return { found, query: exchange.query, fields: exchange.headers.fields };
};

test.each([
  ['a header', header('x-key'), 'GET /', ['x-key', 'k', 'x-a', '1'], 'k', undefined, ['x-a', '1']],
  [
    'a scheme, whatever its case',
    header('authorization', 'Bearer'),
    'GET /',
    ['authorization', 'bEARER  t'],
    't',
    undefined,
    [],
  ],
  [
    "another scheme is another method's",
    header('authorization', 'Bearer'),
    'GET /',
    ['authorization', 'Basic x'],
    undefined,
    undefined,
    ['authorization', 'Basic x'],
  ],
  [
    'a scheme alone',
    header('authorization', 'Bearer'),
    'GET /',
    ['authorization', 'Bearer'],
    undefined,
    undefined,
    ['authorization', 'Bearer'],
  ],
  [
    'a parameter, decoded, and gone',
    { in: 'query', name: 'key' },
    'GET /?a=1&key=x%2By+z&b=2',
    [],
    'x+y z',
    'a=1&b=2',
    [],
  ],
  ['a parameter whose name is encoded', { in: 'query', name: 'key' }, 'GET /?k%65y=x', [], 'x', undefined, []],
  ['an empty parameter', { in: 'query', name: 'key' }, 'GET /?key', [], '', undefined, []],
  [
    'a parameter twice: the first counts, both go',
    { in: 'query', name: 'key' },
    'GET /?key=a&key=b',
    [],
    'a',
    undefined,
    [],
  ],
  [
    'a cookie among others',
    { in: 'cookie', name: 'key' },
    'GET /',
    ['cookie', 'a=1; key="v"; b=2'],
    'v',
    undefined,
    ['cookie', 'a=1; b=2'],
  ],
  [
    'a cookie in a second field',
    { in: 'cookie', name: 'key' },
    'GET /',
    ['cookie', 'a=1', 'cookie', 'key=v'],
    'v',
    undefined,
    ['cookie', 'a=1'],
  ],
  [
    'no such cookie',
    { in: 'cookie', name: 'key' },
    'GET /',
    ['cookie', 'monkey=1'],
    undefined,
    undefined,
    ['cookie', 'monkey=1'],
  ],
] as [string, CredentialPlace, string, string[], string | undefined, string | undefined, string[]][])(
  '%s',
  (_what, place, line, given, found, query, fields) => {
    expect(find(place, line, given)).toEqual({ found, query, fields });
  },
);

test('the first place that holds something counts, and all are emptied', () => {
  const places = createPlaces([header('x-key'), { in: 'query', name: 'key' }]);
  const exchange = memoryExchange('GET /?key=q', { fields: ['x-key', 'h'] });
  expect(places.find(exchange)).toBe('h');
  places.strip(exchange);
  expect([exchange.query, exchange.headers.fields]).toEqual([undefined, []]);
});

test('whatever stands in a query or a cookie, reading it does not throw, and what is stripped is gone', () => {
  const text = fc.string({ unit: fc.constantFrom(...'key=&;,%2B"+ 4'.split('')), maxLength: 40 });
  fc.assert(
    fc.property(text, (raw) => {
      expect(() => cookieValue(raw, 'key')).not.toThrow();
      expect(() => queryValue(raw, 'key')).not.toThrow();
      const left = find({ in: 'query', name: 'key' }, `GET /?${raw.replaceAll(' ', '')}`).query;
      expect(left === undefined ? undefined : queryValue(left, 'key')).toBeUndefined();
      const cookies = find({ in: 'cookie', name: 'key' }, 'GET /', ['cookie', raw]).fields;
      expect(cookieValue(cookies[1], 'key')).toBeUndefined();
    }),
  );
});
