/** Login of people with their browser (OpenID Connect Core 1.0, authorization code flow with PKCE). */
import { z } from 'zod';
import { durationMs, id, serverUrl } from '../../primitives.ts';
import { claimMapping } from './claims.ts';
import { oauthClient } from './client.ts';
import { methodBase } from './source.ts';

/** As a request has it: normalised, without query. */
const ownPath = z
  .string()
  .regex(/^\/(?![/\\])[!-~]*$/)
  .max(1024);

export const oidcMethod = z.strictObject({
  kind: z.literal('oidc'),
  ...methodBase,
  /** Its metadata is at `<issuer>/.well-known/openid-configuration`. */
  issuer: serverUrl,
  client: oauthClient,
  /** `openid` is among them. */
  scopes: z
    .array(
      z
        .string()
        .regex(/^[!#-[\]-~]+$/)
        .max(256),
    )
    .min(1)
    .max(32),
  /** Further parameters of the authorization request, such as `prompt`. */
  parameters: z
    .array(z.strictObject({ name: z.string().min(1).max(64), value: z.string().max(1024) }))
    .max(16)
    .default([]),
  callbackPath: ownPath,
  logoutPath: ownPath,
  /** Where a browser is sent after a logout. */
  afterLogoutPath: ownPath,
  /** Scheme and authority that browsers use; empty: those of the request. */
  publicOrigin: z
    .string()
    .regex(/^(https?:\/\/[^/?#@\s]+)?$/)
    .max(300)
    .default(''),
  session: z.strictObject({
    /** `cookie`: all of it encrypted in the cookie; `memory`: in this data plane's; `redis`: in its Redis. */
    store: z.enum(['cookie', 'memory', 'redis']),
    /** Ids of secret resources, 32 bytes or more each. The first one encrypts, all decrypt: so keys are rotated. */
    keys: z.array(id).min(1).max(4),
    cookieName: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
    /** However often it is refreshed, then it ends. */
    maxAgeMs: z.int().min(1_000).max(2_592_000_000),
    /** The cookie is for https only, also where the request comes without. */
    secure: z.boolean().default(false),
  }),
  /** The backend gets the access token in `Authorization`. */
  forwardAccessToken: z.boolean().default(false),
  /** For one question to the provider, or to the session store. */
  timeoutMs: durationMs.min(1),
  clockSkewMs: durationMs,
  ...claimMapping,
});
