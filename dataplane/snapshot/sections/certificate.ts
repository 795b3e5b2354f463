/** Which client certificates are meant: one entry of any of the lists is enough. Only what was verified is compared. */
import { z } from 'zod';

const text = z.string().min(1).max(1024);

export const certificateMatch = z.strictObject({
  /** Whole distinguished names as RFC 4514 writes them: `CN=client,O=Acme`. */
  subjects: z.array(text).max(64).default([]),
  commonNames: z.array(text).max(64).default([]),
  /** Lower-case; `*.` in front stands for one or more labels. */
  dnsNames: z.array(text).max(64).default([]),
  /** Whole URIs, or what they begin with: `spiffe://example.org/ns/shop/*`. */
  uris: z.array(text).max(64).default([]),
  /** Whole addresses, or `*@example.com`. */
  emails: z.array(text).max(64).default([]),
  /** SHA-256 of the DER form, 64 lower-case hex digits. */
  fingerprints: z
    .array(z.string().regex(/^[0-9a-f]{64}$/))
    .max(64)
    .default([]),
});
export type CertificateMatch = z.infer<typeof certificateMatch>;
