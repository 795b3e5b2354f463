/** Authentication: each method by its own file, the composition as alternatives. */
import type { AuthenticationMethod } from '@tidegate/dataplane/snapshot/sections/authentication';
import type { MethodName, MethodSpec } from '../../api/v1alpha1/sections/authentication.ts';
import type { SectionSpec } from '../../model/policy.ts';
import { compileApiKey } from './authentication/api-key.ts';
import { compileBasic } from './authentication/basic.ts';
import { compileClientCertificate } from './authentication/client-certificate.ts';
import { compileForward } from './authentication/forward.ts';
import { compileIntrospection } from './authentication/introspection.ts';
import { compileJwt } from './authentication/jwt.ts';
import { compileOidc } from './authentication/oidc.ts';
import { compileSignature } from './authentication/signature.ts';
import type { Compiled } from './compile.ts';
import type { SectionContext } from './context.ts';

/** `path` is the method's own, below the section. Null: it could not be built, and the context holds why. */
export type CompileMethod<K extends MethodName> = (
  spec: NonNullable<MethodSpec[K]>,
  name: string,
  context: SectionContext,
  path: readonly (string | number)[],
) => AuthenticationMethod | null;

const METHODS: { readonly [K in MethodName]: CompileMethod<K> } = {
  apiKey: compileApiKey,
  basic: compileBasic,
  jwt: compileJwt,
  introspection: compileIntrospection,
  forward: compileForward,
  oidc: compileOidc,
  signature: compileSignature,
  clientCertificate: compileClientCertificate,
};

export function compileAuthentication(
  spec: SectionSpec<'authentication'>,
  context: SectionContext,
): Compiled<'authentication'> | null {
  const methods = spec.methods.map((method, index) => compileMethod(method, context, ['methods', index]));
  if (methods.includes(null)) return null;
  return {
    section: 'authentication',
    methods: methods as AuthenticationMethod[],
    anyOf: spec.anyOf?.map(({ allOf }) => allOf) ?? spec.methods.map(({ name }) => [name]),
    optional: spec.optional,
    consumerHeader: spec.consumerHeader?.toLowerCase() ?? 'x-consumer',
    groupsHeader: spec.groupsHeader?.toLowerCase() ?? 'x-consumer-groups',
  };
}

function compileMethod(
  method: MethodSpec,
  context: SectionContext,
  path: readonly (string | number)[],
): AuthenticationMethod | null {
  for (const kind of Object.keys(METHODS) as MethodName[]) {
    const spec = method[kind];
    if (spec === undefined) continue;
    const compile = METHODS[kind] as CompileMethod<typeof kind>;
    return compile(spec as never, method.name, context, [...path, kind]);
  }
  return null;
}
