/**
 * Fields into a header block (RFC 7541) without state: names from the static table, values as they are. nginx and others do the same: a
 * dynamic table would save bytes on the wire for a look-up a field, and could leak what one client's responses share.
 */
import { STATIC_NAMES } from './static-table.ts';

/** Upper bound of the bytes that one field takes beyond its text. */
export const FIELD_OVERHEAD = 12;
/** Without a call into the runtime up to this many characters. */
const SHORT = 48;
const NEVER_INDEXED = 0x10;

/** Writes `:status`; returns the offset after it. */
export function encodeStatus(out: Buffer, at: number, status: number): number {
  switch (status) {
    case 200:
      out[at] = 0x88;
      return at + 1;
    case 204:
      out[at] = 0x89;
      return at + 1;
    case 206:
      out[at] = 0x8a;
      return at + 1;
    case 304:
      out[at] = 0x8b;
      return at + 1;
    case 400:
      out[at] = 0x8c;
      return at + 1;
    case 404:
      out[at] = 0x8d;
      return at + 1;
    case 500:
      out[at] = 0x8e;
      return at + 1;
    default:
      return encodeField(out, at, ':status', String(status));
  }
}

/** Writes one field, literal and not indexed; `out` has room for both texts and FIELD_OVERHEAD. Returns the offset after it. */
export function encodeField(out: Buffer, at: number, name: string, value: string): number {
  let to = at;
  // Credentials must not be compressed again by proxies further on (RFC 7541 section 7.1.3).
  const flags = name === 'set-cookie' || name === 'authorization' ? NEVER_INDEXED : 0;
  const index = STATIC_NAMES.get(name);
  if (index === undefined) {
    out[to++] = flags;
    to = encodeText(out, to, name);
  } else to = encodeInteger(out, to, index, 15, flags);
  return encodeText(out, to, value);
}

function encodeText(out: Buffer, at: number, text: string): number {
  const { length } = text;
  let to = encodeInteger(out, at, length, 127, 0);
  if (length > SHORT) return to + out.write(text, to, length, 'latin1');
  for (let i = 0; i < length; i++) out[to++] = text.charCodeAt(i);
  return to;
}

function encodeInteger(out: Buffer, at: number, value: number, mask: number, flags: number): number {
  let to = at;
  if (value < mask) {
    out[to++] = flags | value;
    return to;
  }
  out[to++] = flags | mask;
  let rest = value - mask;
  while (rest >= 128) {
    out[to++] = (rest & 127) | 128;
    rest >>= 7;
  }
  out[to++] = rest;
  return to;
}
