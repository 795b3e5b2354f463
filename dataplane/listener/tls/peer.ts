/** What a finished handshake says of the client. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { PeerCertificate, TlsPeer } from '../../pipeline/tls-peer.ts';

export function peerOf(socket: TLSSocket, serverName: string, asked: boolean, opened: object): TlsPeer {
  const version = socket.getProtocol() === 'TLSv1.2' ? 'TLSv1.2' : 'TLSv1.3';
  const certificate = asked ? (socket.getPeerX509Certificate() ?? null) : null;
  return { serverName, version, certificate: certificate === null ? null : readCertificate(certificate), opened };
}

/** Parsed once a connection. */
export function readCertificate(certificate: X509Certificate): PeerCertificate {
  const names = alternativeNames(certificate.subjectAltName ?? '');
  const of = (kind: string): string[] => names.flatMap(([key, value]) => (key === kind ? [value] : []));
  const uris = of('URI');
  const spiffe = uris.filter((uri) => uri.startsWith('spiffe://'));
  const subject = subjectOf(certificate.subject ?? '');
  return {
    subject: subject.map(([key, value]) => `${key}=${escapeValue(value)}`).join(','),
    commonName: subject.find(([key]) => key === 'CN')?.[1] ?? '',
    dnsNames: of('DNS'),
    uris,
    emails: of('email'),
    // An SVID has exactly one URI, whatever its scheme (SPIFFE X.509-SVID section 2).
    spiffeId: uris.length === 1 && spiffe.length === 1 ? (spiffe[0] as string) : '',
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

/** node:crypto prints `DNS:a, URI:b`; a value with anything that could be taken for more is a JSON string. */
function alternativeNames(text: string): [string, string][] {
  const names: [string, string][] = [];
  const pattern = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;
  for (let match = pattern.exec(text); match !== null && match[0] !== ''; match = pattern.exec(text)) {
    const [, kind = '', raw = ''] = match;
    if (!raw.startsWith('"')) names.push([kind, raw]);
    else {
      try {
        names.push([kind, JSON.parse(raw) as string]);
      } catch {
        // Not as node:crypto writes it: names nothing.
      }
    }
  }
  return names;
}

/** node:crypto prints a line an attribute, the first one first, escaped as RFC 2253; RFC 4514 has the last first. */
function subjectOf(text: string): [string, string][] {
  return text
    .split('\n')
    .flatMap((line): [string, string][] => {
      const at = line.indexOf('=');
      return at <= 0 ? [] : [[line.slice(0, at), line.slice(at + 1).replace(/\\(.)/g, '$1')]];
    })
    .reverse();
}

/** RFC 4514 section 2.4. */
function escapeValue(value: string): string {
  return value
    .replace(/[\\",+;<>]/g, '\\$&')
    .replace(/^[ #]/, '\\$&')
    .replace(/ $/, '\\ ');
}
