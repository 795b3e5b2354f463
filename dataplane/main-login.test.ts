/** A login at the whole program: a session that one worker was told of is known to the other. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { policyFixture } from './snapshot/fixtures.ts';
import type { Resource } from './snapshot/resources.ts';
import { authenticationSection } from './snapshot/sections/authentication.ts';
import { Browser } from './stages/authentication/browser.fixture.ts';
import { CLIENT, IdentityProvider } from './stages/authentication/identity-provider.fixture.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { proxied, publish, Scene } from './test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const SECRET = 'secret/shop/login/client/secret';
const KEY = 'secret/shop/login/cookies/key';

function secret(id: string, text: string): Resource {
  return { kind: 'secret', id, value: Buffer.from(text).toString('base64') };
}

function protectedBy(policy: Resource, resources: readonly Resource[]): Resource[] {
  return resources.map((resource) => (resource.kind === 'rule' ? { ...resource, policies: [policy.id] } : resource));
}

test('sessions in memory are those of all workers, and a logout ends them for all', async () => {
  const backend = await scene.backend((request, response) => response.end(String(request.headers['x-consumer'])));
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  const stream = await controller.streams.next();
  // The port is known once something is served.
  const open = new TestSnapshot(proxied(backend));
  await publish(stream, open);
  const { http: port } = await dataplane.ready();
  const origin = `http://127.0.0.1:${port}`;
  const idp = await new IdentityProvider({
    redirectUris: [`${origin}/oauth2/callback`],
    logoutUris: [`${origin}/`],
  }).start();
  scene.after(() => idp.stop());
  const section = authenticationSection.parse({
    section: 'authentication',
    methods: [
      {
        kind: 'oidc',
        name: 'login',
        issuer: idp.issuer,
        client: { id: CLIENT.id, secret: SECRET, authentication: 'basic' },
        scopes: ['openid', 'offline_access'],
        callbackPath: '/oauth2/callback',
        logoutPath: '/oauth2/logout',
        afterLogoutPath: '/',
        session: { store: 'memory', keys: [KEY], cookieName: 'shop', maxAgeMs: 3_600_000 },
        timeoutMs: 5_000,
        clockSkewMs: 5_000,
      },
    ],
    anyOf: [['login']],
  });
  const policy = policyFixture('shop/login', section);
  const secrets = [secret(SECRET, CLIENT.secret), secret(KEY, 'k'.repeat(32))];
  await publish(stream, new TestSnapshot([...secrets, policy, ...protectedBy(policy, proxied(backend))]), open);

  const browser = new Browser();
  const page = await browser.visit(`${origin}/`);
  expect([page.status, page.body]).toEqual([200, 'alice']);
  // A connection each: the kernel spreads them over the workers.
  const bodies = await Promise.all(Array.from({ length: 24 }, async () => (await browser.fetch(`${origin}/x`)).body));
  expect(new Set(bodies)).toEqual(new Set(['alice']));

  const cookie = browser.header(origin);
  expect((await browser.get(`${origin}/oauth2/logout`)).status).toBe(303);
  // A worker believes what it was told for a second.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const copies = await Promise.all(
    Array.from({ length: 24 }, async () => (await new Browser().get(origin, { cookie, accept: '*/*' })).status),
  );
  expect(new Set(copies)).toEqual(new Set([401]));
});
