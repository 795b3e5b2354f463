/** Retries of a policy. */
import { z } from 'zod';
import { retrySettings } from '../retry.ts';

export const retrySection = z.strictObject({ section: z.literal('retry'), ...retrySettings.shape });
