/** Opaque tokens, asked of their issuer. */
import { z } from 'zod';
import { withRules } from '../../../rule.ts';
import { duration } from '../../common.ts';
import { insecure, secureUnlessTold, serverUrl } from '../../server-url.ts';
import { claimHeaders, claims } from './claims.ts';
import { oauthClient } from './client.ts';
import { credentialPlace, keepCredential } from './place.ts';
import { timeout } from './times.ts';

const identifier = z.string().min(1).max(2048);

export const introspection = withRules(
  z.strictObject({
    url: serverUrl('The introspection endpoint, such as https://login.example.com/introspect.'),
    insecure,
    client: oauthClient,
    timeout: timeout('For one question; a request waits no longer. Default 2s.').optional(),
    cacheFor: duration(
      'How long an active token is believed without asking again, its own expiry apart: what a revocation takes. 0s: every request is asked about. Default 10s.',
    ).optional(),
    cacheInactiveFor: duration('The same for a token that is not active. Default 10s.').optional(),
    issuers: z.array(identifier).min(1).max(16).optional().describe('iss of the answer must be one of these.'),
    audiences: z.array(identifier).min(1).max(64).optional().describe('aud must be or hold one of these.'),
    from: z
      .array(credentialPlace)
      .min(1)
      .max(8)
      .optional()
      .describe(
        'Where the token is looked for; the first place that holds one counts. Absent: the header Authorization, after Bearer.',
      ),
    claims,
    claimHeaders,
    keepCredential,
  }),
  secureUnlessTold('url'),
).meta({
  description:
    'A token that its issuer is asked about (RFC 7662). While the issuer does not answer, tokens that are not remembered get 503.',
});
export type IntrospectionSpec = z.output<typeof introspection>;
