/** Client certificates. */
import { z } from 'zod';
import { certificateMatch } from '../../certificate-match.ts';

export const clientCertificate = z
  .strictObject({
    consumer: z
      .enum(['subject', 'commonName', 'dnsName', 'uri', 'spiffeId', 'email', 'fingerprint'])
      .default('subject')
      .describe('What of the certificate names the consumer; of several names the first. Without it, it is refused.'),
    allow: certificateMatch('Which certificates. Absent: every one that the CA of the host has signed.').optional(),
    forwardCertificate: z
      .boolean()
      .default(false)
      .describe('Whether the backend gets x-forwarded-client-cert with hash, subject, URIs and DNS names.'),
  })
  .describe(
    'The certificate that the client showed when its connection was made; the host must ask for one (tls.clientCertificate of its Route). One that is not allowed is answered 403.',
  );
export type ClientCertificateSpec = z.output<typeof clientCertificate>;
