/** Where in a request a credential is looked for. */
import { z } from 'zod';
import { headerName } from '../../primitives.ts';

export const credentialPlace = z.discriminatedUnion('in', [
  /** `scheme`: what stands before the credential (RFC 9110 section 11.4), compared without case; empty: nothing. */
  z.strictObject({ in: z.literal('header'), name: headerName, scheme: z.string().max(64).default('') }),
  z.strictObject({ in: z.literal('query'), name: z.string().min(1).max(256) }),
  z.strictObject({ in: z.literal('cookie'), name: z.string().min(1).max(256) }),
]);
export type CredentialPlace = z.infer<typeof credentialPlace>;

/** What every method has. */
export const methodBase = {
  name: z.string().min(1).max(63),
  /** The backend gets the credential too. */
  keepCredential: z.boolean().default(false),
};
