/**
 * The identity provider: its metadata (OpenID Connect Discovery 1.0) and keys, kept fresh, and the questions a login asks it. The protocol is
 * openid-client's; what it sends goes over Outbound. ID tokens are verified with the provider's keys also where TLS would do.
 */
import { compactVerify } from 'jose';
import * as oidc from 'openid-client';
import { messageOf } from '../../../errors.ts';
import { createFetch } from '../../../outbound/fetch.ts';
import type { Outbound } from '../../../outbound/outbound.ts';
import { isOldNews, OutboundError } from '../../../outbound/outbound-error.ts';
import { ASYMMETRIC_ALGORITHMS } from '../../../snapshot/sections/authentication/jwt.ts';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import type { Secret } from '../../secret.ts';
import type { Claims } from '../tokens/claims.ts';
import { readHeader } from '../tokens/header.ts';
import { KeptFresh } from '../tokens/kept-fresh.ts';
import { RemoteKeys } from '../tokens/remote-keys.ts';
import { Voices } from '../tokens/voices.ts';
import { LoginError } from './login-error.ts';

export interface ProviderDeps {
  readonly http: Outbound;
  readonly clientSecret: Secret;
  /** ms, monotonic. */
  readonly now: () => number;
  readonly epochMs: () => number;
  /** At least 0, less than 1. */
  readonly random: () => number;
}

export interface Tokens {
  /** Null: a renewal without a new ID token. */
  readonly claims: Claims | null;
  readonly idToken: string | undefined;
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  /** ms since the epoch. */
  readonly untilMs: number;
}

export interface AuthorizationParts {
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

const METADATA = { maxAgeMs: 3_600_000, staleMs: 86_400_000, cooldownMs: 1_000 };
const KEYS = { maxAgeMs: 600_000, staleMs: 3_600_000, cooldownMs: 10_000 };
const MAX_BYTES = 262_144;
/** Where the provider does not say how long an access token lives. */
const UNKNOWN_LIFE_MS = 300_000;

export class Provider {
  /** What of it can't be reached. */
  readonly voices = new Voices();
  readonly #config: MethodConfig<'oidc'>;
  readonly #deps: ProviderDeps;
  readonly #metadata: KeptFresh<oidc.Configuration>;
  #keys: { readonly url: string; readonly keys: RemoteKeys } | null = null;

  constructor(config: MethodConfig<'oidc'>, deps: ProviderDeps) {
    this.#config = config;
    this.#deps = deps;
    const { now, random } = deps;
    this.#metadata = new KeptFresh({
      ...METADATA,
      now,
      random,
      load: () => this.#discover(),
      onTake: (metadata) => {
        this.voices.say(null);
        this.#followKeys(metadata.serverMetadata().jwks_uri);
      },
      onFail: (error, tooOld) => {
        if (tooOld) this.#sayAway(causeOf(error));
      },
    });
  }

  /** Rejects with LoginError. */
  async authorizationUrl({ redirectUri, state, nonce, verifier }: AuthorizationParts): Promise<string> {
    const metadata = await this.#ready();
    const { parameters, scopes } = this.#config;
    const url = oidc.buildAuthorizationUrl(metadata, {
      ...Object.fromEntries(parameters.map(({ name, value }) => [name, value])),
      redirect_uri: redirectUri,
      scope: scopes.join(' '),
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    return url.href;
  }

  /** `url`: the callback with what the provider put into it. Rejects with LoginError. */
  async exchange(url: URL, { state, nonce, verifier }: Omit<AuthorizationParts, 'redirectUri'>): Promise<Tokens> {
    const metadata = await this.#ready();
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true };
    const answer = await oidc.authorizationCodeGrant(metadata, url, checks).catch((error) => this.#fail(error));
    return this.#tokensOf(answer);
  }

  /** Rejects with LoginError. */
  async refresh(refreshToken: string): Promise<Tokens> {
    const metadata = await this.#ready();
    const answer = await oidc.refreshTokenGrant(metadata, refreshToken).catch((error) => this.#fail(error));
    return this.#tokensOf(answer);
  }

  /** Null: the provider has no logout, or can't be reached. */
  async logoutUrl(idToken: string | undefined, afterwards: string): Promise<string | null> {
    const metadata = this.#metadata.current() ?? (await this.#metadata.first());
    if (metadata?.serverMetadata().end_session_endpoint === undefined) return null;
    const hint = idToken === undefined ? {} : { id_token_hint: idToken };
    return oidc.buildEndSessionUrl(metadata, { post_logout_redirect_uri: afterwards, ...hint }).href;
  }

  close(): void {
    this.#metadata.close();
    this.#keys?.keys.close();
  }

  async #discover(): Promise<oidc.Configuration> {
    const { issuer, client, timeoutMs, clockSkewMs } = this.#config;
    const secret = this.#deps.clientSecret.text();
    const authentication =
      client.authentication === 'basic' ? oidc.ClientSecretBasic(secret) : oidc.ClientSecretPost(secret);
    return oidc.discovery(
      new URL(issuer),
      client.id,
      { client_secret: secret, [oidc.clockTolerance]: Math.ceil(clockSkewMs / 1000) },
      authentication,
      {
        [oidc.customFetch]: createFetch(this.#deps.http, { timeoutMs, maxBytes: MAX_BYTES }),
        // Outbound has its own.
        timeout: 0,
        // Whether http is good enough was decided where the issuer was written.
        execute: new URL(issuer).protocol === 'http:' ? [oidc.allowInsecureRequests] : [],
      },
    );
  }

  async #ready(): Promise<oidc.Configuration> {
    const metadata = this.#metadata.current() ?? (await this.#metadata.first());
    if (metadata === null) throw new LoginError('unavailable', 'the identity provider can not be reached');
    return metadata;
  }

  #followKeys(url: string | undefined): void {
    if (url === undefined || this.#keys?.url === url) return;
    // Keys from a plain connection would be anybody's.
    if (url.startsWith('http:') && !this.#config.issuer.startsWith('http:')) return;
    this.#keys?.keys.close();
    const { http, now, random } = this.#deps;
    const config = { source: 'url' as const, url, timeoutMs: this.#config.timeoutMs, ...KEYS };
    // Its failures show in the logins that fail.
    this.#keys = { url, keys: new RemoteKeys(config, { http, now, random, voices: new Voices() }) };
  }

  async #tokensOf(answer: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers): Promise<Tokens> {
    const { id_token: idToken, access_token: accessToken, refresh_token: refreshToken } = answer;
    const claims = (answer.claims() as Claims | undefined) ?? null;
    if (idToken !== undefined) await this.#verify(idToken);
    const lifeMs = answer.expires_in === undefined ? UNKNOWN_LIFE_MS : answer.expires_in * 1000;
    return { claims, idToken, accessToken, refreshToken, untilMs: this.#deps.epochMs() + lifeMs };
  }

  /** Its claims were checked by openid-client. */
  async #verify(idToken: string): Promise<void> {
    const header = readHeader(idToken);
    const algorithm = ASYMMETRIC_ALGORITHMS.find((known) => known === header?.alg);
    const keys = this.#keys?.keys;
    if (header === null || algorithm === undefined || keys === undefined)
      throw new LoginError('refused', 'the ID token is not signed in a way that can be verified', { ours: true });
    let set = keys.current() ?? (await keys.first());
    for (let round = 0; round < 2; round++) {
      if (set === null) throw new LoginError('unavailable', 'the keys of the identity provider can not be fetched');
      for (const key of set.candidates(header.kid, algorithm)) {
        const good = await compactVerify(idToken, await key.imported(algorithm)).then(
          () => true,
          () => false,
        );
        if (good) return;
      }
      if (round === 0) set = await keys.again();
    }
    throw new LoginError('refused', 'the signature of the ID token is wrong');
  }

  #sayAway(error: unknown): void {
    if (this.voices.silent || !isOldNews(error))
      this.voices.say(`identity provider ${this.#config.issuer} can not be used: ${messageOf(error)}`);
  }

  #fail(error: unknown): never {
    const cause = causeOf(error);
    if (error instanceof oidc.AuthorizationResponseError)
      throw new LoginError('refused', `the identity provider says ${error.error}`, { cause: error });
    if (error instanceof oidc.ResponseBodyError) {
      const ours = error.error === 'invalid_client' || error.error === 'unauthorized_client';
      if (ours) this.voices.say(`identity provider ${this.#config.issuer} refuses this client: ${error.error}`);
      const kind = ours || error.status >= 500 ? 'unavailable' : 'refused';
      throw new LoginError(kind, `the identity provider says ${error.error}`, { cause: error, ours });
    }
    if (cause instanceof OutboundError) {
      this.#sayAway(cause);
      // Fetched again until it succeeds: so it is noticed that the provider is back.
      void this.#metadata.again();
      throw new LoginError('unavailable', cause.message, { cause });
    }
    const { code } = error as { code?: unknown };
    // A page instead of an answer: a proxy before the provider, while that is away.
    const unreadable = code === 'OAUTH_RESPONSE_IS_NOT_CONFORM' || code === 'OAUTH_RESPONSE_IS_NOT_JSON';
    throw new LoginError(unreadable ? 'unavailable' : 'refused', messageOf(error), { cause: error });
  }
}

/** openid-client wraps what the network did. */
function causeOf(error: unknown): unknown {
  for (let inner = error; inner instanceof Error; inner = inner.cause) if (inner instanceof OutboundError) return inner;
  return error;
}
