/** What an authorizer is asked about a request, and under what a yes is remembered. */
import { createHash } from 'node:crypto';
import type { OutboundRequest } from '../../../outbound/message.ts';
import type { Exchange } from '../../../pipeline/exchange.ts';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';

type Config = MethodConfig<'forward'>;

/** Longest answer taken. */
const MAX_BYTES = 65_536;

/** Always a GET without body; the request itself is described in fields, as other gateways do. */
export function questionOf(config: Config, exchange: Exchange): OutboundRequest {
  const headers: Record<string, string> = {};
  for (const name of config.requestHeaders) {
    const value = exchange.headers.getCombined(name);
    if (value !== undefined) headers[name] = name === 'cookie' ? cookiesOf(exchange) : value;
  }
  headers['x-forwarded-method'] = exchange.method;
  headers['x-forwarded-proto'] = exchange.scheme;
  headers['x-forwarded-host'] = exchange.authority;
  headers['x-forwarded-uri'] = exchange.query === undefined ? exchange.path : `${exchange.path}?${exchange.query}`;
  headers['x-forwarded-for'] = exchange.clientAddress;
  headers['x-request-id'] = exchange.requestId;
  return { method: 'GET', url: config.url, headers, timeoutMs: config.timeoutMs, maxBytes: MAX_BYTES };
}

/** HTTP/2 may split them (RFC 9113 section 8.2.3); in HTTP/1.1 they are one field with semicolons. */
function cookiesOf({ headers: { fields } }: Exchange): string {
  return fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === 'cookie').join('; ');
}

export function hasCredential({ requestHeaders }: Config, { headers }: Exchange): boolean {
  for (let i = 0; i < requestHeaders.length; i++) if (headers.has(requestHeaders[i] as string)) return true;
  return false;
}

/** A hash: no credential is kept. Null: nothing is remembered of this request. */
export function cacheKeyOf(config: Config, exchange: Exchange): string | null {
  if (config.cacheMs === 0) return null;
  let known = false;
  const parts: (string | null)[] = [];
  for (const name of config.cacheHeaders) {
    const value = exchange.headers.getCombined(name) ?? null;
    known ||= value !== null;
    parts.push(value);
  }
  if (config.cacheScope === 'request') {
    parts.push(exchange.method, exchange.scheme, exchange.authority, exchange.path, exchange.query ?? null);
  } else if (!known) {
    // All strangers would share one answer.
    return null;
  }
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
