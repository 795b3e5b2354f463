/** Which client certificates are meant, as the data plane compares them. */
import type { CertificateMatch } from '@tidegate/dataplane/snapshot/sections/certificate';
import type { CertificateMatchSpec } from '../api/v1alpha1/certificate-match.ts';

export function compileCertificateMatch(spec: CertificateMatchSpec): CertificateMatch {
  return {
    subjects: spec.subjects ?? [],
    commonNames: spec.commonNames ?? [],
    dnsNames: spec.dnsNames ?? [],
    uris: spec.uris ?? [],
    emails: spec.emails ?? [],
    fingerprints: (spec.fingerprints ?? []).map((text) => text.replaceAll(':', '').toLowerCase()),
  };
}
