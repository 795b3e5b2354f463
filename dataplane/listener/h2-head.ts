/** Heads of responses as HTTP/2 carries them. */
import { encodeField, encodeStatus, FIELD_OVERHEAD } from '../codec/hpack/encoder.ts';
import type { Output } from '../http2/output.ts';
import type { Headers } from '../pipeline/headers.ts';

const NO_FIELDS: readonly string[] = [];

/** Fields of an HTTP/1.1 connection, which must not appear in HTTP/2 (RFC 9113 section 8.2.2), and content-length, which is the caller's. */
function isPassed(name: string): boolean {
  switch (name.length) {
    case 7:
      return name !== 'upgrade';
    case 10:
      return name !== 'connection' && name !== 'keep-alive';
    case 14:
      return name !== 'content-length';
    case 16:
      return name !== 'proxy-connection';
    case 17:
      return name !== 'transfer-encoding';
    default:
      return true;
  }
}

/**
 * `status` 0: trailers. `length`: what content-length says; below 0: there is none. `date`: a line of HTTP/1.1 for a field that is added;
 * empty: none. Returns where it begins, as Output.closeBlock.
 */
export function writeHead(
  out: Output,
  stream: number,
  status: number,
  headers: Headers | null,
  length: number,
  flags: number,
  date: string,
): number {
  const fields = headers === null ? NO_FIELDS : headers.fields;
  let bound = FIELD_OVERHEAD * 4 + date.length;
  for (let i = 0; i < fields.length; i += 2)
    bound += (fields[i] as string).length + (fields[i + 1] as string).length + FIELD_OVERHEAD;
  let at = out.openBlock(bound);
  const { block } = out;
  if (status !== 0) at = encodeStatus(block, at, status);
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (isPassed(name)) at = encodeField(block, at, name, fields[i + 1] as string);
  }
  if (date !== '') at = encodeField(block, at, 'date', date.slice(6, -2));
  if (length >= 0) at = encodeField(block, at, 'content-length', String(length));
  return out.closeBlock(stream, at, flags);
}
