/** How a backend is told of a client's certificate: the field that Envoy made common, `Hash=…;Subject="…";URI=…;DNS=…`. */
import type { PeerCertificate } from '../../../pipeline/tls-peer.ts';

export const XFCC = 'x-forwarded-client-cert';
/** A certificate may hold thousands of names; backends take heads of 8 KiB and more. */
const MAX_LENGTH = 4096;

/** Names beyond 4 KiB are left out; hash and subject stand first. */
export function forwardedCertificate({ fingerprint, subject, uris, dnsNames }: PeerCertificate): string {
  let text = `Hash=${fingerprint};Subject=${quoted(subject)}`;
  for (const pair of [...uris.map((uri) => `;URI=${plain(uri)}`), ...dnsNames.map((name) => `;DNS=${plain(name)}`)]) {
    if (text.length + pair.length > MAX_LENGTH) break;
    text += pair;
  }
  return text;
}

function plain(value: string): string {
  return /^[\w\-.:/@*+~%?#&]*$/.test(value) ? value : quoted(value);
}

/** What a field can't hold is `?`: names were written by whoever asked for the certificate. */
function quoted(value: string): string {
  const printable = value.slice(0, 2048).replaceAll(/[^\x20-\x7e]/g, '?');
  return `"${printable.replaceAll(/["\\]/g, '\\$&')}"`;
}
