/** A section that must hold but could not be built: fails closed. `of` names the section. */
import { z } from 'zod';

export const failSection = z.strictObject({
  section: z.literal('fail'),
  of: z.string(),
  status: z.int().min(500).max(599),
  code: z.string(),
  message: z.string(),
});

/** Sections without which a request must not pass: what can't be built of them answers 503, on either side of the contract. */
export const PROTECTING: ReadonlySet<string> = new Set(['authentication', 'authorization', 'rateLimit', 'security']);
