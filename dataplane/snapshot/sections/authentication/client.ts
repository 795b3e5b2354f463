/** How the gateway itself is known to an authorization server (RFC 6749 section 2). */
import { z } from 'zod';
import { id } from '../../primitives.ts';

export const oauthClient = z.strictObject({
  id: z.string().min(1).max(1024),
  /** Id of a secret resource. */
  secret: id,
  /** In the header Authorization, or in the form. */
  authentication: z.enum(['basic', 'post']),
});
export type OauthClient = z.infer<typeof oauthClient>;
