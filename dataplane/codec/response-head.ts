/**
 * Strict parser of an HTTP/1.x response head (RFC 9112 sections 4 to 6). Hop-by-hop fields, those that Connection names, and the
 * framing fields don't reach `fields`: they are this connection's business.
 */
import { latin1 } from '../io/latin1.ts';
import { CR, LF, SP, VALUE } from './characters.ts';
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
  withoutNamed,
} from './framing.ts';
import { CONNECTION, CONTENT_LENGTH, HOP, OTHER, TRANSFER_ENCODING, UPGRADE } from './names.ts';
import {
  BAD_CONTENT_LENGTH,
  BAD_LINE_END,
  BAD_STATUS_LINE,
  BAD_TRANSFER_ENCODING,
  HEADERS_TOO_LARGE,
} from './refusals.ts';

export class ResponseHead {
  status = 0;
  major = 1;
  minor = 1;
  /** End-to-end fields: name, value, …; names are lower-case. */
  fields: string[] = [];
  contentLength = -1;
  chunked = false;
  /** The connection may be used again once this message is complete: not where a 204 announces a body, which may follow. */
  keepAlive = true;
  /** Value of the Upgrade field; empty where there is none. */
  upgrade = '';
}

const PREFIX = Buffer.from('HTTP/1.');

/** Parses one head. Returns the offset after it, INCOMPLETE (0), or a refusal (negative). */
export function parseResponseHead(
  bytes: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
  head: ResponseHead,
): number {
  const last = start + limits.requestLineBytes;
  const stop = Math.min(end, last);
  const short = stop === last ? HEADERS_TOO_LARGE : INCOMPLETE;
  for (let i = 0; i < 13; i++) {
    if (start + i >= stop) return short;
    const byte = bytes[start + i] as number;
    if (i < 7) {
      if (byte !== PREFIX[i]) return BAD_STATUS_LINE;
    } else if (i === 7) {
      if (byte !== 48 && byte !== 49) return BAD_STATUS_LINE;
    } else if (i === 8) {
      if (byte !== SP) return BAD_STATUS_LINE;
    } else if (i < 12) {
      if (byte < 48 || byte > 57) return BAD_STATUS_LINE;
    } else if (byte !== SP && byte !== CR) {
      // The reason phrase may be absent, and with it, in practice, the space before it.
      return byte === LF ? BAD_LINE_END : BAD_STATUS_LINE;
    }
  }
  let at = start + 12;
  while (VALUE[bytes[at] as number] !== 0) if (++at >= stop) return short;
  if (bytes[at] !== CR) return bytes[at] === LF ? BAD_LINE_END : BAD_STATUS_LINE;
  if (++at >= stop) return short;
  if (bytes[at] !== LF) return BAD_LINE_END;
  const status =
    ((bytes[start + 9] as number) - 48) * 100 +
    ((bytes[start + 10] as number) - 48) * 10 +
    ((bytes[start + 11] as number) - 48);
  if (status < 100 || status > 599) return BAD_STATUS_LINE;

  const next = scanFields(bytes, at + 1, end, limits);
  if (next <= 0) return next;
  head.status = status;
  head.minor = (bytes[start + 7] as number) - 48;
  const refusal = readFields(head, latin1(bytes, at + 1, next), at + 1);
  return refusal === 0 ? next : refusal;
}

function readFields(head: ResponseHead, text: string, base: number): number {
  const count = fieldCount();
  const fields: string[] = [];
  let tokens = 0;
  let named = '';
  head.contentLength = -1;
  head.chunked = false;
  head.upgrade = '';
  for (let i = 0; i < count; i++) {
    const kind = fieldKind(i);
    if (kind === OTHER) {
      fields.push(fieldName(i, text, base), fieldValue(i, text, base));
      continue;
    }
    switch (kind) {
      case CONTENT_LENGTH:
        if (head.contentLength >= 0 || tabAround(i, text, base)) return BAD_CONTENT_LENGTH;
        head.contentLength = parseContentLength(fieldValue(i, text, base));
        if (head.contentLength < 0) return BAD_CONTENT_LENGTH;
        break;
      case TRANSFER_ENCODING:
        if (head.chunked || head.minor === 0 || tabAround(i, text, base)) return BAD_TRANSFER_ENCODING;
        if (!isChunked(fieldValue(i, text, base))) return BAD_TRANSFER_ENCODING;
        head.chunked = true;
        break;
      case CONNECTION: {
        const value = fieldValue(i, text, base);
        const bits = connectionTokens(value);
        tokens |= bits;
        if ((bits & TOKEN_OTHER) !== 0) named += `,${value}`;
        break;
      }
      case UPGRADE:
        head.upgrade = fieldValue(i, text, base);
        break;
      case HOP:
        break;
      default:
        fields.push(fieldName(i, text, base), fieldValue(i, text, base));
    }
  }
  if (head.chunked && head.contentLength >= 0) return BAD_TRANSFER_ENCODING;
  const { status } = head;
  const announced = head.chunked || head.contentLength > 0;
  // An interim response has no body (RFC 9110 section 15.2), and some readers look for the one it announces.
  if (announced && status < 200) return BAD_TRANSFER_ENCODING;
  const closes = (tokens & TOKEN_CLOSE) !== 0 || (announced && status === 204);
  head.keepAlive = !closes && (head.minor === 1 || (tokens & TOKEN_KEEP_ALIVE) !== 0);
  head.fields = named === '' ? fields : withoutNamed(fields, named);
  return 0;
}
