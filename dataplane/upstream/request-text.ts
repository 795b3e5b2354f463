/** The request head as it goes to the backend. */
import { type Exchange, LENGTH_UNKNOWN } from '../pipeline/exchange.ts';
import { rewritePath } from '../pipeline/rewrite.ts';
import type { ForwardOptions } from './seam.ts';

/**
 * Request line and fields with the final CRLF. Not passed on: hop-by-hop fields (RFC 9110 section 7.6.1; those that
 * Connection names went when the head was parsed), the framing of the client's connection, Expect unless `expect`, and from a client that is not trusted whatever
 * claims to come from a proxy before it.
 */
export function requestText(exchange: Exchange, options: ForwardOptions, expect: boolean): string {
  const { rewrite } = options;
  const { downstream } = exchange;
  const path =
    rewrite?.path === undefined ? exchange.path : rewritePath(rewrite.path, exchange.path, exchange.matchedPrefix);
  const authority = rewrite?.host ?? exchange.authority;
  const query = exchange.query === undefined ? '' : `?${exchange.query}`;
  let text = `${exchange.method} ${path}${query} HTTP/1.1\r\nhost: ${authority}\r\n`;

  const { fields } = exchange.headers;
  const trusted = options.trustedHops > 0;
  const upgrading = downstream.tunnel !== null;
  let forwardedFor = '';
  let forwardedProto = '';
  let forwardedHost = '';
  let upgrade = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    switch (name.length) {
      case 2:
        if (name === 'te') continue;
        break;
      case 4:
        if (name === 'host') continue;
        break;
      case 6:
        if (name === 'expect') continue;
        break;
      case 7:
        if (name === 'upgrade') {
          if (upgrading && !H2C.test(value)) upgrade = upgrade === '' ? value : `${upgrade}, ${value}`;
          continue;
        }
        break;
      case 9:
        if (name === 'forwarded' && !trusted) continue;
        break;
      case 10:
        if (name === 'connection' || name === 'keep-alive') continue;
        break;
      case 12:
        if (name === 'x-request-id' && exchange.requestId !== '') continue;
        break;
      case 14:
        if (name === 'content-length' || name === 'http2-settings') continue;
        break;
      case 15:
        if (name === 'x-forwarded-for') {
          forwardedFor += `${value}, `;
          continue;
        }
        break;
      case 16:
        if (name === 'proxy-connection') continue;
        if (name === 'x-forwarded-host') {
          forwardedHost = value;
          continue;
        }
        break;
      case 17:
        if (name === 'transfer-encoding') continue;
        if (name === 'x-forwarded-proto') {
          forwardedProto = value;
          continue;
        }
        break;
      case 19:
        if (name === 'proxy-authorization') continue;
        break;
      case 23:
        if (name === 'x-forwarded-client-cert' && !trusted && !exchange.ownClientCert) continue;
        break;
    }
    // biome-ignore lint/style/useTemplate: a template has each part converted to a string, by a call
    text = text + name + ': ' + value + '\r\n';
  }

  if (trusted) {
    text += `x-forwarded-for: ${forwardedFor}${downstream.peerAddress}\r\nx-forwarded-proto: ${
      forwardedProto === '' ? exchange.scheme : forwardedProto
    }\r\nx-forwarded-host: ${forwardedHost === '' ? exchange.authority : forwardedHost}\r\n`;
  } else {
    text += `x-forwarded-for: ${downstream.peerAddress}\r\nx-forwarded-proto: ${exchange.scheme}\r\nx-forwarded-host: ${exchange.authority}\r\n`;
  }
  if (exchange.requestId !== '') text += `x-request-id: ${exchange.requestId}\r\n`;
  if (options.via !== '') text += `via: ${VERSIONS[exchange.protocol]} ${options.via}\r\n`;
  if (upgrade !== '') text += `upgrade: ${upgrade}\r\nconnection: upgrade\r\n`;
  if (expect) text += 'expect: 100-continue\r\n';
  const length = downstream.requestLength;
  if (length >= 0) text += `content-length: ${length}\r\n`;
  else if (length === LENGTH_UNKNOWN) text += 'transfer-encoding: chunked\r\n';
  return `${text}\r\n`;
}

const VERSIONS = { 'HTTP/1.0': '1.0', 'HTTP/1.1': '1.1', 'HTTP/2': '2.0' } as const;
/** An upgrade to HTTP/2 is between the client and us (RFC 9113 section 3.1), and we don't. */
const H2C = /\bh2c?\b/i;
