/** What holds of a request before anybody asks who sends it. */
import { z } from 'zod';
import { durationMs } from '../../duration.ts';
import { atLeastOneOf, withRules } from '../../rule.ts';
import { boundedDuration, integer } from '../common.ts';

const YEAR = '8760h';
const MAX_BODY_BYTES = 1_099_511_627_776;

const requireHttps = z
  .strictObject({
    status: z
      .union([z.literal(301), z.literal(302), z.literal(307), z.literal(308)], {
        error: (issue) => `must be 301, 302, 307 or 308, got ${JSON.stringify(issue.input)}`,
      })
      .default(308)
      .meta({ description: 'Status of the redirect: 307 and 308 keep the method and the body.' }),
    port: integer(1, 65_535).default(443).describe('The port of HTTPS, as clients see it.'),
  })
  .describe(
    'Requests over http are sent to the same host, path and query over https, before credentials are looked at. Behind trusted proxies X-Forwarded-Proto counts.',
  );

const hsts = withRules(
  z.strictObject({
    maxAge: boundedDuration(
      'How long browsers come over HTTPS only. 0s takes it back. Default 8760h, a year.',
      '0s',
      '26280h',
    ).default(YEAR),
    includeSubDomains: z.boolean().default(false).describe('It holds for all names below the host too.'),
    preload: z
      .boolean()
      .default(false)
      .describe('The host may stand in the lists that browsers ship (hstspreload.org). Hard to take back.'),
  }),
  {
    cel: `!self.preload || (self.includeSubDomains && duration(self.maxAge) >= duration('${YEAR}'))`,
    message: 'preload needs includeSubDomains and a maxAge of a year (8760h) at least, or the lists refuse the host',
    test: ({ preload, includeSubDomains, maxAge }) =>
      !preload || (includeSubDomains && durationMs(maxAge) >= durationMs(YEAR)),
  },
).meta({
  description: 'Strict-Transport-Security (RFC 6797) on every response over https, in place of that of the backend.',
});

export const security = withRules(
  z.strictObject({
    requireHttps: requireHttps.optional(),
    hsts: hsts.optional(),
    maxBodyBytes: integer(0, MAX_BODY_BYTES)
      .optional()
      .describe(
        'Bytes of the largest request body; a larger one is answered 413: at once where its length is announced, else where it passes the limit. Absent: no limit.',
      ),
  }),
  atLeastOneOf('requireHttps', 'hsts', 'maxBodyBytes'),
).meta({
  description:
    'HTTPS and the size of bodies, before anything else is asked of a request. What can not be built of it answers 503 on its rules.',
});
