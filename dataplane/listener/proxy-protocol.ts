/**
 * What a proxy says of a client before the connection's own bytes (haproxy.org/download/2.9/doc/proxy-protocol.txt, versions 1 and 2).
 * Strict: what is not exactly of one of the two forms is bad.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { plainAddress } from './client-address.ts';

/** Section 2.1: the longest line, its CRLF included. */
const MAX_V1_BYTES = 107;
const V2_HEAD_BYTES = 16;
/** Addresses take 36 bytes of it, the rest are TLVs, which are passed over. */
export const MAX_V2_BYTES = 4096;

const V1_START = Buffer.from('PROXY ');
const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** `TCP4 source destination port port`. */
const V1_LINE = /^TCP([46]) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/;

export interface ProxyHeader {
  /** Of the whole header. */
  readonly bytes: number;
  /** Null: the connection is the proxy's own (LOCAL, UNKNOWN, or addresses that are none of IP). */
  readonly source: { readonly address: string; readonly port: number } | null;
}

/** `more`: not whole yet. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  if (begins(bytes, V1_START)) return bytes.length <= V1_START.length ? 'more' : readLine(bytes);
  if (begins(bytes, V2_SIGNATURE)) return bytes.length < V2_HEAD_BYTES ? 'more' : readBinary(bytes);
  return 'bad';
}

/** As far as there is something to compare. */
function begins(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
}

function readLine(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const end = bytes.indexOf('\r\n');
  if (end < 0 || end + 2 > MAX_V1_BYTES) return end < 0 && bytes.length < MAX_V1_BYTES ? 'more' : 'bad';
  const line = bytes.toString('latin1', V1_START.length, end);
  const length = end + 2;
  // What follows UNKNOWN must be ignored.
  if (/^UNKNOWN(?: |$)/.test(line)) return { bytes: length, source: null };
  const found = V1_LINE.exec(line);
  if (found === null) return 'bad';
  const [, family, source = '', destination = '', sourcePort, destinationPort] = found;
  const isOne = family === '4' ? isIPv4 : isIPv6;
  if (!isOne(source) || !isOne(destination)) return 'bad';
  if (Number(sourcePort) > 65_535 || Number(destinationPort) > 65_535) return 'bad';
  return { bytes: length, source: { address: canonical(source), port: Number(sourcePort) } };
}

const VERSION_2 = 0x2;
const LOCAL = 0x0;
const PROXY = 0x1;
const TCP4 = 0x11;
const TCP6 = 0x21;

function readBinary(bytes: Buffer): ProxyHeader | 'more' | 'bad' {
  const version = (bytes[12] as number) >> 4;
  const command = (bytes[12] as number) & 0xf;
  const family = bytes[13] as number;
  const length = V2_HEAD_BYTES + bytes.readUInt16BE(14);
  if (version !== VERSION_2 || command > PROXY || length > MAX_V2_BYTES) return 'bad';
  if (family >> 4 > 3 || (family & 0xf) > 2) return 'bad';
  if (bytes.length < length) return 'more';
  if (command === LOCAL) return { bytes: length, source: null };
  if (family === TCP4) {
    if (length < V2_HEAD_BYTES + 12) return 'bad';
    return { bytes: length, source: { address: bytes.subarray(16, 20).join('.'), port: bytes.readUInt16BE(24) } };
  }
  if (family === TCP6) {
    if (length < V2_HEAD_BYTES + 36) return 'bad';
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + 2 * i).toString(16));
    return { bytes: length, source: { address: canonical(groups.join(':')), port: bytes.readUInt16BE(48) } };
  }
  return { bytes: length, source: null };
}

/** One form for one address (RFC 5952), as limits and logs go by its text. */
function canonical(address: string): string {
  if (!address.includes(':')) return address;
  return plainAddress(new SocketAddress({ address, family: 'ipv6' }).address);
}
