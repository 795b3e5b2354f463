/** Values that decide where a message ends, read strictly. */

/** `1*DIGIT` of at most 15 digits (RFC 9110 section 8.6); -1 for anything else, lists of equal numbers included. */
export function parseContentLength(value: string): number {
  const length = value.length;
  if (length === 0 || length > 15) return -1;
  let out = 0;
  for (let i = 0; i < length; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    out = out * 10 + digit;
  }
  return out;
}

export function isChunked(value: string): boolean {
  return value === 'chunked' || (value.length === 7 && value.toLowerCase() === 'chunked');
}

export const TOKEN_CLOSE = 1;
export const TOKEN_KEEP_ALIVE = 2;
export const TOKEN_UPGRADE = 4;
/** Connection names a field that is to be removed. */
export const TOKEN_OTHER = 8;

/** Bits for what a Connection field holds (RFC 9110 section 7.6.1). */
export function connectionTokens(value: string): number {
  if (value === 'keep-alive' || value === 'Keep-Alive') return TOKEN_KEEP_ALIVE;
  if (value === 'close') return TOKEN_CLOSE;
  let bits = 0;
  for (const part of value.toLowerCase().split(',')) {
    const token = part.trim();
    if (token === 'close') bits |= TOKEN_CLOSE;
    else if (token === 'keep-alive') bits |= TOKEN_KEEP_ALIVE;
    else if (token === 'upgrade') bits |= TOKEN_UPGRADE;
    else if (token !== '') bits |= TOKEN_OTHER;
  }
  return bits;
}

/**
 * `fields` without those that the Connection field's value names (RFC 9110 section 7.6.1). Framing, routing and the fields that proxies
 * assert stay whatever it says: naming them is an attack on the next hop, not a use of the field.
 */
export function withoutNamed(fields: string[], value: string): string[] {
  const names = new Set(
    value
      .toLowerCase()
      .split(',')
      .map((part) => part.trim()),
  );
  return fields.filter((_, i) => {
    const name = fields[i & ~1] as string;
    return !names.has(name) || KEPT.has(name);
  });
}

const KEPT = new Set([
  'connection',
  'keep-alive',
  'upgrade',
  'host',
  'content-length',
  'transfer-encoding',
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
]);
