/** Which claims say who calls. */
import type { ClaimMapping } from '@tidegate/dataplane/snapshot/sections/authentication/claims';
import type { ClaimHeadersSpec, ClaimsSpec } from '../../../api/v1alpha1/sections/authentication/claims.ts';

export function compileClaims(claims: ClaimsSpec, headers: ClaimHeadersSpec): ClaimMapping {
  return {
    consumerClaim: claims?.consumer ?? 'sub',
    groupsClaim: claims?.groups ?? 'groups',
    scopesClaim: claims?.scopes ?? 'scope',
    requiredClaims: (claims?.required ?? []).map(({ claim, values }) => ({ claim, values: values ?? [] })),
    claimHeaders: (headers ?? []).map(({ claim, header }) => ({ claim, header: header.toLowerCase() })),
  };
}
