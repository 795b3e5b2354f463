/** Logins at a real identity provider through a real listener. */
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { oidcMethod } from '../../snapshot/sections/authentication/oidc.ts';
import { Browser } from './browser.fixture.ts';
import { CLIENT, IdentityProvider, type ProviderSettings } from './identity-provider.fixture.ts';
import { ListeningGateway } from './listening-gateway.fixture.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const SECRET = 'secret/shop/login/client/secret';
const KEY = 'secret/shop/login/cookies/key';
const KEY_2 = 'secret/shop/login/cookies/key-2';
const SECRETS = { [SECRET]: CLIENT.secret, [KEY]: 'k'.repeat(32) };
const HOUR = 3_600_000;

interface Scene {
  readonly gateway: ListeningGateway;
  readonly idp: IdentityProvider;
  readonly browser: Browser;
  method(more?: object): ReturnType<typeof oidcMethod.parse>;
}

async function scene(config: object = {}, settings: ProviderSettings = {}): Promise<Scene> {
  const gateway = await new ListeningGateway().start();
  cleanups.push(() => gateway.stop());
  const { origin } = gateway;
  const idp = await new IdentityProvider({
    redirectUris: [`${origin}/oauth2/callback`, 'https://shop.example.com/oauth2/callback'],
    logoutUris: [`${origin}/bye`],
    ...settings,
  }).start();
  cleanups.push(() => idp.stop());
  const method = (more: object = {}) =>
    oidcMethod.parse({
      kind: 'oidc',
      name: 'login',
      issuer: idp.issuer,
      client: { id: CLIENT.id, secret: SECRET, authentication: 'basic' },
      scopes: ['openid', 'profile', 'offline_access'],
      callbackPath: '/oauth2/callback',
      logoutPath: '/oauth2/logout',
      afterLogoutPath: '/bye',
      session: { store: 'cookie', keys: [KEY], cookieName: 'shop', maxAgeMs: 8 * HOUR },
      timeoutMs: 1_000,
      clockSkewMs: 5_000,
      claimHeaders: [{ claim: 'name', header: 'x-name' }],
      ...config,
      ...more,
    });
  expect(await gateway.protect([method()], SECRETS)).toEqual([]);
  return { gateway, idp, browser: new Browser(), method };
}

const session = (store: string) => ({ store, keys: [KEY], cookieName: 'shop', maxAgeMs: 8 * HOUR });
const STORES = ['cookie', 'memory'] as const;

describe.each(STORES)('sessions in %s', (store) => {
  test('a page leads to the login and back, a script is told, and who it is reaches the backend', async () => {
    const { gateway, idp, browser } = await scene({ session: session(store) });
    const { origin } = gateway;
    const script = await browser.fetch(`${origin}/orders`);
    expect([script.status, JSON.parse(script.body).code]).toEqual([401, 'credentials-missing']);
    expect(script.headers['www-authenticate']).toBe('Cookie realm="tidegate"');

    const sent = await new Browser().get(`${origin}/orders?page=2`);
    expect([sent.status, sent.headers['cache-control']]).toEqual([302, 'no-store']);
    const location = new URL(sent.headers.location ?? '');
    expect(location.origin).toBe(idp.issuer);
    expect(Object.fromEntries(location.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: CLIENT.id,
      redirect_uri: `${origin}/oauth2/callback`,
      scope: 'openid profile offline_access',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
    });

    const page = await browser.visit(`${origin}/orders?page=2`);
    expect([page.status, page.body, page.url]).toEqual([200, 'GET /orders?page=2', `${origin}/orders?page=2`]);
    expect(browser.names(origin)).toEqual(['shop']);
    const { headers } = gateway.seen[0] ?? {};
    expect(headers).toMatchObject({
      'x-consumer': 'alice',
      'x-consumer-groups': 'staff,gold',
      'x-name': 'alice of the test',
    });
    expect(headers?.cookie).toBeUndefined();

    const asked = idp.asked.length;
    expect((await browser.fetch(`${origin}/again`)).status).toBe(200);
    expect((await browser.get(`${origin}/again`, { 'x-consumer': 'root' })).status).toBe(200);
    expect(gateway.seen.at(-1)?.headers['x-consumer']).toBe('alice');
    expect(idp.asked).toHaveLength(asked);
  });

  test('tokens are renewed before they end, once for all who ask, and the person stays logged in', async () => {
    const { gateway, idp, browser } = await scene({ session: session(store) });
    await browser.visit(gateway.origin);
    for (let round = 1; round <= 3; round++) {
      gateway.aheadMs += 0.999 * HOUR;
      const before = idp.count('/token');
      const pages = await Promise.all(Array.from({ length: 10 }, () => browser.fetch(`${gateway.origin}/x`)));
      expect(pages.map(({ status }) => status)).toEqual(Array(10).fill(200));
      expect(idp.count('/token') - before).toBe(1);
      expect((await browser.fetch(`${gateway.origin}/x`)).status).toBe(200);
      expect(idp.count('/token') - before).toBe(1);
    }
    // However often: then it ends.
    gateway.aheadMs = 8 * HOUR + 1;
    const over = await browser.fetch(`${gateway.origin}/x`);
    expect([over.status, JSON.parse(over.body).code]).toEqual([401, 'session-expired']);
    expect(browser.names(gateway.origin)).toEqual([]);
  });

  test('a logout ends it here and there', async () => {
    const { gateway, idp, browser } = await scene({ session: session(store) });
    const { origin } = gateway;
    await browser.visit(origin);
    const cookie = browser.header(origin);
    const sent = await browser.get(`${origin}/oauth2/logout`);
    expect(sent.status).toBe(303);
    const location = new URL(sent.headers.location ?? '');
    expect([location.origin, location.searchParams.get('post_logout_redirect_uri')]).toEqual([
      idp.issuer,
      `${origin}/bye`,
    ]);
    expect(location.searchParams.get('id_token_hint')).toBeTruthy();
    expect(browser.header(origin)).toBe('');
    // A copy of the cookie: a store has forgotten it, a cookie holds until its tokens end.
    const copied = await new Browser().get(`${origin}/x`, { cookie, accept: '*/*' });
    expect(copied.status).toBe(store === 'cookie' ? 200 : 401);
    if (store === 'memory') expect(JSON.parse(copied.body).code).toBe('session-expired');
  });

  test('who only explains logs nobody in or out and renews nothing', async () => {
    const { gateway, idp, browser } = await scene({ session: session(store) });
    const { origin } = gateway;
    expect(await gateway.explain('/x', '')).toBe('401 This route needs credentials.');
    const target = await browser.visit(origin, (next) => next.includes('/oauth2/callback'));
    const { pathname, search } = new URL(target.headers.location ?? '');
    const asked = idp.asked.length;
    expect(await gateway.explain(`${pathname}${search}`, browser.header(origin))).toMatch(/^303 a step of a login/);
    expect(idp.asked).toHaveLength(asked);
    expect((await browser.visit(target.headers.location ?? '')).status).toBe(200);
    const cookie = browser.header(origin);
    expect(await gateway.explain('/oauth2/logout', cookie)).toMatch(/^303 a step of a login/);
    gateway.aheadMs += 0.999 * HOUR;
    const tokens = idp.count('/token');
    expect(await gateway.explain('/x', cookie)).toBe('served login: consumer alice (staff, gold)');
    expect(idp.count('/token')).toBe(tokens);
    expect((await browser.fetch(`${origin}/x`)).status).toBe(200);
    expect(await gateway.explain('/x', 'shop=nonsense')).toMatch(/^401 /);
  });

  test('a logout while the tokens are being renewed is not undone', async () => {
    const { gateway, idp, browser } = await scene({ session: session(store), timeoutMs: 10_000 });
    const { origin } = gateway;
    await browser.visit(origin);
    const cookie = browser.header(origin);
    let release: () => void = () => {};
    idp.held = new Promise((resolve) => {
      release = resolve;
    });
    gateway.aheadMs = 0.999 * HOUR;
    const asked = idp.count('/token');
    const renewing = new Browser().get(`${origin}/x`, { cookie, accept: '*/*' });
    await eventually(() => idp.count('/token') > asked, 'a renewal');
    expect((await browser.get(`${origin}/oauth2/logout`)).status).toBe(303);
    release();
    const page = await renewing;
    expect([page.status, JSON.parse(page.body).code]).toEqual([401, 'session-expired']);
    expect(page.headers['set-cookie']).toEqual(['shop=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0']);
  });

  test('the provider stopped, silent, back: who is in stays, who is not gets 503 in time, and no restart', async () => {
    const { gateway, idp, browser } = await scene({ session: session(store), timeoutMs: 500 });
    const { origin } = gateway;
    await browser.visit(origin);
    for (const away of ['stopped', 'silent'] as const) {
      const other = new Browser();
      const began = await other.get(origin);
      if (away === 'stopped') await idp.stop();
      else idp.silent = true;
      expect((await browser.fetch(`${origin}/x`)).status).toBe(200);
      // Somebody who was at the provider comes back with a code.
      const state = new URL(began.headers.location ?? '').searchParams.get('state') ?? '';
      const callback = `${origin}/oauth2/callback?code=x&state=${state}&iss=${encodeURIComponent(idp.issuer)}`;
      const failed = await other.get(callback);
      expect([failed.status, JSON.parse(failed.body).code]).toEqual([503, 'login-unavailable']);
      expect(gateway.troubles).toEqual([expect.stringMatching(/^identity provider .* can not be used: POST /)]);
      // Tokens that could be renewed now hold on to the end.
      gateway.aheadMs += 0.999 * HOUR;
      expect((await browser.fetch(`${origin}/x`)).status).toBe(200);
      gateway.aheadMs += 0.001 * HOUR;
      const over = await browser.fetch(`${origin}/x`);
      expect([over.status, JSON.parse(over.body).code]).toEqual([503, 'session-unavailable']);
      if (away === 'stopped') await idp.start();
      else idp.silent = false;
      await eventually(async () => (await browser.fetch(`${origin}/x`)).status === 200, 'a renewal');
      await eventually(() => gateway.troubles.length === 0, 'an end of the trouble');
      const page = await new Browser().visit(`${origin}/new`);
      expect([page.status, page.body]).toEqual([200, 'GET /new']);
    }
  });
});

test('a provider that is not there at the start: 503 and a word in the status, and it comes', async () => {
  const { gateway, idp, browser, method } = await scene();
  await idp.stop();
  const changed = method({ timeoutMs: 200 });
  expect(await gateway.protect([changed], SECRETS)).toEqual([]);
  const failed = await browser.get(gateway.origin);
  expect([failed.status, JSON.parse(failed.body).code]).toEqual([503, 'login-unavailable']);
  expect((await browser.fetch(gateway.origin)).status).toBe(401);
  expect(gateway.troubles).toEqual([expect.stringMatching(/^identity provider http.* can not be used: GET .*REFUSED/)]);
  await idp.start();
  await eventually(() => gateway.troubles.length === 0, 'an end of the trouble');
  expect((await browser.visit(gateway.origin)).status).toBe(200);
});

test('the provider signs with a new key: logins go on at once', async () => {
  const { gateway, idp, browser } = await scene();
  await browser.visit(gateway.origin);
  await idp.rotateKeys();
  const bob = new Browser();
  idp.account = 'bob';
  expect((await bob.visit(gateway.origin)).status).toBe(200);
  expect(gateway.seen.at(-1)?.headers['x-consumer']).toBe('bob');
  expect((await browser.fetch(gateway.origin)).status).toBe(200);
});

test('keys of cookies are rotated: the old one still opens, and one that is gone does not', async () => {
  const { gateway, browser, method } = await scene();
  await browser.visit(gateway.origin);
  const secrets = { ...SECRETS, [KEY_2]: 'n'.repeat(32) };
  const keys = (...ids: string[]) => method({ session: { ...session('cookie'), keys: ids } });
  await gateway.protect([keys(KEY_2, KEY)], secrets);
  expect((await browser.fetch(gateway.origin)).status).toBe(200);
  const late = new Browser();
  await late.visit(gateway.origin);
  await gateway.protect([keys(KEY_2)], secrets);
  expect((await late.fetch(gateway.origin)).status).toBe(200);
  const over = await browser.fetch(gateway.origin);
  expect([over.status, JSON.parse(over.body).code]).toEqual([401, 'session-expired']);
  // A page is led to the login, which costs nothing as the provider knows who it is.
  expect((await browser.visit(gateway.origin)).status).toBe(200);
});

describe('what comes back', () => {
  const back = async (query: (state: string, issuer: string) => string) => {
    const { gateway, idp, browser } = await scene();
    const sent = await browser.get(`${gateway.origin}/x`);
    const state = new URL(sent.headers.location ?? '').searchParams.get('state') ?? '';
    const page = await browser.get(`${gateway.origin}/oauth2/callback?${query(state, encodeURIComponent(idp.issuer))}`);
    expect(gateway.seen).toEqual([]);
    expect(browser.names(gateway.origin)).not.toContain('shop');
    return `${page.status} ${JSON.parse(page.body).code}`;
  };

  test.each([
    ['nothing', () => '', '400 login-state'],
    ['another state', () => 'code=x&state=other', '400 login-state'],
    ['a refusal', (state: string, iss: string) => `error=access_denied&state=${state}&iss=${iss}`, '403 login-refused'],
    ['a made-up code', (state: string, iss: string) => `code=x&state=${state}&iss=${iss}`, '403 login-refused'],
    ['another issuer', (state: string) => `code=x&state=${state}&iss=https://evil.test`, '403 login-refused'],
    ['the state twice', (state: string) => `code=x&state=${state}&state=${state}`, '403 login-refused'],
  ])('%s', async (_what, query, expected) => {
    expect(await back(query)).toBe(expected);
  });

  test("a login that another browser began is nobody's, and one counts once", async () => {
    const { gateway, browser } = await scene();
    const callback = `${gateway.origin}/oauth2/callback`;
    const stopped = await browser.visit(gateway.origin, (next) => next.startsWith(callback));
    const next = stopped.headers.location ?? '';
    const victim = await new Browser().get(next);
    expect([victim.status, JSON.parse(victim.body).code]).toEqual([400, 'login-state']);
    const cookie = browser.header(gateway.origin);
    expect((await browser.get(next)).status).toBe(303);
    // Again, with the cookie of then: the code is spent.
    expect((await new Browser().get(next, { cookie })).status).toBe(403);
  });

  test('other methods of callback and logout', async () => {
    const { gateway, browser } = await scene();
    const post = await browser.get(`${gateway.origin}/oauth2/callback`, {}, 'POST');
    expect([post.status, post.headers.allow]).toEqual([405, 'GET']);
    expect((await browser.get(`${gateway.origin}/oauth2/logout`, {}, 'PUT')).headers.allow).toBe('GET, POST');
    expect((await browser.get(`${gateway.origin}/oauth2/logout`, {}, 'POST')).status).toBe(303);
  });
});

test('behind https: cookies with __Host- and Secure, and the origin that browsers see', async () => {
  const { gateway, browser } = await scene({ publicOrigin: 'https://shop.example.com' });
  const sent = await browser.get(`${gateway.origin}/x`);
  expect(new URL(sent.headers.location ?? '').searchParams.get('redirect_uri')).toBe(
    'https://shop.example.com/oauth2/callback',
  );
  expect(sent.headers['set-cookie']).toEqual([
    expect.stringMatching(/^__Host-shop-l\d=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600; Secure$/),
  ]);
});

test('what is much goes into several cookies, and the backend sees none of them', async () => {
  const groups = Array.from({ length: 80 }, (_, i) => `a-group-with-a-long-name-${i}`);
  const { gateway, browser } = await scene({}, { groups });
  await browser.visit(gateway.origin);
  expect(browser.names(gateway.origin)).toEqual(['shop', 'shop-1', 'shop-2']);
  const page = await browser.get(gateway.origin, { cookie: `theme=dark; ${browser.header(gateway.origin)}; a=b` });
  expect(page.status).toBe(200);
  expect(gateway.seen.at(-1)?.headers.cookie).toBe('theme=dark; a=b');
  const half = browser.header(gateway.origin).replace(/; shop-1=[^;]*/, '');
  expect((await new Browser().get(gateway.origin, { cookie: half, accept: '*/*' })).status).toBe(401);
});

test('more than fits is an error that says what to do, and fits into a store', async () => {
  const groups = Array.from({ length: 600 }, (_, i) => `a-group-with-a-long-name-${i}`);
  const { gateway, browser, method } = await scene({}, { groups });
  const page = await browser.visit(gateway.origin);
  expect([page.status, JSON.parse(page.body).code]).toEqual([500, 'session-too-large']);
  await gateway.protect([method({ session: session('memory') })], SECRETS);
  expect((await browser.visit(gateway.origin)).status).toBe(200);
});

test('the backend gets the access token where it is to have it', async () => {
  const { gateway, browser } = await scene({ forwardAccessToken: true });
  await browser.visit(gateway.origin);
  const { authorization } = gateway.seen[0]?.headers ?? {};
  expect(authorization).toMatch(/^Bearer [\w-]{43}$/);
  gateway.aheadMs = 0.999 * HOUR;
  await browser.fetch(gateway.origin);
  const renewed = gateway.seen.at(-1)?.headers.authorization;
  expect(renewed).toMatch(/^Bearer [\w-]{43}$/);
  expect(renewed).not.toBe(authorization);
});

test('what it can not be made with', async () => {
  const { gateway, method } = await scene();
  const rejected = (methods: Parameters<typeof gateway.protect>[0], secrets: Record<string, string>) =>
    gateway.protect(methods, secrets);
  expect(await rejected([method()], { ...SECRETS, [KEY]: 'short' })).toEqual([
    `policy/shop/login/authentication: config.methods[0].session.keys[0]: ${KEY} has fewer than 32 bytes`,
  ]);
  expect(await rejected([method({ session: session('redis') })], SECRETS)).toEqual([
    expect.stringContaining('config.methods[0].session.store: this data plane has no Redis: set TIDEGATE_REDIS_URL'),
  ]);
});
