import { expect, test } from 'vitest';
import { forwardedElement, forwardedFromRight } from './forwarded.ts';

test.each<[string, number, object | null]>([
  ['for=192.0.2.60;proto=HTTPS;by=203.0.113.43', 1, { node: '192.0.2.60', proto: 'https' }],
  ['For="[2001:db8:cafe::17]:4711"', 1, { node: '[2001:db8:cafe::17]:4711', proto: '' }],
  ['for=192.0.2.43, for=198.51.100.17;proto=http', 2, { node: '192.0.2.43', proto: '' }],
  ['for="a,b;c", for=_x', 2, { node: 'a,b;c', proto: '' }],
  ['for="a\\"b"', 1, { node: 'a"b', proto: '' }],
  ['for=_x', 2, null],
  ['for="unclosed', 1, null],
  ['for=a b', 1, null],
  ['for=a;for=b', 1, null],
  ['for = a', 1, null],
  ['for=1.2.3.4;', 1, { node: '1.2.3.4', proto: '' }],
])('%j, %i from the right', (value, n, expected) => {
  expect(forwardedFromRight(value, n)).toEqual(expected);
});

test('what is written is read back', () => {
  expect(forwardedElement('2001:db8::1', 'a.example:8080', 'https')).toBe(
    'for="[2001:db8::1]";host="a.example:8080";proto=https',
  );
  expect(forwardedFromRight(forwardedElement('192.0.2.1', '[::1]:80', 'http'), 1)).toEqual({
    node: '192.0.2.1',
    proto: 'http',
  });
});
