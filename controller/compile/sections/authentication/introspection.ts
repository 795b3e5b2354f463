/** Opaque tokens. */
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import { durationMs } from '../../../api/duration.ts';
import type { IntrospectionSpec } from '../../../api/v1alpha1/sections/authentication/introspection.ts';
import type { SectionContext } from '../context.ts';
import { compileClaims } from './claims.ts';
import { compileClient } from './client.ts';
import { compilePlace } from './place.ts';

export function compileIntrospection(
  spec: IntrospectionSpec,
  name: string,
  context: SectionContext,
  path: readonly (string | number)[],
): AuthenticationMethod | null {
  context.server(spec.url, [...path, 'url']);
  const client = compileClient(spec.client, context, [...path, 'client']);
  if (client === null) return null;
  return {
    kind: 'introspection',
    name,
    from: spec.from?.map(compilePlace) ?? [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
    url: spec.url,
    client,
    timeoutMs: durationMs(spec.timeout ?? '2s'),
    cacheMs: durationMs(spec.cacheFor ?? '10s'),
    inactiveCacheMs: durationMs(spec.cacheInactiveFor ?? '10s'),
    issuers: spec.issuers ?? [],
    audiences: spec.audiences ?? [],
    ...compileClaims(spec.claims, spec.claimHeaders),
    keepCredential: spec.keepCredential,
  };
}
