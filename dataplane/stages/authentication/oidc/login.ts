/** The steps of a login (OpenID Connect Core 1.0 section 3.1): off to the provider, back from it, and out again. */
import { randomNonce, randomPKCECodeVerifier, randomState } from 'openid-client';
import type { Answer, Exchange } from '../../../pipeline/exchange.ts';
import { problem, redirect } from '../../../pipeline/respond.ts';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import { queryValue } from '../places.ts';
import type { Cookies } from './cookies.ts';
import { isOwnTarget, originOf, targetOf } from './navigation.ts';
import type { Provider, Tokens } from './provider.ts';
import type { Sealer } from './sealer.ts';

/** What the browser keeps between going and coming back. */
interface Started {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly target: string;
}

/** How long somebody may take at the provider. */
const LOGIN_MS = 600_000;

export interface LoginDeps {
  readonly config: MethodConfig<'oidc'>;
  readonly provider: Provider;
  readonly sealer: Sealer;
  readonly epochMs: () => number;
}

/** A code came back that belongs to a login of this browser. */
export interface Returned {
  readonly tokens: Tokens;
  readonly target: string;
  readonly state: string;
}

export class Login {
  readonly #deps: LoginDeps;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
  }

  /** Off to the provider. `cookiesToo`: further Set-Cookie values. Rejects with LoginError. */
  async begin(exchange: Exchange, cookies: Cookies, cookiesToo: readonly string[]): Promise<Answer> {
    const { config, provider, sealer, epochMs } = this.#deps;
    const origin = originOf(exchange, config.publicOrigin);
    if (origin === null) return badRequest(exchange, 'login-origin', 'This host can not be logged in at.');
    const started: Started = {
      state: randomState(),
      nonce: randomNonce(),
      verifier: randomPKCECodeVerifier(),
      target: targetOf(exchange),
    };
    const location = await provider.authorizationUrl({ ...started, redirectUri: origin + config.callbackPath });
    const sealed = await sealer.seal(started, epochMs() + LOGIN_MS);
    return withCookies(redirect(302, location), [...cookiesToo, cookies.setLogin(started.state, sealed, LOGIN_MS)]);
  }

  /** Back from the provider. An answer where this is no end of a login of this browser. Rejects with LoginError. */
  async finish(exchange: Exchange, cookies: Cookies): Promise<Returned | Answer> {
    const { config, provider, sealer } = this.#deps;
    const origin = originOf(exchange, config.publicOrigin);
    const state = queryValue(exchange.query ?? '', 'state') ?? '';
    const started = await this.#startedOf(cookies.login(exchange, state), sealer);
    if (origin === null || started === null || started.state !== state)
      return badRequest(exchange, 'login-state', 'This login was not begun here, or took too long: begin it again.');
    const tokens = await provider.exchange(new URL(`${origin}${config.callbackPath}?${exchange.query ?? ''}`), started);
    return { tokens, state, target: isOwnTarget(started.target) ? started.target : '/' };
  }

  /** Out: at the provider too, where it knows how. */
  async leave(exchange: Exchange, idToken: string | undefined): Promise<string> {
    const { config, provider } = this.#deps;
    const origin = originOf(exchange, config.publicOrigin);
    if (origin === null) return config.afterLogoutPath;
    const location = await provider.logoutUrl(idToken, origin + config.afterLogoutPath);
    return location ?? config.afterLogoutPath;
  }

  async #startedOf(cookie: string | undefined, sealer: Sealer): Promise<Started | null> {
    const value = cookie === undefined ? null : await sealer.open(cookie);
    return value === null ? null : (value as Started);
  }
}

export function withCookies(answer: Answer, cookies: readonly string[]): Answer {
  // Nobody may keep an answer that logs somebody in or out.
  answer.headers.set('cache-control', 'no-store');
  for (const cookie of cookies) answer.headers.add('set-cookie', cookie);
  return answer;
}

export function badRequest({ requestId }: Exchange, code: string, detail: string): Answer {
  return problem(400, code, detail, requestId);
}
