/**
 * Envoy with what the whole stack does: CORS, JWT, a local rate limit that is never reached, one field set on the request and one on the
 * response. Verified tokens are remembered (`jwt_cache_config`), as its documentation advises; no access log, no RateLimit fields.
 */
import { type EnvoyFeatures, startEnvoy, type } from '../peers/envoy.ts';
import type { Peer } from '../peers/peer.ts';
import { AUDIENCE, ISSUER } from './tokens.ts';
import { EDITS, ORIGIN } from './what.ts';

function features(jwks: string): EnvoyFeatures {
  const always = { default_value: { numerator: 100, denominator: 'HUNDRED' } };
  const cors = { name: 'envoy.filters.http.cors', typed_config: { '@type': type('filters.http.cors.v3.Cors') } };
  const jwt = {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': type('filters.http.jwt_authn.v3.JwtAuthentication'),
      providers: {
        login: {
          issuer: ISSUER,
          audiences: [AUDIENCE],
          local_jwks: { inline_string: jwks },
          jwt_cache_config: { jwt_cache_size: 10_000 },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'login' } }],
    },
  };
  const limit = {
    name: 'envoy.filters.http.local_ratelimit',
    typed_config: {
      '@type': type('filters.http.local_ratelimit.v3.LocalRateLimit'),
      stat_prefix: 'limit',
      token_bucket: { max_tokens: 1_000_000_000, tokens_per_fill: 1_000_000_000, fill_interval: '1s' },
      filter_enabled: always,
      filter_enforced: always,
    },
  };
  const edit = ({ name, value }: { name: string; value: string }) => ({
    header: { key: name, value },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  });
  return {
    filters: [cors, jwt, limit],
    route: {
      request_headers_to_add: [edit(EDITS.request)],
      response_headers_to_add: [edit(EDITS.response)],
      typed_per_filter_config: {
        'envoy.filters.http.cors': {
          '@type': type('filters.http.cors.v3.CorsPolicy'),
          allow_origin_string_match: [{ exact: ORIGIN }],
          allow_methods: 'GET, POST',
          allow_credentials: true,
        },
      },
    },
  };
}

export const envoyStack = (jwks: string): Peer => ({
  name: 'envoy stack',
  about: 'cors, jwt_authn with a cache of verified tokens, local_ratelimit, two header edits; no access log',
  needs: ['envoy'],
  start: (context) => startEnvoy(context, features(jwks)),
});
