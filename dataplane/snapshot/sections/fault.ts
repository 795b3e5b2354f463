/** Faults put into a share of the requests on purpose: what else would fail if this backend did? */
import { z } from 'zod';
import { durationMs, headerName, perMillion } from '../primitives.ts';

export const faultSection = z.strictObject({
  section: z.literal('fault'),
  /** Before the request goes on. */
  delay: z.strictObject({ durationMs, perMillion }).optional(),
  /** In place of forwarding, after the delay. Both shares are drawn apart. */
  abort: z
    .strictObject({ status: z.int().min(400).max(599), perMillion, message: z.string().max(1024).optional() })
    .optional(),
  /** Only requests that carry this field; absent: all. */
  header: headerName.optional(),
});
