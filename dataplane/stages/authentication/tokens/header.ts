/** The first part of a token in compact form (RFC 7515 section 7.1), read before anything is spent on the rest. */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** Three parts in base64url; an empty signature is none. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const MAX_HEADER = 4_096;

/** Null: it is no signed token. */
export function readHeader(token: string): TokenHeader | null {
  const end = token.indexOf('.');
  if (end < 0 || end > MAX_HEADER || !COMPACT.test(token)) return null;
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(token.slice(0, end), 'base64url').toString());
  } catch {
    return null;
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) return null;
  const { alg, kid } = header as { alg?: unknown; kid?: unknown };
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return null;
  return { alg, kid };
}
