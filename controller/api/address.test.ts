import { expect, test } from 'vitest';
import { isAddress, isCidr } from './address.ts';
import { closest } from './closest.ts';
import { durationMs, parseDurationMs } from './duration.ts';

test.each(['10.0.0.1', '::1', '2001:DB8::1', '::', '64:ff9b::1.2.3.4'])('%s is an address', (text) =>
  expect(isAddress(text)).toBe(true),
);

test.each([
  '',
  '10.0.0',
  '01.2.3.4',
  '256.1.1.1',
  '10.0.0.0/8',
  'fe80::1%eth0',
  '::ffff:1.2.3.4',
  '0:0:0:0:0:ffff:102:304',
  '[::1]',
])('%s is none', (text) => expect(isAddress(text)).toBe(false));

test.each(['10.0.0.0/8', '10.0.0.1/8', '1.2.3.4/0', '::/0', '2001:db8::/32', '10.0.0.1'])('%s is a block', (text) =>
  expect(isCidr(text)).toBe(true),
);

test.each(['10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/', '/8', '2001:db8::/129', '10.0.0.0/-1', '::ffff:1.2.3.4/128'])(
  '%s is none',
  (text) => expect(isCidr(text)).toBe(false),
);

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['1h30m', 5_400_000],
  ['0s', 0],
  ['1m1m', 120_000],
])('%s is %d ms', (text, ms) => expect(parseDurationMs(text)).toBe(ms));

test.each(['', '10', '1.5s', '-1s', '1d', '1s ', '100000s', '1h1h1h1h1h'])('%j is no duration', (text) => {
  expect(parseDurationMs(text)).toBeNull();
  expect(() => durationMs(text)).toThrow(RangeError);
});

test.each([
  ['headrs', 'headers'],
  ['Gateway', 'gateway'],
  ['ruels', 'rules'],
  ['hots', 'hosts'],
  ['kubernetes', null],
  ['', null],
])('%s means %s', (word, meant) => expect(closest(word, ['hosts', 'rules', 'gateway', 'headers'])).toBe(meant));
