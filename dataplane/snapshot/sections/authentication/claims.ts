/**
 * What of a token's claims says who calls. A claim is named by its own name (`sub`, `https://example.com/roles`); where there is none of
 * that name, dots lead into objects (`realm_access.roles`).
 */
import { z } from 'zod';
import { headerName } from '../../primitives.ts';

export const claimName = z.string().min(1).max(256);

export const claimMapping = {
  /** A text or a number; a token without it is refused. */
  consumerClaim: claimName.default('sub'),
  /** A list of texts, or one text for one group. */
  groupsClaim: claimName.default('groups'),
  /** A list of texts, or one text with spaces between them (RFC 8693 section 4.2). */
  scopesClaim: claimName.default('scope'),
  /** `values`: the claim is one of these, or a list with one of these; empty: it is there. */
  requiredClaims: z
    .array(z.strictObject({ claim: claimName, values: z.array(z.string().max(1024)).max(64).default([]) }))
    .max(16)
    .default([]),
  /** What the backend gets to see of the token. */
  claimHeaders: z
    .array(z.strictObject({ claim: claimName, header: headerName }))
    .max(32)
    .default([]),
};
const mapping = z.strictObject(claimMapping);
export type ClaimMapping = z.infer<typeof mapping>;
