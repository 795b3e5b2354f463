/** The whole program with API keys and passwords: of Secrets in the snapshot, and of a credential store beside it. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CredentialsResource } from './snapshot/credentials.ts';
import { backendFixture, endpointsFixture, forwardFixture, policyFixture, ruleFixture } from './snapshot/fixtures.ts';
import { authenticationSection } from './snapshot/sections/authentication.ts';
import { hashPassword } from './store/credentials/hash-password.ts';
import { hashOfKey, newKey } from './store/credentials/new-key.ts';
import { openCredentialStore } from './store/credentials/open.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { publish, Scene } from './test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const USERS: CredentialsResource = {
  kind: 'credentials',
  id: 'credentials/shop/who/users/basic',
  source: 'shop/users',
  // U*U
  entries: {
    type: 'basic',
    users: [
      { consumer: 'ada', hash: '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', groups: ['staff'] },
    ],
  },
};

/** Everything to `backend`, for keys of the store and users of the Secret and the store. */
function snapshot(backend: string): TestSnapshot {
  const policy = policyFixture(
    'shop/who',
    authenticationSection.parse({
      section: 'authentication',
      methods: [
        { kind: 'apiKey', name: 'key', from: [{ in: 'header', name: 'x-api-key' }], credentials: [], store: true },
        { kind: 'basic', name: 'site', realm: 'the shop', credentials: [USERS.id], store: true },
      ],
      anyOf: [['key'], ['site']],
    }),
  );
  const rule = ruleFixture('shop/api/r', { action: forwardFixture('shop/api'), policies: [policy.id] });
  return new TestSnapshot([rule, policy, USERS, backendFixture('shop/api'), endpointsFixture('shop/api', backend)]);
}

const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

/** A connection of its own each time, so that both workers are asked. */
async function ask(port: number, headers: Record<string, string>) {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close', ...headers } });
  const text = await answer.text();
  return { status: answer.status, text, challenge: answer.headers.get('www-authenticate') };
}

test('keys and passwords of a store come and go while it serves, and of Secrets they stay', async () => {
  const location = { kind: 'sqlite', path: path.join(scene.folder(), 'c.db') } as const;
  const store = await openCredentialStore(location, 1_000);
  scene.after(() => store.close());
  const backend = await scene.backend(({ headers }, response) => {
    const { 'x-consumer': consumer, 'x-consumer-groups': groups } = headers;
    const kept = headers['x-api-key'] ?? headers.authorization;
    response.end(`${consumer} ${groups} ${kept}`);
  });
  const controller = await scene.controller();
  // Opened before there is a schema: the data plane makes it.
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_CREDENTIALS: `sqlite:${location.path}` });
  await publish(await controller.streams.next(), snapshot(backend));
  const { http, admin } = await dataplane.ready();

  for (let i = 0; i < 4; i++) {
    expect(await ask(http, basic('ada', 'U*U'))).toMatchObject({ status: 200, text: 'ada staff undefined' });
  }
  const key = newKey();
  expect(await ask(http, { 'x-api-key': key })).toMatchObject({
    status: 401,
    text: expect.stringContaining('api-key-unknown'),
  });

  await store.migrate();
  await store.addConsumer('acme', ['gold', 'partners']);
  await store.addKey('acme', hashOfKey(key), '');
  await store.setPassword('acme', await hashPassword('correct horse', 'scrypt'));
  const until = async (status: number, headers: Record<string, string>) => {
    for (let held = 0; held < 8; await sleep(20)) held = (await ask(http, headers)).status === status ? held + 1 : 0;
  };
  await until(200, { 'x-api-key': key });
  expect(await ask(http, { 'x-api-key': key })).toMatchObject({ text: 'acme gold,partners undefined' });
  await until(200, basic('acme', 'correct horse'));
  const line = await dataplane.lines.next(({ consumer }) => consumer === 'acme');
  expect(JSON.stringify(line)).not.toContain(key);

  await store.removeConsumer('acme');
  await until(401, { 'x-api-key': key });
  await until(401, basic('acme', 'correct horse'));
  const refused = await ask(http, basic('ada', 'guess'));
  expect(refused).toMatchObject({
    status: 401,
    challenge: 'ApiKey realm="tidegate", Basic realm="the shop", charset="UTF-8"',
  });
  expect(await ask(http, basic('ada', 'U*U'))).toMatchObject({ status: 200 });

  const metrics = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  expect(metrics).toMatch(/tidegate_responses_by_code_total\{code="api-key-unknown"\} [1-9]/);
  expect(metrics).toMatch(/tidegate_credential_reads_total\{outcome="ok"\} [1-9]/);
  expect(dataplane.errors).toBe('');
});

test('without a store the policy is rejected with what to set, and its rule is closed', async () => {
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  const stream = await controller.streams.next();
  stream.send(snapshot('127.0.0.1:1').full());
  const { rejected } = await stream.verdicts.next();
  expect(rejected).toMatchObject([
    { id: 'policy/shop/who/authentication', message: expect.stringContaining('set TIDEGATE_CREDENTIALS') },
  ]);
  const { http } = await dataplane.ready();
  expect(await ask(http, basic('ada', 'U*U'))).toMatchObject({ status: 503 });
});

test('a store that is away is said of the policy, and its callers get 503', async () => {
  const controller = await scene.controller();
  const url = 'mysql://gate:hidden@127.0.0.1:1/tidegate';
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_CREDENTIALS: url });
  const stream = await controller.streams.next();
  const sent = snapshot('127.0.0.1:1');
  stream.send(sent.full());
  const { http, admin } = await dataplane.ready();
  const said = await stream.verdicts.next(({ rejected }) => rejected.length > 0);
  expect(said.rejected[0]).toMatchObject({ id: 'policy/shop/who/authentication' });
  expect(said.rejected[0]?.message).toContain('mysql://127.0.0.1:1/tidegate does not answer');
  expect(await ask(http, { 'x-api-key': newKey() })).toMatchObject({
    status: 503,
    text: expect.stringContaining('credentials-unavailable'),
  });
  const config = await (await fetch(`http://127.0.0.1:${admin}/debug/config`)).text();
  for (const text of [config, JSON.stringify(said), JSON.stringify(dataplane.lines.all)]) {
    expect(text).not.toContain('hidden');
  }
});
