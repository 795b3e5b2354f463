/** Cross-origin requests of browsers (Fetch standard). */
import { z } from 'zod';

export const corsSection = z.strictObject({
  section: z.literal('cors'),
  /** Exact origins, `https://*.example.com`, or `*`. */
  allowOrigins: z.array(z.string()).min(1),
  allowMethods: z.array(z.string()).default([]),
  allowHeaders: z.array(z.string()).default([]),
  exposeHeaders: z.array(z.string()).default([]),
  allowCredentials: z.boolean().default(false),
  /** Pages of public sites may reach this route at a private address (Private Network Access, section 3.1). */
  allowPrivateNetwork: z.boolean().default(false),
  maxAgeSeconds: z.int().min(0).max(86_400).default(5),
});
