/** Time-outs of a policy. */
import { z } from 'zod';
import { timeouts } from '../primitives.ts';

export const timeoutSection = z.strictObject({ section: z.literal('timeout'), ...timeouts.shape });
