/**
 * The chunked coding (RFC 9112 section 7.1). The decoder is pulled: it never calls back and makes no object a chunk.
 */
import { latin1 } from '../io/latin1.ts';
import { CR, HTAB, LF, SP, TOKEN_LOWER, VALUE } from './characters.ts';
import { fieldCount, fieldName, fieldValue, type HeadLimits, scanFields } from './fields.ts';

/** What `step` found: more bytes are needed; data from `dataStart` to `dataEnd`; the end of the body (see `trailers`); a malformed body. */
export const CHUNK_MORE = 0;
export const CHUNK_DATA = 1;
export const CHUNK_END = 2;
export const CHUNK_BAD = 3;

export interface ChunkLimits {
  /** Bytes of chunk extensions in one body, all together; they are read over and dropped. */
  readonly extensionBytes: number;
  readonly trailers: HeadLimits;
}

export const DEFAULT_CHUNK_LIMITS: ChunkLimits = {
  extensionBytes: 4096,
  trailers: { requestLineBytes: 0, headerBytes: 8192, headerCount: 32 },
};

const SIZE = 0;
const SIZE_LF = 1;
const DATA = 2;
const DATA_CR = 3;
const DATA_LF = 4;
const TRAILERS = 5;
const DONE = 6;
/** From here on within a chunk extension. */
const BEFORE_EXTENSION = 7;
const BEFORE_NAME = 8;
const NAME = 9;
const BEFORE_VALUE = 10;
const TOKEN_VALUE = 11;
const QUOTED = 12;
const ESCAPED = 13;
const AFTER_NAME = 14;
const AFTER_QUOTED = 15;
const SEMICOLON = 59;
const EQUALS = 61;
const QUOTE = 34;
const BACKSLASH = 92;

/** Where a byte of a chunk extension leads (RFC 9112 section 7.1.1); -1: it may not stand there. */
function extensionStep(state: number, byte: number): number {
  const isToken = TOKEN_LOWER[byte] !== 0;
  const isSpace = byte === SP || byte === HTAB;
  switch (state) {
    case BEFORE_EXTENSION:
      return byte === SEMICOLON ? BEFORE_NAME : isSpace ? state : -1;
    case BEFORE_NAME:
      return isToken ? NAME : isSpace ? state : -1;
    case NAME:
      if (isToken) return state;
      return isSpace ? AFTER_NAME : nextExtension(byte, true);
    case AFTER_NAME:
      return isSpace ? state : byte === CR ? -1 : nextExtension(byte, true);
    case BEFORE_VALUE:
      return isToken ? TOKEN_VALUE : byte === QUOTE ? QUOTED : isSpace ? state : -1;
    case TOKEN_VALUE:
      return isToken ? state : isSpace ? BEFORE_EXTENSION : nextExtension(byte, false);
    case QUOTED:
      return byte === QUOTE ? AFTER_QUOTED : byte === BACKSLASH ? ESCAPED : VALUE[byte] !== 0 ? state : -1;
    case ESCAPED:
      return VALUE[byte] !== 0 ? QUOTED : -1;
    default:
      return isSpace ? BEFORE_EXTENSION : nextExtension(byte, false);
  }
}

function nextExtension(byte: number, isName: boolean): number {
  if (byte === CR) return SIZE_LF;
  if (byte === SEMICOLON) return BEFORE_NAME;
  return isName && byte === EQUALS ? BEFORE_VALUE : -1;
}
const MAX_SIZE = Number.MAX_SAFE_INTEGER / 16 - 1;
const MAX_DIGITS = 16;

/** Value of a hexadecimal digit, 255 for any other byte. */
const HEX = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  HEX[i.toString(16).charCodeAt(0)] = i;
  HEX[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}

export class ChunkedDecoder {
  dataStart = 0;
  dataEnd = 0;
  /** Where the next step begins. */
  at = 0;
  /** Name, value, …, without those that may not stand in trailers (RFC 9110 section 6.5.1); null where there are none. */
  trailers: string[] | null = null;
  private state = SIZE;
  private remaining = 0;
  private digits = 0;
  private extension = 0;
  private section: Buffer | null = null;
  private readonly limits: ChunkLimits;

  constructor(limits: ChunkLimits) {
    this.limits = limits;
  }

  /** Reads on in `bytes` from `this.at` to `end`. After CHUNK_END `this.at` is the first byte behind the body. */
  step(bytes: Buffer, end: number): number {
    let at = this.at;
    while (at < end) {
      const byte = bytes[at] as number;
      switch (this.state) {
        case SIZE: {
          const digit = HEX[byte] as number;
          if (digit !== 255) {
            if (this.remaining > MAX_SIZE || ++this.digits > MAX_DIGITS) return CHUNK_BAD;
            this.remaining = this.remaining * 16 + digit;
          } else if (this.digits === 0) return CHUNK_BAD;
          else if (byte === CR) this.state = SIZE_LF;
          else if (byte === SEMICOLON) this.state = BEFORE_NAME;
          else if (byte === SP || byte === HTAB) this.state = BEFORE_EXTENSION;
          else return CHUNK_BAD;
          at++;
          break;
        }
        case SIZE_LF:
          if (byte !== LF) return CHUNK_BAD;
          this.state = this.remaining === 0 ? TRAILERS : DATA;
          this.digits = 0;
          at++;
          break;
        case DATA: {
          const length = Math.min(end - at, this.remaining);
          this.dataStart = at;
          this.dataEnd = this.at = at + length;
          this.remaining -= length;
          if (this.remaining === 0) this.state = DATA_CR;
          return CHUNK_DATA;
        }
        case DATA_CR:
          if (byte !== CR) return CHUNK_BAD;
          this.state = DATA_LF;
          at++;
          break;
        case DATA_LF:
          if (byte !== LF) return CHUNK_BAD;
          this.state = SIZE;
          at++;
          break;
        case TRAILERS: {
          const result = this.readTrailers(bytes, at, end);
          return result;
        }
        case DONE:
          return CHUNK_BAD;
        default: {
          const next = extensionStep(this.state, byte);
          if (next < 0) return CHUNK_BAD;
          if (next !== SIZE_LF && ++this.extension > this.limits.extensionBytes) return CHUNK_BAD;
          this.state = next;
          at++;
        }
      }
    }
    this.at = at;
    return CHUNK_MORE;
  }

  private readTrailers(bytes: Buffer, from: number, end: number): number {
    let section = bytes;
    let start = from;
    let stop = end;
    const held = this.section;
    if (held !== null) {
      section = Buffer.concat([held, bytes.subarray(from, end)]);
      start = 0;
      stop = section.length;
      // Scanned again only when a line was completed: a byte at a time must not cost the square.
      if (stop <= this.limits.trailers.headerBytes && bytes.indexOf(LF, from) < 0) {
        this.section = section;
        this.at = end;
        return CHUNK_MORE;
      }
    }
    const next = scanFields(section, start, stop, this.limits.trailers);
    if (next < 0) return CHUNK_BAD;
    if (next === 0) {
      this.section = held === null ? Buffer.from(section.subarray(start, stop)) : section;
      this.at = end;
      return CHUNK_MORE;
    }
    this.at = end - (stop - next);
    this.section = null;
    this.state = DONE;
    if (fieldCount() > 0) this.trailers = trailerFields(latin1(section, start, next), start);
    return CHUNK_END;
  }
}

function trailerFields(text: string, base: number): string[] | null {
  const fields: string[] = [];
  for (let i = 0; i < fieldCount(); i++) fields.push(fieldName(i, text, base), fieldValue(i, text, base));
  return allowedTrailers(fields);
}

/** Of name, value, … those that may stand in trailers; null where none is left. */
export function allowedTrailers(fields: readonly string[]): string[] | null {
  const allowed = fields.filter((_, i) => !NOT_IN_TRAILERS.has(fields[i & ~1] as string));
  return allowed.length === 0 ? null : allowed;
}

/** Framing, routing, authentication and content fields (RFC 9110 section 6.5.1), hop-by-hop ones, and what this gateway itself asserts. */
const NOT_IN_TRAILERS = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
]);

/** The line before a chunk of `length` bytes; its data is followed by CRLF. */
export function chunkHead(length: number): string {
  return `${length.toString(16)}\r\n`;
}

export const LAST_CHUNK = '0\r\n\r\n';

/** The end of a chunked body with its trailer section (name, value, …). */
export function lastChunk(trailers: readonly string[] | null): string {
  if (trailers === null || trailers.length === 0) return LAST_CHUNK;
  let out = '0\r\n';
  for (let i = 0; i < trailers.length; i += 2) out += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  return `${out}\r\n`;
}
