/** Opaque tokens, asked of the server that issued them (RFC 7662). */
import { z } from 'zod';
import { durationMs, serverUrl } from '../../primitives.ts';
import { claimMapping } from './claims.ts';
import { oauthClient } from './client.ts';
import { credentialPlace, methodBase } from './source.ts';

export const introspectionMethod = z.strictObject({
  kind: z.literal('introspection'),
  ...methodBase,
  /** The first place that holds something counts. */
  from: z.array(credentialPlace).min(1).max(8),
  url: serverUrl,
  client: oauthClient,
  /** For one question. */
  timeoutMs: durationMs.min(1),
  /** How long an active token is believed without asking again, its own expiry apart: what a revocation takes. 0: not at all. */
  cacheMs: durationMs,
  /** The same for one that is not active. */
  inactiveCacheMs: durationMs,
  /** `iss` is one of these; empty: not looked at. */
  issuers: z.array(z.string().min(1).max(2048)).max(16).default([]),
  /** `aud` is or holds one of these; empty: not looked at. */
  audiences: z.array(z.string().min(1).max(2048)).max(64).default([]),
  ...claimMapping,
});
