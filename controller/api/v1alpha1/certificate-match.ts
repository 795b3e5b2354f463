/** Which client certificates are meant, for authentication and authorization alike. */
import { z } from 'zod';
import { atLeastOneOf, withRules } from '../rule.ts';
import { pattern } from './common.ts';

const LABEL = '[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?';
const list = <S extends z.ZodType>(item: S, text: string) => z.array(item).min(1).max(32).optional().describe(text);
const text = z.string().min(1).max(1024);

export const certificateMatch = (about: string) =>
  withRules(
    z.strictObject({
      subjects: list(text, 'Whole subjects as RFC 4514 writes them, such as CN=client,O=Acme.'),
      commonNames: list(text, 'Common names of the subject.'),
      dnsNames: list(
        pattern(
          'A DNS name; *. in front stands for one or more labels.',
          `^(\\*\\.)?${LABEL}(\\.${LABEL})*$`,
          'must be a DNS name in lower case such as a.example.com or *.example.com',
          253,
        ),
        'DNS names among the subject alternative names.',
      ),
      uris: list(
        pattern(
          'A URI, or what it begins with, followed by /*.',
          '^[A-Za-z][A-Za-z0-9+.-]*:[!-)+-~]+(/\\*)?$',
          'must be a URI such as spiffe://example.org/ns/shop/sa/orders, or end in /* as in spiffe://example.org/*',
          1024,
        ),
        'URIs among the subject alternative names: SPIFFE ids, one by one or by trust domain (spiffe://example.org/*).',
      ),
      emails: list(
        pattern(
          'A mail address, or *@ and its domain.',
          '^(\\*|[^*@ ]+)@[^*@ ]+$',
          'must be a mail address such as ann@example.com or *@example.com',
          320,
        ),
        'Mail addresses among the subject alternative names.',
      ),
      fingerprints: list(
        pattern(
          'SHA-256 of the certificate in hex.',
          '^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$',
          'must be the SHA-256 of a certificate: 64 hex digits, colons between bytes allowed',
          95,
        ),
        'SHA-256 of whole certificates, as openssl x509 -fingerprint -sha256 prints it.',
      ),
    }),
    atLeastOneOf('subjects', 'commonNames', 'dnsNames', 'uris', 'emails', 'fingerprints'),
  ).meta({ description: `${about} One entry of any list is enough.` });
export type CertificateMatchSpec = z.output<ReturnType<typeof certificateMatch>>;
