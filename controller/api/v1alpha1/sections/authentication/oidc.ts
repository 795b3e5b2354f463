/** Login of people with their browser. */
import { z } from 'zod';
import { withRules } from '../../../rule.ts';
import { duration, listMap, show } from '../../common.ts';
import { secretRef } from '../../secret-ref.ts';
import { insecure, secureUnlessTold, serverUrl } from '../../server-url.ts';
import { claimHeaders, claims } from './claims.ts';
import { oauthClient } from './client.ts';
import { keepCredential } from './place.ts';
import { atLeastASecond, timeout } from './times.ts';

const PATH = '^/([!-.0->@-Z^-~][!->@-Z^-~]*)?$';
const path = (text: string) =>
  withRules(z.string().min(1).max(1024), {
    cel: `self.matches(r'${PATH}') && !self.contains('#')`,
    message: 'must be a path such as /oauth2/callback, without host, query and spaces',
    test: (value) =>
      (new RegExp(PATH).test(value) && !value.includes('#')) ||
      `must be a path such as /oauth2/callback, without host, query and spaces, got ${show(value)}`,
  }).meta({ description: text });

const ORIGIN = '^https?://[^/?#@\\s]+$';
const origin = withRules(z.string().min(1).max(300), {
  cel: `self.matches(r'${ORIGIN}') && isURL(self)`,
  message: 'must be scheme and host such as https://shop.example.com',
  test: (value) => new RegExp(ORIGIN).test(value) && URL.canParse(value),
});

/** The login writes them itself. */
const RESERVED = [
  'client_id',
  'code_challenge',
  'code_challenge_method',
  'nonce',
  'redirect_uri',
  'response_mode',
  'response_type',
  'scope',
  'state',
];

const parameter = z.strictObject({
  name: withRules(z.string().min(1).max(64), {
    cel: `!(self in [${RESERVED.map((name) => `'${name}'`).join(', ')}])`,
    message: `must not be one of ${RESERVED.join(', ')}: the login writes them itself`,
    test: (name) => !RESERVED.includes(name),
  }).describe('Its name.'),
  value: z.string().max(1024).describe('Its value.'),
});

const scope = withRules(z.string().min(1).max(256), {
  cel: "self.matches(r'^[!#-\\[\\]-~]+$')",
  message: 'must be a scope: no spaces, quotation marks and backslashes',
  test: (value) => /^[!#-[\]-~]+$/.test(value),
});

const cookieName = withRules(z.string().min(1).max(64), {
  cel: "self.matches('^[A-Za-z0-9_-]+$')",
  message: 'must be letters, digits, _ and -',
  test: (value) => /^[A-Za-z0-9_-]+$/.test(value),
});

const session = z
  .strictObject({
    store: z
      .enum(['cookie', 'memory', 'redis'])
      .default('cookie')
      .describe(
        'Where sessions are kept. cookie: encrypted in the cookie, nothing to operate; a copied cookie outlives a logout until its tokens end. memory: in one data plane, so for one replica. redis: in the Redis of the data planes (TIDEGATE_REDIS_URL).',
      ),
    keySecretRefs: z
      .array(secretRef('A value of a Secret, of 32 bytes or more.'))
      .min(1)
      .max(4)
      .describe(
        'Keys that sessions are encrypted with. The first encrypts, all decrypt: to change keys, put the new one in front and take the old one away when the sessions of then are over.',
      ),
    cookieName: cookieName
      .optional()
      .describe('Name of the cookie; over https it gets the prefix __Host-. Default tidegate-session.'),
    maxAge: atLeastASecond('However often its tokens are renewed, a session ends after this. Default 8h.').optional(),
    secure: z
      .boolean()
      .default(false)
      .describe('Cookies for https only, also where requests reach the gateway without TLS. Implied by https itself.'),
  })
  .meta({ description: 'How the gateway remembers who has logged in.' });

export const oidc = withRules(
  z.strictObject({
    issuer: serverUrl(
      'The identity provider, as it calls itself; its metadata is at <issuer>/.well-known/openid-configuration.',
    ),
    insecure,
    client: oauthClient,
    scopes: z
      .array(scope)
      .min(1)
      .max(32)
      .optional()
      .describe('What is asked for. openid is always among them; most providers want offline_access for renewals.'),
    parameters: listMap(z.array(parameter).max(16), 'name')
      .optional()
      .describe('Further parameters of the authorization request, such as prompt or audience.'),
    callbackPath: path(
      'Where the provider sends browsers back to: the route must match it, and the provider know it. Default /oauth2/callback.',
    ).optional(),
    logoutPath: path('Ends the session, here and at the provider. Default /oauth2/logout.').optional(),
    afterLogoutPath: path('Where a browser is sent after that. Default /.').optional(),
    publicOrigin: origin
      .optional()
      .describe('Scheme and host that browsers use, where TLS ends before the gateway. Absent: those of the request.'),
    session,
    forwardAccessToken: z
      .boolean()
      .default(false)
      .describe('Whether the backend gets the access token in Authorization.'),
    timeout: timeout('For one question to the provider; a request waits no longer for it. Default 5s.').optional(),
    clockSkew: duration('By how much clocks may differ. Default 30s.').optional(),
    claims,
    claimHeaders,
    keepCredential,
  }),
  secureUnlessTold('issuer'),
  {
    cel: "(has(self.callbackPath) ? self.callbackPath : '/oauth2/callback') != (has(self.logoutPath) ? self.logoutPath : '/oauth2/logout')",
    message: 'callbackPath and logoutPath must differ',
    test: ({ callbackPath = '/oauth2/callback', logoutPath = '/oauth2/logout' }) => callbackPath !== logoutPath,
  },
).meta({
  description:
    'Login with a browser (OpenID Connect, authorization code with PKCE). Requests for pages are sent to the provider; all others get 401. A session lives as long as its tokens can be renewed.',
});
export type OidcSpec = z.output<typeof oidc>;
