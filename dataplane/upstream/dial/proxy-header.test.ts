/** Headers as receivers read them: HAProxy's examples, and IPv6 in all its forms. */
import { expect, test } from 'vitest';
import { type ProxiedClient, proxyHeader } from './proxy-header.ts';

const client = (sourceAddress: string, destinationAddress: string): ProxiedClient => ({
  sourceAddress,
  sourcePort: 56_324,
  destinationAddress,
  destinationPort: 443,
});

test.each([
  ['192.168.0.1', '192.168.0.11', 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'],
  ['2001:db8::1', '::1', 'PROXY TCP6 2001:db8::1 ::1 56324 443\r\n'],
  ['192.168.0.1', 'fd00::1', 'PROXY TCP6 ::ffff:192.168.0.1 fd00::1 56324 443\r\n'],
  ['fe80::1%eth0', '::1', 'PROXY TCP6 fe80::1 ::1 56324 443\r\n'],
  ['', '::1', 'PROXY UNKNOWN\r\n'],
  ['192.168.0.1\r\nx', '::1', 'PROXY UNKNOWN\r\n'],
])('v1: %s to %s', (source, destination, header) => {
  expect(proxyHeader('v1', client(source, destination))).toBe(header);
});

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');

test.each([
  ['192.168.0.1', '192.168.0.11', '2111000cc0a80001c0a8000bdc0401bb'],
  ['2001:db8::1', '::', `21210024${'20010db8000000000000000000000001'}${'0'.repeat(32)}dc0401bb`],
  [
    '192.168.0.1',
    '1:2:3:4:5:6:7:8',
    `21210024${'00000000000000000000ffffc0a80001'}${'00010002000300040005000600070008'}dc0401bb`,
  ],
  [
    '1::',
    '::ffff:10.0.0.1',
    `21210024${'00010000000000000000000000000000'}${'00000000000000000000ffff0a000001'}dc0401bb`,
  ],
  ['', '', '20000000'],
])('v2: %s to %s', (source, destination, rest) => {
  expect(hex(proxyHeader('v2', client(source, destination)))).toBe(SIGNATURE + rest);
});

test('without a client the connection is the own one', () => {
  expect(proxyHeader('v1', null)).toBe('PROXY UNKNOWN\r\n');
  expect(hex(proxyHeader('v2', null))).toBe(`${SIGNATURE}20000000`);
});
