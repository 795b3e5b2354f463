import { isIP } from 'node:net';
import { forwardedFromRight } from '../codec/forwarded.ts';
import type { Headers } from '../pipeline/headers.ts';

/** `::ffff:192.0.2.1` is `192.0.2.1` (RFC 4291 section 2.5.5.2); anything else stays. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/**
 * Who the client is. With `trustedHops` = 0 the connected peer. With n > 0 the peer and n-1 proxies before it are trusted, so it is the
 * n-th address from the right of X-Forwarded-For; where the field has fewer, or that entry is no address, the peer (as Envoy's
 * `xff_num_trusted_hops`). What stands further left was written by the client and is never believed.
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, trustedHops: number): string {
  if (trustedHops === 0 || forwardedFor === undefined) return peer;
  const entries = forwardedFor.split(',');
  return addressOf(entries[entries.length - trustedHops]?.trim(), peer);
}

/** Where a request came from, as far as it is believed. */
export interface Origin {
  readonly address: string;
  readonly scheme: 'http' | 'https';
}

/**
 * With `trustedHops` above 0: client and scheme by X-Forwarded-For and -Proto; with `forwarded` by the Forwarded field alone where there is one,
 * its n-th element from the right.
 */
export function originOf(
  headers: Headers,
  peer: string,
  scheme: 'http' | 'https',
  trustedHops: number,
  forwarded: boolean,
): Origin {
  const value = forwarded ? headers.getCombined('forwarded') : undefined;
  if (value !== undefined) {
    const element = forwardedFromRight(value, trustedHops);
    if (element === null) return { address: peer, scheme };
    return { address: addressOf(element.node, peer), scheme: schemeOf(element.proto, scheme) };
  }
  const address = clientAddress(peer, headers.getCombined('x-forwarded-for'), trustedHops);
  return { address, scheme: schemeOf(headers.get('x-forwarded-proto'), scheme) };
}

function schemeOf(told: string | undefined, scheme: 'http' | 'https'): 'http' | 'https' {
  return told === 'https' || told === 'http' ? told : scheme;
}

function addressOf(entry: string | undefined, peer: string): string {
  if (entry === undefined) return peer;
  const address = ADDRESS_WITH_PORT.exec(entry);
  const host = plainAddress(address?.[1] ?? address?.[2] ?? entry);
  return isIP(host) === 0 ? peer : host;
}

const ADDRESS_WITH_PORT = /^(?:\[([0-9a-fA-F:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/;
