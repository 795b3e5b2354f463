/** The identity provider stops, is killed, is silent: keys and answers that are held count on, the rest is 503 in time, and it recovers. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Provider, startProvider } from './identity-provider/provider.ts';
import { HARMS, OUTAGE_TIMEOUT_MS, runOutage, statuses } from './outage.ts';
import { protectedRoute, type Scene, startScene } from './scene.ts';

const TIMEOUT_MS = 2_000;
const jwt = (name: string, { issuer }: Provider, staleFor: string) =>
  protectedRoute(
    name,
    `authentication:
  methods:
    - name: token
      jwt:
        issuers: [${issuer}]
        jwks: { url: ${issuer}/jwks, insecure: true, maxAge: 4s, staleFor: ${staleFor}, timeout: ${TIMEOUT_MS}ms }`,
  );
const opaque = (name: string, { issuer, client }: Provider, cacheFor: string) =>
  protectedRoute(
    name,
    `authentication:
  methods:
    - name: token
      introspection:
        url: ${issuer}/token/introspection
        insecure: true
        client: { id: ${client.id}, secretRef: { name: client, key: secret } }
        timeout: ${TIMEOUT_MS}ms
        cacheFor: ${cacheFor}
        # A token of the client's own has no sub.
        claims: { consumer: client_id }`,
  );

let provider: Provider;
let scene: Scene;
beforeAll(async () => {
  provider = await startProvider();
  scene = await startScene({
    // Each worker remembers for itself what it was told of a token.
    workers: 1,
    yaml: [
      `apiVersion: v1\nkind: Secret\nmetadata: { name: client, namespace: outages }\nstringData: { secret: ${provider.client.secret} }\n`,
      jwt('stale', provider, '1h'),
      jwt('strict', provider, '0s'),
      opaque('known', provider, '1h'),
      opaque('asked', provider, '0s'),
    ].join('---\n'),
  });
});
afterAll(async () => {
  await scene?.stop();
  await provider?.component.stop();
});

test.each(HARMS)('%s', { timeout: OUTAGE_TIMEOUT_MS }, async (harm) => {
  let token = await provider.opaqueToken();
  const bearer = (value: string) => ({ authorization: `Bearer ${value}` });
  const signed = async () => bearer(await provider.sign());
  const { before, harmed, after, all } = await runOutage({
    scene,
    component: provider.component,
    harm,
    asked: [
      // Each token is a new one: nothing but the keys is remembered.
      { name: 'stale', path: '/stale', headers: signed },
      { name: 'strict', path: '/strict', headers: signed },
      { name: 'known', path: '/known', headers: () => bearer(token) },
      { name: 'asked', path: '/asked', headers: () => bearer(token) },
      { name: 'anonymous', path: '/asked' },
    ],
    timeoutMs: TIMEOUT_MS,
    policy: 'strict',
    says: /JWKS http:\/\/127\.0\.0\.1:\d+\/jwks can not be fetched/,
    onRecovery: async () => {
      // What it gave before its end it does not know any more.
      token = await provider.opaqueToken();
    },
  });

  for (const name of ['stale', 'strict', 'known', 'asked']) {
    expect(statuses(before(name)), name).toEqual([200]);
    expect(statuses(after(name)), name).toEqual([200]);
  }
  // Keys that are old, and a token that was asked about, are as good as before.
  expect(statuses(harmed('stale'))).toEqual([200]);
  expect(statuses(harmed('known'))).toEqual([200]);
  // Keys that are too old, and a token that has to be asked about, let nobody in.
  expect(statuses(harmed('strict'))).toEqual([503]);
  expect(statuses(harmed('asked'))).toEqual([503]);
  // Nothing is open for who shows nothing.
  expect(statuses(all.filter(({ name }) => name === 'anonymous'))).toEqual([401]);
});
