/** The request head as it goes to the backend. */
import { type Exchange, LENGTH_UNKNOWN } from '../pipeline/exchange.ts';
import {
  FORWARDED,
  FORWARDED_FOR,
  FORWARDED_HOST,
  FORWARDED_PROTO,
  forwardedValue,
  PASS,
  passes,
  requestTarget,
  UPGRADE,
  useOf,
  VERSIONS,
} from './passed-fields.ts';
import type { ForwardOptions } from './seam.ts';

/**
 * Request line and fields with the final CRLF. `expect`: it asks for a 100 (Continue).
 */
export function requestText(exchange: Exchange, options: ForwardOptions, expect: boolean): string {
  const { rewrite } = options;
  const { downstream } = exchange;
  const authority = rewrite?.host ?? exchange.authority;
  let text = `${exchange.method} ${requestTarget(exchange, rewrite)} HTTP/1.1\r\nhost: ${authority}\r\n`;

  const { fields } = exchange.headers;
  const trusted = options.trustedHops > 0;
  const upgrading = downstream.tunnel !== null;
  let forwarded = '';
  let forwardedFor = '';
  let forwardedProto = '';
  let forwardedHost = '';
  let upgrade = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const use = useOf(name);
    if (use !== PASS) {
      if (use === FORWARDED_FOR) forwardedFor += `${value}, `;
      else if (use === FORWARDED) forwarded = forwarded === '' ? value : `${forwarded}, ${value}`;
      else if (use === FORWARDED_HOST) forwardedHost = value;
      else if (use === FORWARDED_PROTO) forwardedProto = value;
      else if (use === UPGRADE && upgrading && !H2C.test(value))
        upgrade = upgrade === '' ? value : `${upgrade}, ${value}`;
      if (!passes(use, exchange, trusted)) continue;
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
  if (options.forwarded === true) text += `forwarded: ${forwardedValue(exchange, forwarded, trusted)}\r\n`;
  if (exchange.requestId !== '') text += `x-request-id: ${exchange.requestId}\r\n`;
  if (options.via !== '') text += `via: ${VERSIONS[exchange.protocol]} ${options.via}\r\n`;
  if (upgrade !== '') text += `upgrade: ${upgrade}\r\nconnection: upgrade\r\n`;
  if (expect) text += 'expect: 100-continue\r\n';
  const length = downstream.requestLength;
  if (length >= 0) text += `content-length: ${length}\r\n`;
  else if (length === LENGTH_UNKNOWN) text += 'transfer-encoding: chunked\r\n';
  return `${text}\r\n`;
}

/** An upgrade to HTTP/2 is between the client and us (RFC 9113 section 3.1), and we don't. */
const H2C = /\bh2c?\b/i;
