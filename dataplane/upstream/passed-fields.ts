/** Which fields of a request go on to a backend, and what is told of the client: the same whatever the backend speaks. */
import { forwardedElement } from '../codec/forwarded.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { rewritePath } from '../pipeline/rewrite.ts';
import type { Rewrite } from '../snapshot/resources.ts';

/** What becomes of a field. */
export const PASS = 0;
/**
 * Hop-by-hop (RFC 9110 section 7.6.1; those that Connection names went when the head was parsed), the framing of the client's
 * connection, or written by who sends the request: Host, Expect.
 */
export const DROP = 1;
export const FORWARDED = 2;
/** Passes only where the exchange has no id of its own. */
export const REQUEST_ID = 3;
export const FORWARDED_FOR = 4;
export const FORWARDED_HOST = 5;
export const FORWARDED_PROTO = 6;
export const UPGRADE = 7;
/** Of a connection; HTTP/2 has it end to end for `trailers` alone (RFC 9113 section 8.2.2). */
export const TE = 8;
/** Passes from a client that is trusted, or where the gateway wrote it itself. */
export const CLIENT_CERT = 9;

export function useOf(name: string): number {
  switch (name.length) {
    case 2:
      return name === 'te' ? TE : PASS;
    case 4:
      return name === 'host' ? DROP : PASS;
    case 6:
      return name === 'expect' ? DROP : PASS;
    case 7:
      return name === 'upgrade' ? UPGRADE : PASS;
    case 9:
      return name === 'forwarded' ? FORWARDED : PASS;
    case 10:
      return name === 'connection' || name === 'keep-alive' ? DROP : PASS;
    case 12:
      return name === 'x-request-id' ? REQUEST_ID : PASS;
    case 14:
      return name === 'content-length' || name === 'http2-settings' ? DROP : PASS;
    case 15:
      return name === 'x-forwarded-for' ? FORWARDED_FOR : PASS;
    case 16:
      if (name === 'proxy-connection') return DROP;
      return name === 'x-forwarded-host' ? FORWARDED_HOST : PASS;
    case 17:
      if (name === 'transfer-encoding') return DROP;
      return name === 'x-forwarded-proto' ? FORWARDED_PROTO : PASS;
    case 19:
      return name === 'proxy-authorization' ? DROP : PASS;
    case 23:
      return name === 'x-forwarded-client-cert' ? CLIENT_CERT : PASS;
    default:
      return PASS;
  }
}

/** Whether a field passes whose use is not PASS. */
export function passes(use: number, exchange: Exchange, trusted: boolean): boolean {
  if (use === CLIENT_CERT) return trusted || exchange.ownClientCert;
  return use === REQUEST_ID && exchange.requestId === '';
}

/** Path and query as the backend gets them. */
export function requestTarget(exchange: Exchange, rewrite: Rewrite | null): string {
  const path =
    rewrite?.path === undefined ? exchange.path : rewritePath(rewrite.path, exchange.path, exchange.matchedPrefix);
  return exchange.query === undefined ? path : `${path}?${exchange.query}`;
}

/** `received`: the Forwarded field of the request; empty: none. */
export function forwardedValue(
  { authority, downstream, scheme }: Exchange,
  received: string,
  trusted: boolean,
): string {
  const own = forwardedElement(downstream.peerAddress, authority, scheme);
  return trusted && received !== '' ? `${received}, ${own}` : own;
}

export const VERSIONS = { 'HTTP/1.0': '1.0', 'HTTP/1.1': '1.1', 'HTTP/2': '2.0' } as const;
