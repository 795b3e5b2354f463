/** Header edits of a policy. */
import { z } from 'zod';
import { headerEdits } from '../primitives.ts';

export const transformSection = z.strictObject({
  section: z.literal('transform'),
  request: headerEdits.optional(),
  response: headerEdits.optional(),
});
