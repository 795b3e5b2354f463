/** Tests of client certificates, for authentication and authorization alike. */
import type { CertificateMatch } from '../snapshot/sections/certificate.ts';
import type { PeerCertificate } from './tls-peer.ts';

export type CertificateTest = (certificate: PeerCertificate) => boolean;

export function compileCertificateMatch(config: CertificateMatch): CertificateTest {
  const subjects = new Set(config.subjects);
  const commonNames = new Set(config.commonNames);
  const fingerprints = new Set(config.fingerprints);
  const dnsName = anyName(config.dnsNames, '*', (rest) => (name) => name.length > rest.length && name.endsWith(rest));
  const email = anyName(config.emails, '*', (rest) => (name) => name.length > rest.length && name.endsWith(rest));
  const uri = anyUri(config.uris);
  return (certificate) =>
    subjects.has(certificate.subject) ||
    commonNames.has(certificate.commonName) ||
    fingerprints.has(certificate.fingerprint) ||
    certificate.dnsNames.some((name) => dnsName(name.toLowerCase())) ||
    certificate.uris.some(uri) ||
    certificate.emails.some(email);
}

type NameTest = (name: string) => boolean;

/** Whole names, and those that begin with `mark`, which `part` tests by what follows it. */
function anyName(names: readonly string[], mark: string, part: (rest: string) => NameTest): NameTest {
  const whole = new Set(names.filter((name) => !name.startsWith(mark)));
  const parts = names.flatMap((name) => (name.startsWith(mark) ? [part(name.slice(mark.length))] : []));
  return (name) => whole.has(name) || parts.some((test) => test(name));
}

function anyUri(uris: readonly string[]): NameTest {
  const whole = new Set(uris.filter((uri) => !uri.endsWith('/*')));
  const beginnings = uris.flatMap((uri) => (uri.endsWith('/*') ? [uri.slice(0, -1)] : []));
  return (uri) =>
    whole.has(uri) ||
    (!CLIMBS.test(uri) && beginnings.some((start) => uri.length > start.length && uri.startsWith(start)));
}

/** Who takes it for a path could read another one in it than stands at its beginning. */
const CLIMBS = /\/\.{1,2}(?:\/|$)|%2e|%2f/i;
