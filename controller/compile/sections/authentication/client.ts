/** How the gateway is known to an authorization server. */
import type { OauthClient } from '@tidegate/dataplane/snapshot/sections/authentication/client';
import type { OauthClientSpec } from '../../../api/v1alpha1/sections/authentication/client.ts';
import type { SectionContext } from '../context.ts';

/** Null, with a problem in the context, where its secret is missing. */
export function compileClient(
  { id, secretRef, authentication }: OauthClientSpec,
  context: SectionContext,
  path: readonly (string | number)[],
): OauthClient | null {
  const secret = context.secretValue(secretRef, [...path, 'secretRef']);
  return secret === null ? null : { id, secret, authentication };
}
