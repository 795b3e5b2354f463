/** Signed tokens. Keys that are at hand are read here, so that what can't be used shows before it is sent. */
import { readJwkSet } from '@tidegate/dataplane/snapshot/jwk-set';
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import { ASYMMETRIC_ALGORITHMS } from '@tidegate/dataplane/snapshot/sections/authentication/jwt';
import { durationMs } from '../../../api/duration.ts';
import type { JwtSpec } from '../../../api/v1alpha1/sections/authentication/jwt.ts';
import { type SectionContext, secretText } from '../context.ts';
import { compileClaims } from './claims.ts';
import { compilePlace } from './place.ts';

type JwtMethod = Extract<AuthenticationMethod, { kind: 'jwt' }>;
type Path = readonly (string | number)[];

export function compileJwt(
  spec: JwtSpec,
  name: string,
  context: SectionContext,
  path: Path,
): AuthenticationMethod | null {
  const algorithms = spec.algorithms ?? [...ASYMMETRIC_ALGORITHMS];
  const keys = compileKeys(spec.jwks, algorithms, context, [...path, 'jwks']);
  if (keys === null) return null;
  return {
    kind: 'jwt',
    name,
    from: spec.from?.map(compilePlace) ?? [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
    keys,
    algorithms,
    issuers: spec.issuers ?? [],
    audiences: spec.audiences ?? [],
    typ: spec.typ ?? '',
    requireExpiry: spec.requireExpiry,
    clockSkewMs: durationMs(spec.clockSkew ?? '30s'),
    ...compileClaims(spec.claims, spec.claimHeaders),
    keepCredential: spec.keepCredential,
  };
}

function compileKeys(
  { url, inline, secretRef, maxAge = '10m', staleFor = '1h', cooldown = '30s', timeout = '5s' }: JwtSpec['jwks'],
  algorithms: JwtMethod['algorithms'],
  context: SectionContext,
  path: Path,
): JwtMethod['keys'] | null {
  if (url !== undefined) {
    context.server(url, [...path, 'url']);
    return {
      source: 'url',
      url,
      maxAgeMs: durationMs(maxAge),
      staleMs: durationMs(staleFor),
      cooldownMs: durationMs(cooldown),
      timeoutMs: durationMs(timeout),
    };
  }
  if (inline !== undefined) {
    const problem = problemOf(inline, false, algorithms);
    if (problem !== null) context.problem([...path, 'inline'], 'Invalid', problem);
    return { source: 'inline', jwks: inline };
  }
  if (secretRef === undefined) return null;
  const secret = context.secretValue(secretRef, [...path, 'secretRef']);
  if (secret === null) return null;
  const value = context.secret(secretRef.name, [...path, 'secretRef', 'name'])?.data?.[secretRef.key] ?? '';
  const problem = problemOf(secretText(value), true, algorithms);
  if (problem !== null) {
    const where = `Secret ${context.policy.namespace}/${secretRef.name}`;
    context.problem([...path, 'secretRef', 'key'], 'SecretInvalid', `${where}: ${secretRef.key} ${problem}`);
  }
  return { source: 'secret', secret };
}

/** Completes "the key set …". Null: it can be used. */
function problemOf(text: string, shared: boolean, algorithms: readonly string[]): string | null {
  const keys = readJwkSet(text, shared);
  if (typeof keys === 'string') return `can not be used: ${keys}`;
  if (keys.some((key) => key.algorithms.some((algorithm) => algorithms.includes(algorithm)))) return null;
  return `holds no key for ${algorithms.join(', ')}`;
}
