/** The certificate a client proved to hold when its connection was made (TLS), verified against the CA of its host. */
import { z } from 'zod';
import { certificateMatch } from '../certificate.ts';
import { methodBase } from './source.ts';

export const clientCertificateMethod = z.strictObject({
  kind: z.literal('clientCertificate'),
  ...methodBase,
  /** What of it names the consumer; of several names the first. */
  consumer: z.enum(['subject', 'commonName', 'dnsName', 'uri', 'spiffeId', 'email', 'fingerprint']),
  /** Absent: every certificate that its CA has signed. */
  allow: certificateMatch.optional(),
  /** The backend is told of the certificate in x-forwarded-client-cert. */
  forward: z.boolean().default(false),
});
