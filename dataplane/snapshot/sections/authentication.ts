/**
 * Who calls. Methods are named once and composed by `anyOf`, a list of alternatives each of which names the methods that must all hold
 * (a disjunctive normal form: every combination of and/or can be written so).
 *
 * To add a method: its file in authentication/, a line in `authenticationMethod`, and its stage (stages/authentication/methods.ts).
 */
import { z } from 'zod';
import { headerName } from '../primitives.ts';
import { apiKeyMethod } from './authentication/api-key.ts';
import { basicMethod } from './authentication/basic.ts';
import { clientCertificateMethod } from './authentication/client-certificate.ts';
import { forwardMethod } from './authentication/forward.ts';
import { introspectionMethod } from './authentication/introspection.ts';
import { jwtMethod } from './authentication/jwt.ts';
import { oidcMethod } from './authentication/oidc.ts';
import { signatureMethod } from './authentication/signature.ts';

export const authenticationMethod = z.discriminatedUnion('kind', [
  apiKeyMethod,
  basicMethod,
  jwtMethod,
  introspectionMethod,
  forwardMethod,
  oidcMethod,
  signatureMethod,
  clientCertificateMethod,
]);
export type AuthenticationMethod = z.infer<typeof authenticationMethod>;
export type MethodKind = AuthenticationMethod['kind'];
export type MethodConfig<K extends MethodKind> = Extract<AuthenticationMethod, { kind: K }>;

export const authenticationSection = z.strictObject({
  section: z.literal('authentication'),
  methods: z.array(authenticationMethod).min(1).max(8),
  /** Names of methods; the first alternative all of whose methods hold decides. */
  anyOf: z.array(z.array(z.string()).min(1).max(8)).min(1).max(8),
  /** A request without any credentials goes on, without a consumer; one with bad ones never does. */
  optional: z.boolean().default(false),
  /** Fields the backend learns the caller from; whatever the client sends under these names is dropped. Empty: none. */
  consumerHeader: z.union([headerName, z.literal('')]).default('x-consumer'),
  groupsHeader: z.union([headerName, z.literal('')]).default('x-consumer-groups'),
});
export type AuthenticationSection = z.infer<typeof authenticationSection>;
