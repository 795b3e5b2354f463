/** The two forms of the header: what is read, what is refused, and that a cut at any byte changes nothing. */
import { describe, expect, test } from 'vitest';
import { MAX_V2_BYTES, readProxyHeader } from './proxy-protocol.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

export function binary(verb: number, family: number, body: Buffer, length = body.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([verb, family, length >> 8, length & 0xff]), body]);
}

const V4 = Buffer.from('c0000207c6336401d90301bb', 'hex');
const V6 = Buffer.from(`20010db8${'00'.repeat(11)}07${'00'.repeat(15)}01d90301bb`, 'hex');
const MAPPED = Buffer.from(`${'00'.repeat(10)}ffffc0000207${'00'.repeat(15)}01d90301bb`, 'hex');
const TLVS = Buffer.from('04000401020304ea000101', 'hex');

const GOOD: [string, Buffer, { address: string; port: number } | null][] = [
  ['v1 IPv4', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 55555 443\r\n'), { address: '192.0.2.7', port: 55_555 }],
  ['v1 IPv6', Buffer.from('PROXY TCP6 2001:DB8:0:0::7 ::1 55555 443\r\n'), { address: '2001:db8::7', port: 55_555 }],
  ['v1 mapped', Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::1 5 4\r\n'), { address: '192.0.2.7', port: 5 }],
  ['v1 unknown', Buffer.from('PROXY UNKNOWN\r\n'), null],
  ['v1 unknown with more', Buffer.from('PROXY UNKNOWN ffff::1 what ever 1 2\r\n'), null],
  ['v2 IPv4', binary(0x21, 0x11, V4), { address: '192.0.2.7', port: 55_555 }],
  ['v2 IPv4 and TLVs', binary(0x21, 0x11, Buffer.concat([V4, TLVS])), { address: '192.0.2.7', port: 55_555 }],
  ['v2 IPv6', binary(0x21, 0x21, V6), { address: '2001:db8::7', port: 55_555 }],
  ['v2 mapped', binary(0x21, 0x21, MAPPED), { address: '192.0.2.7', port: 55_555 }],
  ['v2 local', binary(0x20, 0x00, Buffer.alloc(0)), null],
  ['v2 local with addresses', binary(0x20, 0x11, V4), null],
  ['v2 unspecified', binary(0x21, 0x00, Buffer.alloc(3)), null],
  ['v2 unix', binary(0x21, 0x31, Buffer.alloc(216)), null],
  [
    'v2 longest',
    binary(0x21, 0x11, Buffer.concat([V4, Buffer.alloc(MAX_V2_BYTES - 28)])),
    { address: '192.0.2.7', port: 55_555 },
  ],
];

test.each(GOOD)('%s, cut at every byte, and with what follows', (_name, header, source) => {
  for (let length = 1; length < header.length; length++)
    expect([length, readProxyHeader(header.subarray(0, length))]).toEqual([length, 'more']);
  for (const rest of ['', 'GET / HTTP/1.1\r\n\r\n', '\r\n'])
    expect(readProxyHeader(Buffer.concat([header, Buffer.from(rest)]))).toEqual({ bytes: header.length, source });
});

describe('refused', () => {
  test.each([
    'GET / HTTP/1.1\r\n',
    'PROXY\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 55555\r\n',
    'PROXY TCP4 192.0.2.7  198.51.100.1 55555 443\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 55555 443 \r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 055 443\r\n',
    'PROXY TCP4 192.0.2.256 198.51.100.1 55 443\r\n',
    'PROXY TCP4 2001:db8::7 ::1 55 443\r\n',
    'PROXY TCP6 192.0.2.7 198.51.100.1 55 443\r\n',
    'PROXY TCP5 192.0.2.7 198.51.100.1 55 443\r\n',
    'PROXY UNKNOWNS\r\n',
    'proxy TCP4 192.0.2.7 198.51.100.1 55 443\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 55 443\nX\r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
    `PROXY TCP4 ${'1'.repeat(100)}`,
    '\x16\x03\x01\x02',
  ])('%j', (text) => {
    expect(readProxyHeader(Buffer.from(text, 'latin1'))).toBe('bad');
  });

  test.each([
    ['version 1', binary(0x11, 0x11, V4)],
    ['an unknown command', binary(0x22, 0x11, V4)],
    ['an unknown family', binary(0x21, 0x41, V4)],
    ['an unknown transport', binary(0x21, 0x13, V4)],
    ['too short for IPv4', binary(0x21, 0x11, V4.subarray(1))],
    ['too short for IPv6', binary(0x21, 0x21, V6.subarray(1))],
    ['too long, before it is there', binary(0x21, 0x11, Buffer.alloc(0), MAX_V2_BYTES - 15)],
    ['another signature', Buffer.from('0d0a0d0a000d0a515549540b2111000c', 'hex')],
  ])('%s', (_name, bytes) => {
    expect(readProxyHeader(bytes)).toBe('bad');
  });
});
