/** The request head as HTTP/2 carries it (RFC 9113 section 8.3.1). */
import { encodeField, FIELD_OVERHEAD } from '../../codec/hpack/encoder.ts';
import type { Output } from '../../http2/output.ts';
import { type Exchange, LENGTH_UNKNOWN } from '../../pipeline/exchange.ts';
import {
  FORWARDED,
  FORWARDED_FOR,
  FORWARDED_HOST,
  FORWARDED_PROTO,
  forwardedValue,
  PASS,
  passes,
  requestTarget,
  TE,
  useOf,
  VERSIONS,
} from '../passed-fields.ts';
import type { ForwardOptions } from '../seam.ts';

/**
 * Name, value, …, pseudo-fields first. Which fields pass is as towards HTTP/1.1 (passed-fields.ts), but for `te: trailers`. `secure`: the
 * connection to the backend has TLS. `webSocket`: the upgrade becomes an extended CONNECT (RFC 8441 section 5).
 */
export function requestFields(
  exchange: Exchange,
  options: ForwardOptions,
  secure: boolean,
  expect: boolean,
  webSocket: boolean,
): string[] {
  const { rewrite } = options;
  const { downstream, requestId } = exchange;
  const authority = rewrite?.host ?? exchange.authority;
  const list = [
    ':method',
    webSocket ? 'CONNECT' : exchange.method,
    ':scheme',
    secure ? 'https' : 'http',
    ':path',
    requestTarget(exchange, rewrite),
  ];
  if (authority !== '') list.push(':authority', authority);
  if (webSocket) list.push(':protocol', 'websocket');

  const { fields } = exchange.headers;
  const trusted = options.trustedHops > 0;
  let forwarded = '';
  let forwardedFor = '';
  let forwardedProto = '';
  let forwardedHost = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const use = useOf(name);
    if (use !== PASS) {
      if (use === FORWARDED_FOR) forwardedFor += `${value}, `;
      else if (use === FORWARDED) forwarded = forwarded === '' ? value : `${forwarded}, ${value}`;
      else if (use === FORWARDED_HOST) forwardedHost = value;
      else if (use === FORWARDED_PROTO) forwardedProto = value;
      else if (use === TE && TRAILERS.test(value)) list.push('te', 'trailers');
      if (!passes(use, exchange, trusted)) continue;
    }
    // Of the HTTP/1.1 handshake alone.
    if (webSocket && name === 'sec-websocket-key') continue;
    list.push(name, value);
  }

  list.push(
    'x-forwarded-for',
    trusted ? forwardedFor + downstream.peerAddress : downstream.peerAddress,
    'x-forwarded-proto',
    trusted && forwardedProto !== '' ? forwardedProto : exchange.scheme,
    'x-forwarded-host',
    trusted && forwardedHost !== '' ? forwardedHost : exchange.authority,
  );
  if (options.forwarded === true) list.push('forwarded', forwardedValue(exchange, forwarded, trusted));
  if (requestId !== '') list.push('x-request-id', requestId);
  if (options.via !== '') list.push('via', `${VERSIONS[exchange.protocol]} ${options.via}`);
  if (expect) list.push('expect', '100-continue');
  if (downstream.requestLength > LENGTH_UNKNOWN) list.push('content-length', String(downstream.requestLength));
  return list;
}

/** `fields`: name, value, …, as they are. Returns where it begins, as Output.closeBlock. */
export function writeFields(out: Output, stream: number, fields: readonly string[], flags: number): number {
  let bound = 0;
  for (let i = 0; i < fields.length; i += 2)
    bound += (fields[i] as string).length + (fields[i + 1] as string).length + FIELD_OVERHEAD;
  let at = out.openBlock(bound);
  const { block } = out;
  for (let i = 0; i < fields.length; i += 2) at = encodeField(block, at, fields[i] as string, fields[i + 1] as string);
  return out.closeBlock(stream, at, flags);
}

const TRAILERS = /(?:^|,)\s*trailers\s*(?:$|,|;)/i;

/** Whether a client asks for a WebSocket (RFC 6455 section 4.1). */
export function asksForWebSocket({ downstream, headers, method }: Exchange): boolean {
  return downstream.tunnel !== null && method === 'GET' && headers.get('upgrade')?.toLowerCase() === 'websocket';
}
