/** What holds of a request before anybody asks who sends it: HTTPS, and the size of its body. */
import { z } from 'zod';

/** Seconds of three years. */
const MAX_HSTS_SECONDS = 94_608_000;
export const MAX_BODY_LIMIT_BYTES = 1_099_511_627_776;

export const securitySection = z.strictObject({
  section: z.literal('security'),
  /** Requests that came over http are sent to https; `port` is the client's. */
  requireHttps: z
    .strictObject({
      status: z.union([z.literal(301), z.literal(302), z.literal(307), z.literal(308)]),
      port: z.int().min(1).max(65_535),
    })
    .optional(),
  /** RFC 6797. */
  hsts: z
    .strictObject({
      maxAgeSeconds: z.int().min(0).max(MAX_HSTS_SECONDS),
      includeSubDomains: z.boolean(),
      preload: z.boolean(),
    })
    .optional(),
  /** Bytes of a request body, without framing; a larger one is 413. */
  maxBodyBytes: z.int().min(0).max(MAX_BODY_LIMIT_BYTES).optional(),
});
export type SecuritySection = z.infer<typeof securitySection>;
