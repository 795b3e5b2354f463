/** User and password in the field Authorization (RFC 7617). */
import { z } from 'zod';
import { id } from '../../primitives.ts';
import { methodBase } from './source.ts';

export const basicMethod = z.strictObject({
  kind: z.literal('basic'),
  ...methodBase,
  /** Shown to users by browsers. */
  realm: z.string().regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,128}$/),
  /** Ids of credentials resources of type basic; of two with the same user the first counts. */
  credentials: z.array(id).max(64),
  /** Users of the credential store too, where the resources hold none of that name. */
  store: z.boolean().default(false),
});
