/** Login of people. */
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import { durationMs } from '../../../api/duration.ts';
import type { OidcSpec } from '../../../api/v1alpha1/sections/authentication/oidc.ts';
import type { SectionContext } from '../context.ts';
import { compileClaims } from './claims.ts';
import { compileClient } from './client.ts';

type Path = readonly (string | number)[];

/** As the data plane asks: a shorter key could be guessed. */
const MIN_KEY_BYTES = 32;

export function compileOidc(
  spec: OidcSpec,
  name: string,
  context: SectionContext,
  path: Path,
): AuthenticationMethod | null {
  const { session } = spec;
  context.server(spec.issuer, [...path, 'issuer']);
  const client = compileClient(spec.client, context, [...path, 'client']);
  const keys = session.keySecretRefs.map((ref, index) =>
    compileKey(ref, context, [...path, 'session', 'keySecretRefs', index]),
  );
  if (client === null || keys.includes(null)) return null;
  return {
    kind: 'oidc',
    name,
    issuer: spec.issuer,
    client,
    scopes: [...new Set(['openid', ...(spec.scopes ?? [])])],
    parameters: spec.parameters ?? [],
    callbackPath: spec.callbackPath ?? '/oauth2/callback',
    logoutPath: spec.logoutPath ?? '/oauth2/logout',
    afterLogoutPath: spec.afterLogoutPath ?? '/',
    publicOrigin: spec.publicOrigin ?? '',
    session: {
      store: session.store,
      keys: keys as string[],
      cookieName: session.cookieName ?? 'tidegate-session',
      maxAgeMs: durationMs(session.maxAge ?? '8h'),
      secure: session.secure,
    },
    forwardAccessToken: spec.forwardAccessToken,
    timeoutMs: durationMs(spec.timeout ?? '5s'),
    clockSkewMs: durationMs(spec.clockSkew ?? '30s'),
    ...compileClaims(spec.claims, spec.claimHeaders),
    keepCredential: spec.keepCredential,
  };
}

function compileKey(ref: { name: string; key: string }, context: SectionContext, path: Path): string | null {
  const id = context.secretValue(ref, path);
  if (id === null) return null;
  const value = context.secret(ref.name, [...path, 'name'])?.data?.[ref.key] ?? '';
  const bytes = Buffer.from(value, 'base64').length;
  if (bytes < MIN_KEY_BYTES) {
    const where = `Secret ${context.policy.namespace}/${ref.name}`;
    context.problem(
      [...path, 'key'],
      'SecretInvalid',
      `${where}: ${ref.key} has ${bytes} bytes, ${MIN_KEY_BYTES} are needed`,
    );
  }
  return id;
}
