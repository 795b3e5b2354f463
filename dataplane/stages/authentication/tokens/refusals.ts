/** What a bearer token can be refused for (RFC 6750 section 3.1), said in one place: nothing of the token is quoted. */
import type { Finding } from '../method.ts';

type Refused = Extract<Finding, { kind: 'refused' }>;
type Unavailable = Extract<Finding, { kind: 'unavailable' }>;

export const BEARER = 'Bearer realm="tidegate"';

function invalid(code: string, detail: string): Refused {
  return {
    kind: 'refused',
    status: 401,
    code,
    detail,
    challenge: `error="invalid_token", error_description="${detail}"`,
  };
}

export const REFUSED = {
  malformed: invalid('token-malformed', 'This is not a token that can be read here.'),
  algorithm: invalid('token-algorithm', 'The algorithm of the token is not allowed here.'),
  type: invalid('token-type', 'The type of the token is not the one needed here.'),
  key: invalid('token-key', 'The key of the token is not known here.'),
  signature: invalid('token-signature', 'The signature of the token is wrong.'),
  expired: invalid('token-expired', 'The token has expired.'),
  early: invalid('token-not-yet-valid', 'The token is not valid yet.'),
  issuer: invalid('token-issuer', 'The issuer of the token is not trusted here.'),
  audience: invalid('token-audience', 'The token is meant for others.'),
  claim: invalid('token-claim', 'A claim of the token is missing or is not what is needed here.'),
  inactive: invalid('token-inactive', 'The token is not active, or is not known to its issuer.'),
} satisfies Record<string, Refused>;

/** Of people with a browser: no bearer token, so no challenge of its scheme. */
export const LOGIN_REFUSED: Refused = {
  kind: 'refused',
  status: 403,
  code: 'login-refused',
  detail: 'The identity provider did not confirm this login.',
};
export const SESSION_OVER: Refused = {
  kind: 'refused',
  status: 401,
  code: 'session-expired',
  detail: 'The session is over: log in again.',
};

export const UNAVAILABLE = {
  keys: { kind: 'unavailable', code: 'jwks-unavailable', detail: 'Tokens can not be checked at the moment.' },
  busy: { kind: 'unavailable', code: 'token-busy', detail: 'Too many new tokens wait to be checked.' },
  broken: { kind: 'unavailable', code: 'token-check-failed', detail: 'The token could not be checked.' },
  introspection: {
    kind: 'unavailable',
    code: 'introspection-unavailable',
    detail: 'Tokens can not be checked at the moment.',
  },
  login: {
    kind: 'unavailable',
    code: 'login-unavailable',
    detail: 'The identity provider can not be reached at the moment.',
  },
  session: { kind: 'unavailable', code: 'session-unavailable', detail: 'Sessions can not be read at the moment.' },
} satisfies Record<string, Unavailable>;
