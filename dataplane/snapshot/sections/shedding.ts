/** What goes first when not all can be served. */
import { z } from 'zod';
import { headerName } from '../primitives.ts';

const priority = z.enum(['low', 'normal', 'high', 'critical']);

export const sheddingSection = z.strictObject({
  section: z.literal('shedding'),
  /** Target of the event loop's delay in a worker: what stands above it is shed. 0: not by this. */
  eventLoopDelayMs: z.union([z.literal(0), z.int().min(20).max(1000)]).default(100),
  /** By what became of the requests of each rule. */
  successRate: z
    .strictObject({
      thresholdPercent: z.int().min(1).max(100).default(95),
      minRequests: z.int().min(1).max(1_000_000).default(100),
      windowMs: z.int().min(1000).max(300_000).default(10_000),
    })
    .optional(),
  priority: priority.default('normal'),
  /** A request header that says another one: `low` to `critical` or 0 to 3, `max` at most. */
  priorityHeader: z.strictObject({ name: headerName, max: priority }).optional(),
});
export type SheddingSection = z.infer<typeof sheddingSection>;
