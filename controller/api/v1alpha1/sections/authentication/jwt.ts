/** Signed tokens, verified by the gateway. */
import {
  ASYMMETRIC_ALGORITHMS,
  SHARED_KEY_ALGORITHMS,
  tokenAlgorithm,
} from '@tidegate/dataplane/snapshot/sections/authentication/jwt';
import { z } from 'zod';
import { exactlyOneOf, withRules } from '../../../rule.ts';
import { duration } from '../../common.ts';
import { secretRef } from '../../secret-ref.ts';
import { insecure, secureUnlessTold, serverUrl } from '../../server-url.ts';
import { claimHeaders, claims } from './claims.ts';
import { credentialPlace, keepCredential } from './place.ts';
import { atLeastASecond, timeout } from './times.ts';

const jwks = withRules(
  z.strictObject({
    url: serverUrl('Where the key set is, such as https://login.example.com/.well-known/jwks.json.').optional(),
    insecure,
    maxAge: atLeastASecond('How old keys may get; they are fetched again before that. Default 10m.').optional(),
    staleFor: duration(
      'How long after that they are still used while the server does not answer. Default 1h.',
    ).optional(),
    cooldown: duration(
      'Least time between two fetches because a token names a key that is not known. Default 30s.',
    ).optional(),
    timeout: timeout('For one fetch. Default 5s.').optional(),
    inline: z
      .string()
      .min(1)
      .max(65_536)
      .optional()
      .describe('The key set itself, as JSON. Public keys only: whoever reads the Policy reads it.'),
    secretRef: secretRef('A value of a Secret that holds the key set, as JSON. It may hold shared keys.').optional(),
  }),
  exactlyOneOf('url', 'inline', 'secretRef'),
  secureUnlessTold('url'),
).meta({ description: 'The keys: a JWK Set (RFC 7517).' });

const identifier = z.string().min(1).max(2048);

export const jwt = withRules(
  z.strictObject({
    jwks,
    issuers: z.array(identifier).min(1).max(16).optional().describe('The claim iss must be one of these.'),
    audiences: z
      .array(identifier)
      .min(1)
      .max(64)
      .optional()
      .describe('The claim aud must be or hold one of these. Without it, tokens for other services are good here too.'),
    algorithms: z
      .array(tokenAlgorithm)
      .min(1)
      .max(16)
      .optional()
      .describe(`Algorithms a token may be signed with. Default: ${ASYMMETRIC_ALGORITHMS.join(', ')}.`),
    from: z
      .array(credentialPlace)
      .min(1)
      .max(8)
      .optional()
      .describe(
        'Where the token is looked for; the first place that holds one counts. Absent: the header Authorization, after Bearer.',
      ),
    typ: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('The typ of the header must be this, such as at+jwt for access tokens (RFC 9068).'),
    requireExpiry: z.boolean().default(true).describe('Whether tokens without exp are refused.'),
    clockSkew: duration('By how much clocks may differ. Default 30s.').optional(),
    claims,
    claimHeaders,
    keepCredential,
  }),
  {
    cel: `!has(self.algorithms) || has(self.jwks.secretRef) || self.algorithms.all(a, !a.startsWith('HS'))`,
    message: `${SHARED_KEY_ALGORITHMS.join(', ')} need a shared key: jwks.secretRef`,
    test: ({ algorithms, jwks: { secretRef: ref } }) =>
      ref !== undefined || algorithms?.some((algorithm) => algorithm.startsWith('HS')) !== true,
  },
).meta({ description: 'A signed token (RFC 7519), verified by the gateway itself.' });
export type JwtSpec = z.output<typeof jwt>;
