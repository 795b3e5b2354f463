/** Logins whose sessions are in a real Redis: shared by data planes, and what happens while it is silent and gone. */
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../dataplane/engine.fixture.ts';
import { oidcMethod } from '../../dataplane/snapshot/sections/authentication/oidc.ts';
import { Browser, type Page } from '../../dataplane/stages/authentication/browser.fixture.ts';
import { CLIENT, IdentityProvider } from '../../dataplane/stages/authentication/identity-provider.fixture.ts';
import { ListeningGateway } from '../../dataplane/stages/authentication/listening-gateway.fixture.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { RedisSessions } from '../../dataplane/store/sessions/redis-sessions.ts';
import { sessionsFixture } from '../../dataplane/store/sessions/sessions.fixture.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const SECRET = 'secret/shop/login/client/secret';
const KEY = 'secret/shop/login/cookies/key';

async function dataPlane(url: string): Promise<ListeningGateway> {
  const redis = new Redis({ url, counter: () => ({ value: 0 }), limits: { restMs: 100 } });
  const sessions = { memory: sessionsFixture().memory, redis: new RedisSessions(redis, 500) };
  const gateway = await new ListeningGateway({ redis, sessions }).start();
  cleanups.push(
    () => redis.close(),
    () => gateway.stop(),
  );
  return gateway;
}

const codeOf = ({ status, body }: Page) => `${status} ${body.startsWith('{') ? JSON.parse(body).code : ''}`.trim();

describeWith(await startRedisProcess(), 'logins with sessions in Redis', (server) => {
  test('what one data plane was told others know; silent and gone it is 503 in time, and comes back by itself', async () => {
    const [one, two] = [await dataPlane(server.url), await dataPlane(server.url)];
    const idp = await new IdentityProvider({
      redirectUris: [one, two].map(({ origin }) => `${origin}/oauth2/callback`),
    }).start();
    cleanups.push(() => idp.stop());
    const method = oidcMethod.parse({
      kind: 'oidc',
      name: 'login',
      issuer: idp.issuer,
      client: { id: CLIENT.id, secret: SECRET, authentication: 'basic' },
      scopes: ['openid', 'offline_access'],
      callbackPath: '/oauth2/callback',
      logoutPath: '/oauth2/logout',
      afterLogoutPath: '/',
      session: { store: 'redis', keys: [KEY], cookieName: 'shop', maxAgeMs: 28_800_000 },
      timeoutMs: 5_000,
      clockSkewMs: 5_000,
    });
    const secrets = { [SECRET]: CLIENT.secret, [KEY]: 'k'.repeat(32) };
    for (const gateway of [one, two]) expect(await gateway.protect([method], secrets)).toEqual([]);

    const browser = new Browser();
    expect((await browser.visit(one.origin)).status).toBe(200);
    const cookie = browser.header(one.origin);
    const ask = ({ origin }: ListeningGateway) => new Browser().get(origin, { cookie, accept: '*/*' });
    expect(codeOf(await ask(two))).toBe('200');

    // Both want to renew; one does.
    const renewals = idp.count('/token');
    one.aheadMs = two.aheadMs = 0.999 * 3_600_000;
    const pages = await Promise.all([one, two, one, two].map(ask));
    expect(pages.map(codeOf)).toEqual(Array(4).fill('200'));
    expect(idp.count('/token') - renewals).toBe(1);

    for (const away of ['silent', 'gone'] as const) {
      if (away === 'silent') await server.pause();
      else await server.kill();
      // What was read within the last second is still believed.
      await eventually(async () => codeOf(await ask(two)) === '503 session-unavailable', '503');
      await eventually(() => two.troubles.some((trouble) => trouble.startsWith('sessions: ')), 'a trouble');
      if (away === 'silent') server.resume();
      else await server.restart();
      // A Redis that was killed has forgotten everybody: they log in again.
      const expected = away === 'silent' ? '200' : '401 session-expired';
      await eventually(async () => codeOf(await ask(two)) === expected, 'its answer');
      await eventually(() => two.troubles.length === 0, 'an end of the trouble');
    }
    expect((await new Browser().visit(two.origin)).status).toBe(200);
  });
});
