/**
 * Login of people at an identity provider. Requests for pages are sent there; all others are told 401, as a script can't follow. What
 * answers itself are the paths of callback and logout: the route must match them too.
 */
import { createHash } from 'node:crypto';
import type { Exchange } from '../../pipeline/exchange.ts';
import { problem, redirect } from '../../pipeline/respond.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import type { StageContext } from '../context.ts';
import { ABSENT, EXPLAINED, type Finding, type Method } from './method.ts';
import { Cookies } from './oidc/cookies.ts';
import { Login, withCookies } from './oidc/login.ts';
import { LoginError } from './oidc/login-error.ts';
import { isNavigation } from './oidc/navigation.ts';
import { createParts, type OidcParts, readSecrets } from './oidc/parts.ts';
import type { Session } from './oidc/session.ts';
import type { Settled } from './oidc/sessions.ts';
import { sharedBy } from './shared.ts';
import { LOGIN_REFUSED, SESSION_OVER, UNAVAILABLE } from './tokens/refusals.ts';

const partsOf = sharedBy<OidcParts>();

export function create(config: MethodConfig<'oidc'>, context: StageContext, field: string): Method {
  const secrets = readSecrets(config, context, field);
  const digest = createHash('sha256');
  for (const secret of [secrets.client, ...secrets.keys]) digest.update(secret.bytes()).update('\0');
  const key = `${digest.digest('hex')} ${JSON.stringify(config)}`;
  const { value: parts, release } = partsOf(context.services.http).hold(key, () =>
    createParts(config, secrets, context, field),
  );
  const silence = tellTroubles(config, parts, context);
  return {
    ...createMethod(config, parts, context),
    close() {
      silence();
      release();
    },
  };
}

/** What the provider and the store can't do, said with one voice. */
function tellTroubles({ session }: MethodConfig<'oidc'>, { provider }: OidcParts, context: StageContext): () => void {
  const said: (string | null)[] = [null, null];
  const tell = (index: number) => (message: string | null) => {
    said[index] = message;
    const messages = said.filter((one) => one !== null);
    context.trouble(messages.length === 0 ? null : messages.join('; '));
  };
  const stops = [provider.voices.add(tell(0))];
  const { redis } = context.services;
  if (session.store === 'redis' && redis !== null) {
    redis.open();
    const sayOfRedis = tell(1);
    stops.push(redis.watch((trouble) => sayOfRedis(trouble === null ? null : `sessions: ${trouble}`)));
  }
  return () => {
    for (const stop of stops) stop();
  };
}

function createMethod(config: MethodConfig<'oidc'>, parts: OidcParts, { epochMs }: StageContext): Method {
  const { sessions, sealer, provider } = parts;
  const login = new Login({ config, provider, sealer, epochMs });
  const { cookieName, secure } = config.session;
  const [plain, secured] = [new Cookies(cookieName, false), new Cookies(cookieName, true)];
  const alwaysSecure = secure || config.publicOrigin.startsWith('https:');
  const cookiesOf = ({ scheme }: Exchange): Cookies => (alwaysSecure || scheme === 'https' ? secured : plain);
  /** Set-Cookie values for a response that others make. */
  const pending = `oidc ${config.name}`;
  const later = (exchange: Exchange, values: readonly string[]): void => {
    exchange.locals ??= new Map();
    exchange.locals.set(pending, values);
  };

  /** Of a request without a session. */
  async function send(exchange: Exchange, cleared: readonly string[]): Promise<Finding> {
    try {
      return { kind: 'absent', answer: await login.begin(exchange, cookiesOf(exchange), cleared) };
    } catch (error) {
      return findingOf(error);
    }
  }

  function findingFor(exchange: Exchange, settled: Settled): Finding | Promise<Finding> {
    if (settled.kind === 'unavailable') return UNAVAILABLE.session;
    const cookies = cookiesOf(exchange);
    if (settled.kind === 'in') {
      if (settled.cookie === undefined) return settled.vouched;
      const renewed = cookies.setSession(exchange, settled.cookie, leftOf(settled.session));
      if (renewed !== null) {
        later(exchange, renewed);
        return settled.vouched;
      }
    }
    const cleared = cookies.clearSession(exchange);
    if (isNavigation(exchange)) return send(exchange, cleared);
    later(exchange, cleared);
    return SESSION_OVER;
  }

  function leftOf({ endsAtMs }: Session): number {
    return Math.max(0, endsAtMs - epochMs());
  }

  async function comeBack(exchange: Exchange): Promise<Finding> {
    if (exchange.method !== 'GET') return answerWith405(exchange, 'GET');
    const cookies = cookiesOf(exchange);
    try {
      const returned = await login.finish(exchange, cookies);
      if ('status' in returned) return { kind: 'answer', answer: returned };
      const { cookie, session } = await sessions.begin(returned.tokens);
      const values =
        cookies.setSession(exchange, cookie, leftOf(session)) ??
        cookies.setSession(exchange, await sessions.beginShorter(session), leftOf(session));
      if (values === null) return answerTooLarge(exchange);
      const answer = redirect(303, returned.target);
      return { kind: 'answer', answer: withCookies(answer, [...values, cookies.clearLogin(returned.state)]) };
    } catch (error) {
      return findingOf(error);
    } finally {
      // The authorization code stands there: not for the log, however this ended.
      exchange.query = undefined;
    }
  }

  async function leave(exchange: Exchange): Promise<Finding> {
    if (exchange.method !== 'GET' && exchange.method !== 'POST') return answerWith405(exchange, 'GET, POST');
    const cookies = cookiesOf(exchange);
    const cookie = cookies.session(exchange);
    // Where the store is away, the browser at least forgets.
    const session = cookie === undefined ? null : await sessions.end(cookie).catch(() => null);
    const answer = redirect(303, await login.leave(exchange, session?.idToken));
    return { kind: 'answer', answer: withCookies(answer, cookies.clearSession(exchange)) };
  }

  return {
    name: config.name,
    challenge: 'Cookie realm="tidegate"',
    writes: [
      ...config.claimHeaders.map(({ header }) => header),
      ...(config.forwardAccessToken ? ['authorization'] : []),
    ],
    strip: config.keepCredential ? null : (exchange) => cookiesOf(exchange).strip(exchange),
    find(exchange) {
      const explained = exchange.locals?.has(EXPLAINED) === true;
      if (exchange.path === config.callbackPath) return explained ? STEP : comeBack(exchange);
      if (exchange.path === config.logoutPath) return explained ? STEP : leave(exchange);
      const cookie = cookiesOf(exchange).session(exchange);
      if (cookie === undefined) return isNavigation(exchange) ? send(exchange, []) : ABSENT;
      const settled = explained ? sessions.peek(cookie) : sessions.find(cookie);
      if (settled instanceof Promise) return settled.then((late) => findingFor(exchange, late));
      return findingFor(exchange, settled);
    },
    onResponse(exchange) {
      const values = exchange.locals?.get(pending) as readonly string[] | undefined;
      for (const value of values ?? []) exchange.responseHeaders?.add('set-cookie', value);
    },
  };
}

/** Of a callback or a logout that is only explained: nobody is logged in or out by it. */
const STEP: Finding = { kind: 'answer', answer: redirect(303, '/') };

function findingOf(error: unknown): Finding {
  if (error instanceof LoginError) return error.kind === 'refused' ? LOGIN_REFUSED : UNAVAILABLE.login;
  return UNAVAILABLE.session;
}

function answerWith405({ requestId }: Exchange, allow: string): Finding {
  const detail = 'This path belongs to the login and takes other methods.';
  return { kind: 'answer', answer: problem(405, 'method-not-allowed', detail, requestId, ['allow', allow]) };
}

function answerTooLarge({ requestId }: Exchange): Finding {
  const detail =
    'What the identity provider says does not fit into cookies; the operator can keep sessions in a store.';
  return { kind: 'answer', answer: problem(500, 'session-too-large', detail, requestId) };
}
