/** JSON Web Tokens (RFC 7519), signed, verified by the gateway itself. */
import { z } from 'zod';
import { durationMs, id, serverUrl } from '../../primitives.ts';
import { claimMapping } from './claims.ts';
import { credentialPlace, methodBase } from './source.ts';

/** RFC 7518 section 3.1 and RFC 8037; `none` is not among them. */
export const ASYMMETRIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
export const SHARED_KEY_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;
export const tokenAlgorithm = z.enum([...ASYMMETRIC_ALGORITHMS, ...SHARED_KEY_ALGORITHMS]);
export type TokenAlgorithm = z.infer<typeof tokenAlgorithm>;

export const keySetUrl = z.strictObject({
  source: z.literal('url'),
  url: serverUrl,
  /** How old keys may get; they are fetched again before that. */
  maxAgeMs: durationMs.min(1000),
  /** How long after that they are still used while the server does not answer. */
  staleMs: durationMs,
  /** Least time between two fetches because of a key id that is not known. */
  cooldownMs: durationMs,
  /** For one fetch. */
  timeoutMs: durationMs.min(1),
});
export type KeySetUrl = z.infer<typeof keySetUrl>;

export const jwtMethod = z.strictObject({
  kind: z.literal('jwt'),
  ...methodBase,
  /** The first place that holds something counts. */
  from: z.array(credentialPlace).min(1).max(8),
  /** A JWK Set (RFC 7517 section 5). Shared keys, and so the HS algorithms, come from a secret only. */
  keys: z.discriminatedUnion('source', [
    keySetUrl,
    z.strictObject({ source: z.literal('inline'), jwks: z.string().max(65_536) }),
    z.strictObject({ source: z.literal('secret'), secret: id }),
  ]),
  algorithms: z.array(tokenAlgorithm).min(1).max(16),
  /** `iss` is one of these; empty: not looked at. */
  issuers: z.array(z.string().min(1).max(2048)).max(16).default([]),
  /** `aud` is or holds one of these; empty: not looked at. */
  audiences: z.array(z.string().min(1).max(2048)).max(64).default([]),
  /** The `typ` of the header, such as `at+jwt` (RFC 9068 section 2.1); empty: not looked at. */
  typ: z.string().max(128).default(''),
  /** Tokens without `exp` are refused. */
  requireExpiry: z.boolean().default(true),
  /** By how much clocks may differ. */
  clockSkewMs: durationMs,
  ...claimMapping,
});
