/**
 * Strict parser of an HTTP/1.x request head (RFC 9112 sections 2 to 6). Whatever two recipients could read differently is refused:
 * see refusals.ts. Works on the bytes in place; nothing of them is kept.
 */
import { latin1 } from '../io/latin1.ts';
import { hostOf } from './authority.ts';
import {
  CR,
  LF,
  PATH,
  PATH_BAD,
  PATH_DOT,
  PATH_PERCENT,
  PATH_PLAIN,
  PATH_QUERY,
  PATH_SLASH,
  QUERY,
  SP,
  TOKEN_LOWER,
} from './characters.ts';
import {
  fieldCount,
  fieldKind,
  fieldName,
  fieldValue,
  type HeadLimits,
  INCOMPLETE,
  scanFields,
  tabAround,
} from './fields.ts';
import {
  connectionTokens,
  isChunked,
  parseContentLength,
  TOKEN_CLOSE,
  TOKEN_KEEP_ALIVE,
  TOKEN_OTHER,
  TOKEN_UPGRADE,
  withoutNamed,
} from './framing.ts';
import { CONNECTION, CONTENT_LENGTH, EXPECT, HOST, OTHER, TRANSFER_ENCODING, UPGRADE } from './names.ts';
import { normalisePath } from './path.ts';
import {
  BAD_CONTENT_LENGTH,
  BAD_EXPECT,
  BAD_HOST,
  BAD_LINE_END,
  BAD_PATH,
  BAD_REQUEST_LINE,
  BAD_TARGET,
  BAD_TRANSFER_ENCODING,
  UNSUPPORTED_METHOD,
  UNSUPPORTED_VERSION,
  URI_TOO_LONG,
} from './refusals.ts';

export interface RequestHeadLimits extends HeadLimits {
  /** Runs of slashes in the path become one; see path.ts. */
  readonly mergeSlashes: boolean;
}

/** What the parser fills in; one is reused for all requests of a worker, only `fields` is made anew. */
export class RequestHead {
  method = '';
  /** Normalised; `*` for the asterisk form. */
  path = '';
  query: string | undefined = undefined;
  /** Host field, or the authority of an absolute-form target (they may not differ); empty in HTTP/1.0 without. */
  authority = '';
  host = '';
  /** 0 or 1. */
  minor = 1;
  /** Name, value, name, value, …; names are lower-case. Without those that Connection names, so that it can't strip what stages add later. */
  fields: string[] = [];
  /** -1 where there is none. */
  contentLength = -1;
  chunked = false;
  keepAlive = true;
  /** Connection names Upgrade and there is an Upgrade field. */
  upgrade = false;
  expectContinue = false;
  /** Offset after the head. */
  end = 0;
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'];
const MAX_METHOD = 32;

/**
 * Parses one request head in `bytes` from `start` to `end` into `head`. Returns the offset after it, INCOMPLETE (0), or a refusal (negative).
 * One empty line before the request line is skipped (RFC 9112 section 2.2).
 */
export function parseRequestHead(
  bytes: Buffer,
  start: number,
  end: number,
  limits: RequestHeadLimits,
  head: RequestHead,
): number {
  let from = start;
  if (bytes[from] === CR && from < end) {
    if (from + 1 >= end) return INCOMPLETE;
    if (bytes[from + 1] !== LF) return BAD_LINE_END;
    from += 2;
  }
  const last = from + limits.requestLineBytes;
  const stop = Math.min(end, last);
  const short = stop === last ? URI_TOO_LONG : INCOMPLETE;

  let at = from;
  for (;;) {
    if (at >= stop) return short;
    if (TOKEN_LOWER[bytes[at] as number] === 0) break;
    at++;
  }
  const methodEnd = at;
  if (bytes[at] !== SP || methodEnd === from || methodEnd - from > MAX_METHOD) return BAD_REQUEST_LINE;
  const targetStart = ++at;

  let kind = PATH_PLAIN;
  let before = PATH_PLAIN;
  let plain = true;
  let queryStart = -1;
  for (;;) {
    if (at >= stop) return short;
    kind = PATH[bytes[at] as number] as number;
    if (kind !== PATH_PLAIN) {
      if (kind >= PATH_QUERY) break;
      if (kind === PATH_PERCENT || (before === PATH_SLASH && kind <= PATH_DOT)) plain = false;
    }
    before = kind;
    at++;
  }
  const pathEnd = at;
  if (kind === PATH_BAD) return bytes[at] === CR || bytes[at] === LF ? BAD_REQUEST_LINE : BAD_TARGET;
  if (kind === PATH_QUERY) {
    queryStart = ++at;
    for (;;) {
      if (at >= stop) return short;
      if (QUERY[bytes[at] as number] === 0) break;
      at++;
    }
    if (bytes[at] !== SP) return bytes[at] === CR || bytes[at] === LF ? BAD_REQUEST_LINE : BAD_TARGET;
  }
  const targetEnd = at;
  if (targetEnd === targetStart) return BAD_REQUEST_LINE;
  at++;

  // 'HTTP/1.1' CRLF, byte by byte: a wrong one is refused as soon as it is there, whatever is still missing.
  for (let i = 0; i < 10; i++) {
    if (at + i >= stop) return short;
    const byte = bytes[at + i] as number;
    if (i === 5 || i === 7) {
      if (byte < 48 || byte > 57) return BAD_REQUEST_LINE;
    } else if (byte !== (VERSION[i] as number)) {
      return byte === LF ? BAD_LINE_END : BAD_REQUEST_LINE;
    }
  }
  const minor = (bytes[at + 7] as number) - 48;
  if (bytes[at + 5] !== 49 || minor > 1) return UNSUPPORTED_VERSION;

  const next = scanFields(bytes, at + 10, end, limits);
  if (next <= 0) return next;

  const text = latin1(bytes, from, next);
  head.minor = minor;
  head.method = methodOf(text, methodEnd - from);
  head.end = next;
  const refusal = readFields(head, text, from);
  if (refusal !== 0) return refusal;
  return readTarget(head, text, targetStart - from, pathEnd - from, queryStart - from, targetEnd - from, plain, limits)
    ? next
    : lastRefusal;
}

const VERSION = Buffer.from('HTTP/1.1\r\n');
let lastRefusal = 0;

function methodOf(text: string, length: number): string {
  for (let i = 0; i < METHODS.length; i++) {
    const method = METHODS[i] as string;
    if (method.length === length && text.startsWith(method)) return method;
  }
  return text.slice(0, length);
}

/** Makes the field list and reads what the engine itself must know. 0, or a refusal. */
function readFields(head: RequestHead, text: string, base: number): number {
  const count = fieldCount();
  const fields: string[] = [];
  let tokens = 0;
  let hosts = 0;
  let codings = 0;
  let hasUpgrade = false;
  let named = '';
  head.contentLength = -1;
  head.chunked = false;
  head.expectContinue = false;
  head.authority = '';
  for (let i = 0; i < count; i++) {
    const value = fieldValue(i, text, base);
    fields.push(fieldName(i, text, base), value);
    const kind = fieldKind(i);
    if (kind === OTHER) continue;
    switch (kind) {
      case HOST:
        if (hosts++ > 0) return BAD_HOST;
        head.authority = value;
        break;
      case CONTENT_LENGTH:
        if (head.contentLength >= 0 || tabAround(i, text, base)) return BAD_CONTENT_LENGTH;
        head.contentLength = parseContentLength(value);
        if (head.contentLength < 0) return BAD_CONTENT_LENGTH;
        break;
      case TRANSFER_ENCODING:
        if (codings++ > 0 || !isChunked(value) || tabAround(i, text, base)) return BAD_TRANSFER_ENCODING;
        head.chunked = true;
        break;
      case CONNECTION: {
        const bits = connectionTokens(value);
        tokens |= bits;
        if ((bits & TOKEN_OTHER) !== 0) named += `,${value}`;
        break;
      }
      case EXPECT:
        if (value.toLowerCase() !== '100-continue') return BAD_EXPECT;
        head.expectContinue = head.minor === 1;
        break;
      case UPGRADE:
        hasUpgrade = true;
        break;
    }
  }
  if (head.chunked && (head.contentLength >= 0 || head.minor === 0)) return BAD_TRANSFER_ENCODING;
  if (hosts === 0 && head.minor === 1) return BAD_HOST;
  head.fields = named === '' ? fields : withoutNamed(fields, named);
  head.keepAlive = (tokens & TOKEN_CLOSE) === 0 && (head.minor === 1 || (tokens & TOKEN_KEEP_ALIVE) !== 0);
  head.upgrade = hasUpgrade && (tokens & TOKEN_UPGRADE) !== 0 && head.minor === 1;
  return 0;
}

/** The four forms of RFC 9112 section 3.2. False: refused, with the reason in `lastRefusal`. */
function readTarget(
  head: RequestHead,
  text: string,
  start: number,
  pathEnd: number,
  queryStart: number,
  end: number,
  plain: boolean,
  limits: RequestHeadLimits,
): boolean {
  let path = text.slice(start, pathEnd);
  head.query = queryStart > start ? text.slice(queryStart, end) : undefined;
  const overridden = head.authority;
  if (head.method === 'CONNECT') {
    lastRefusal = UNSUPPORTED_METHOD;
    return false;
  }
  if (text.charCodeAt(start) !== 47) {
    if (path === '*' && head.method === 'OPTIONS' && head.query === undefined) {
      head.path = '*';
      return readHost(head);
    }
    const absolute = ABSOLUTE.exec(path);
    if (absolute === null) {
      lastRefusal = BAD_TARGET;
      return false;
    }
    const defaultPort = absolute[1] === undefined ? ':80' : ':443';
    head.authority = absolute[2] as string;
    // RFC 9112 section 3.2.2 has the target override the field. Who is behind us may see it the other way round.
    if (overridden !== '' && !sameAuthority(overridden, head.authority, defaultPort)) {
      lastRefusal = BAD_HOST;
      return false;
    }
    path = absolute[3] === '' ? '/' : (absolute[3] as string);
    plain = false;
  }
  if (!plain) {
    const normal = normalisePath(path, limits.mergeSlashes);
    if (normal === null) {
      lastRefusal = BAD_PATH;
      return false;
    }
    path = normal;
  }
  head.path = path;
  return readHost(head);
}

const ABSOLUTE = /^http(s)?:\/\/([^/]+)(.*)$/i;

function sameAuthority(one: string, other: string, defaultPort: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  return a === b || a === b + defaultPort || a + defaultPort === b;
}

let lastAuthority = '';
let lastHost = '';

function readHost(head: RequestHead): boolean {
  const authority = head.authority;
  if (authority === '' && head.minor === 0) {
    head.host = '';
    return true;
  }
  if (authority !== lastAuthority) {
    const host = hostOf(authority);
    if (host === null) {
      lastRefusal = BAD_HOST;
      return false;
    }
    lastAuthority = authority;
    lastHost = host;
  }
  head.host = lastHost;
  return true;
}
