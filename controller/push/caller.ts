/** Who is on the other end of an mTLS connection, by the DNS names of its certificate. Pure. */

interface NamedCertificate {
  readonly subjectaltname?: string | undefined;
}

/** The DNS names among the subject alternative names (RFC 5280 section 4.2.1.6), lower-case. */
export function certificateNames(certificate: NamedCertificate | undefined): string[] {
  const text = certificate?.subjectaltname ?? '';
  // Node quotes a name that holds a comma or a quote (CVE-2021-44532); such a name is never one of ours.
  return text
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:') && !entry.includes('"'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase());
}

/** With an empty list every certificate that the authority signed will do. */
export function mayCall(names: readonly string[], allowed: readonly string[]): boolean {
  return allowed.length === 0 || names.some((name) => allowed.includes(name));
}
