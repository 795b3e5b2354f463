/**
 * The header (and trailer) section: one pass over the bytes that validates and notes where things are, and a second that makes the
 * strings. Both work on module-level scratch, used up before the next message is parsed.
 */
import { COLON, CR, HTAB, LF, SP, TOKEN_LOWER, VALUE } from './characters.ts';
import { findName, kindAt, nameAt, OTHER } from './names.ts';
import { BAD_FIELD_NAME, BAD_FIELD_VALUE, BAD_LINE_END, HEADERS_TOO_LARGE } from './refusals.ts';

export interface HeadLimits {
  /** Bytes of the request (or status) line with its CRLF. Above: 414. */
  readonly requestLineBytes: number;
  /** Bytes of all header lines with the empty one at the end. Above: 431. */
  readonly headerBytes: number;
  /** Number of header fields, at most 1000. Above: 431. */
  readonly headerCount: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = {
  requestLineBytes: 8 * 1024,
  headerBytes: 32 * 1024,
  headerCount: 100,
};

export const INCOMPLETE = 0;
const MAX_FIELDS = 1000;
/** Per field: slot of the name or -1, start and end of the name, start and end of the value. */
const spans = new Int32Array(MAX_FIELDS * 5);
let count = 0;

/** Number of fields the last successful `scanFields` found. */
export function fieldCount(): number {
  return count;
}

/** Kind (see names.ts) of the i-th field. */
export function fieldKind(i: number): number {
  const slot = spans[i * 5] as number;
  return slot < 0 ? OTHER : kindAt(slot);
}

/** Lower-case name of the i-th field; `text` holds the head from byte `base` on, one character a byte. */
export function fieldName(i: number, text: string, base: number): string {
  const slot = spans[i * 5] as number;
  if (slot >= 0) return nameAt(slot);
  return text.slice((spans[i * 5 + 1] as number) - base, (spans[i * 5 + 2] as number) - base).toLowerCase();
}

export function fieldValue(i: number, text: string, base: number): string {
  return text.slice((spans[i * 5 + 3] as number) - base, (spans[i * 5 + 4] as number) - base);
}

/** Whether there is a tab between the colon of the i-th field and the end of its line: where readers of framing fields have disagreed. */
export function tabAround(i: number, text: string, base: number): boolean {
  const from = (spans[i * 5 + 2] as number) - base;
  return text.slice(from, text.indexOf('\r', (spans[i * 5 + 4] as number) - base)).includes('\t');
}

let viewed: ArrayBufferLike | null = null;
let view: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0));

/**
 * Goes on over what a value may hold, four bytes at a time; stops at the latest where four hold a control character or `end` is near. A token of
 * 700 characters would else be a third of the time a head takes.
 */
function skipPlain(bytes: Uint8Array, from: number, end: number): number {
  const { buffer, byteOffset } = bytes;
  if (buffer !== viewed) {
    viewed = buffer;
    view = new DataView(buffer);
  }
  const last = end - 4;
  let at = from;
  while (at <= last) {
    const word = view.getInt32(byteOffset + at, true);
    const other = word ^ 0x7f7f7f7f;
    // The highest bit of a byte that is below 0x20, or 0x7f: a subtraction borrows into it.
    const found = ((word - 0x20202020) & ~word) | ((other - 0x01010101) & ~other);
    if ((found & 0x80808080) !== 0) break;
    at += 4;
  }
  return at;
}

/**
 * Scans field lines from `from` to the empty line that ends them (RFC 9112 section 5). Returns the offset after it, INCOMPLETE, or a
 * refusal. What it returns depends on the bytes only, never on how they were split: a refusal is that of the first offending byte, and
 * a limit is reached before what lies beyond it is looked at.
 */
export function scanFields(bytes: Uint8Array, from: number, available: number, limits: HeadLimits): number {
  const last = from + limits.headerBytes;
  const end = Math.min(available, last);
  const out = end === last ? HEADERS_TOO_LARGE : INCOMPLETE;
  const maxCount = Math.min(limits.headerCount, MAX_FIELDS);
  let at = from;
  let found = 0;
  for (;;) {
    if (at >= end) return out;
    let byte = bytes[at] as number;
    if (byte === CR) {
      if (at + 1 >= end) return out;
      if (bytes[at + 1] !== LF) return BAD_LINE_END;
      count = found;
      return at + 2;
    }
    if (byte === LF) return BAD_LINE_END;
    if (found === maxCount) return HEADERS_TOO_LARGE;
    const nameStart = at;
    let hash = 0;
    let lower = TOKEN_LOWER[byte] as number;
    while (lower !== 0) {
      hash = (Math.imul(hash, 31) + lower) | 0;
      if (++at >= end) return out;
      lower = TOKEN_LOWER[bytes[at] as number] as number;
    }
    if (bytes[at] !== COLON || at === nameStart) return BAD_FIELD_NAME;
    const nameEnd = at;
    if (++at >= end) return out;
    while (bytes[at] === SP || bytes[at] === HTAB) if (++at >= end) return out;
    const valueStart = at;
    at = skipPlain(bytes, at, end);
    if (at >= end) return out;
    byte = bytes[at] as number;
    while (VALUE[byte] !== 0) {
      if (++at >= end) return out;
      byte = bytes[at] as number;
    }
    if (byte !== CR) return byte === LF ? BAD_LINE_END : BAD_FIELD_VALUE;
    let valueEnd = at;
    if (++at >= end) return out;
    if (bytes[at] !== LF) return BAD_LINE_END;
    at++;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    const span = found * 5;
    spans[span] = findName(bytes, nameStart, nameEnd, hash);
    spans[span + 1] = nameStart;
    spans[span + 2] = nameEnd;
    spans[span + 3] = valueStart;
    spans[span + 4] = valueEnd;
    found++;
  }
}
