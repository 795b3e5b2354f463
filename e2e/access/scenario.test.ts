/**
 * Who may call, and how much: keys of Secrets, revoked while it runs; a protection that can't be built refuses, says so, and recovers; rules on
 * groups; one limit over two data planes without a store.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { until } from '../cluster/process.ts';
import {
  condition,
  curl,
  installedCluster,
  podsOf,
  route,
  serveEcho,
  TO_ECHO,
  tidegateExplain,
} from '../harness/installation.ts';

const namespace = 'access';
const HOST = 'access.example.com';
const KEY = 'acme-key-0123456789';
let cluster: Cluster;
let url: string;

const ask = (path = '/', ...args: string[]) => curl(cluster, `${url}${path}`, '-H', `Host: ${HOST}`, ...args);
const withKey = (key: string) => ['-H', `x-api-key: ${key}`];

const secret = (name: string, stringData: Record<string, string>, groups = '') => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace, annotations: { 'tidegate.dev/groups': groups } },
  stringData,
});
const policy = (name: string, spec: object) => ({
  apiVersion: 'tidegate.dev/v1alpha1',
  kind: 'Policy',
  metadata: { name, namespace },
  spec: { targetRefs: [{ kind: 'Route', name: 'echo' }], ...spec },
});
const keys = (secretName: string) => ({
  authentication: { methods: [{ name: 'key', apiKey: { secretRefs: [{ name: secretName }] } }] },
});

beforeAll(async () => {
  cluster = await installedCluster();
  url = await serveEcho(cluster, namespace, 1, HOST);
});

test('a Policy protects its Route: 401 without a key, 200 with one, and the backend learns who calls, not the key', async () => {
  await cluster.apply([
    secret('partners', { acme: KEY, umbrella: 'umbrella-key-0123456789' }, 'gold'),
    policy('partners', keys('partners')),
  ]);
  await condition(cluster, namespace, 'policy.tidegate.dev/partners');
  const anonymous = await ask();
  expect([anonymous.status, JSON.parse(anonymous.body).code]).toEqual([401, 'credentials-missing']);
  const wrong = await ask('/', ...withKey('acme-key-9876543210'));
  expect([wrong.status, JSON.parse(wrong.body).code]).toEqual([401, 'api-key-unknown']);
  const good = await ask('/', ...withKey(KEY), '-H', 'x-consumer: root');
  expect(good.status).toBe(200);
  const row = await cluster.kubectl(['get', 'policies', '-n', namespace, 'partners']);
  expect(row).toMatch(/partners\s+Route\/echo\s+authentication\s+True\s+True/);
});

test('a key taken out of its Secret is refused within 2 s, and the others stay', async () => {
  await cluster.apply(secret('partners', { acme: KEY, umbrella: 'umbrella-key-0123456789' }, 'gold'));
  const patch = JSON.stringify({ data: { acme: null } });
  await cluster.kubectl(['patch', 'secret', '-n', namespace, 'partners', '--type=merge', '-p', patch]);
  const revokedAt = performance.now();
  await until('the key is refused', async () => (await ask('/', ...withKey(KEY))).status === 401, 2000);
  console.log(`access: revoked key refused after ${Math.round(performance.now() - revokedAt)} ms`);
  expect((await ask('/', ...withKey('umbrella-key-0123456789'))).status).toBe(200);
});

test('a missing Secret closes the Route, with its name in the status; it opens when the Secret comes', async () => {
  await cluster.apply(policy('partners', keys('nowhere')));
  const resolved = await condition(cluster, namespace, 'policy.tidegate.dev/partners', 'ResolvedRefs', 'False');
  expect(resolved).toMatchObject({ reason: 'SecretNotFound' });
  expect(resolved.message).toContain(`Secret ${namespace}/nowhere does not exist`);
  const programmed = await condition(cluster, namespace, 'policy.tidegate.dev/partners', 'Programmed', 'False');
  expect(programmed.reason).toBe('FailedClosed');
  await until('the route is closed', async () => (await ask('/', ...withKey(KEY))).status === 503, 10_000);
  expect(JSON.parse((await ask()).body).code).toBe('policy-invalid');
  await cluster.apply(secret('nowhere', { acme: KEY }));
  await condition(cluster, namespace, 'policy.tidegate.dev/partners');
  await until('the route is open again', async () => (await ask('/', ...withKey(KEY))).status === 200, 10_000);
});

test('tidegate explain asks a data plane through the API server, and says what curl then gets', async () => {
  const request = `http://${HOST}/`;
  const good = await tidegateExplain(cluster, 'GET', request, '-H', `x-api-key: ${KEY}`);
  expect(good.text).toMatch(new RegExp(`^route {6}${namespace}/echo rule `));
  expect(good.text).toMatch(new RegExp(` authentication +${namespace}/partners +key: consumer acme\n`));
  expect(good.text).toMatch(new RegExp(`\nbackend {4}${namespace}/echo → .* over 1 endpoint`));
  expect(good.code).toBe(0);
  const anonymous = await tidegateExplain(cluster, 'GET', request);
  expect([anonymous.code, anonymous.text]).toEqual([2, expect.stringContaining('401 credentials-missing')]);
  const nobody = await tidegateExplain(cluster, 'GET', request, '--pod', 'nobody');
  expect([nobody.code, nobody.text]).toEqual([
    1,
    expect.stringMatching(/no data plane nobody of release .*: there are /),
  ]);
});

test('a Policy of the Backend wins for what goes there, and lets the Route’s hold again when it goes', async () => {
  const own = {
    ...policy('open-backend', {}),
    spec: { targetRefs: [{ kind: 'Backend', name: 'echo' }], ...keys('guests') },
  };
  await cluster.apply([secret('guests', { guest: 'guest-key-0123456789' }), own]);
  await condition(cluster, namespace, 'policy.tidegate.dev/open-backend');
  await until(
    'the Backend’s keys hold',
    async () => (await ask('/', ...withKey('guest-key-0123456789'))).status === 200,
    10_000,
  );
  expect((await ask('/', ...withKey(KEY))).status).toBe(401);
  await cluster.kubectl(['delete', 'policies', '-n', namespace, 'open-backend']);
  await until('the Route’s keys hold', async () => (await ask('/', ...withKey(KEY))).status === 200, 10_000);
  await cluster.apply({ ...own, spec: { ...own.spec, targetRefs: [{ kind: 'Backend', name: 'nowhere' }] } });
  const lost = await condition(cluster, namespace, 'policy.tidegate.dev/open-backend', 'Accepted', 'False');
  expect(lost).toMatchObject({ reason: 'TargetNotFound', message: expect.stringContaining('nowhere does not exist') });
});

test('one limit over all data planes: together they admit it, each its share, and clients are told', async () => {
  const dataPlanes = (await podsOf(cluster, 'dataplane')).length;
  expect(dataPlanes).toBeGreaterThanOrEqual(2);
  await cluster.apply([
    secret('partners', { acme: KEY, umbrella: 'umbrella-key-0123456789' }, 'gold'),
    policy('partners', {
      ...keys('partners'),
      authorization: {
        default: 'deny',
        rules: [{ name: 'gold', action: 'allow', groups: ['gold'], methods: ['GET'] }],
      },
      rateLimit: {
        limits: [
          {
            name: 'hourly',
            algorithm: 'fixedWindow',
            limit: 20,
            window: '24h',
            scope: 'global',
            key: [{ by: 'consumer' }],
          },
        ],
      },
    }),
  ]);
  await condition(cluster, namespace, 'policy.tidegate.dev/partners');
  const forbidden = await ask('/', ...withKey(KEY), '-X', 'DELETE');
  expect([forbidden.status, JSON.parse(forbidden.body).code]).toEqual([403, 'forbidden-default']);
  const statuses: number[] = [];
  let refused = '';
  for (let i = 0; i < 80; i++) {
    const { status, text } = await ask('/', ...withKey(KEY));
    statuses.push(status);
    if (status === 429) refused = text;
  }
  const admitted = statuses.filter((status) => status === 200).length;
  console.log(
    `access: of 80 requests over ${dataPlanes} data planes ${admitted} were admitted under a global limit of 20`,
  );
  expect(new Set(statuses)).toEqual(new Set([200, 429]));
  expect(admitted).toBe(20);
  expect(refused).toMatch(/retry-after: \d+/i);
  expect(refused).toMatch(/ratelimit: "hourly";r=0;t=\d+/i);
  expect(refused).toContain('"code":"rate-limited"');
  expect((await ask('/', ...withKey('umbrella-key-0123456789'))).status).toBe(200);
  const row = await cluster.kubectl(['get', 'policies', '-n', namespace, 'partners']);
  expect(row).toMatch(/Route\/echo\s+authentication,authorization,rateLimit\s+True\s+True/);
});

test('an expression that only the compiler can refuse closes the Route and says where it is wrong', async () => {
  const rules = (cel: string) => ({ default: 'deny', rules: [{ name: 'tenant', action: 'allow', cel }] });
  await cluster.apply(policy('partners', { authorization: rules('request.methd == "GET"') }));
  const invalid = await condition(cluster, namespace, 'policy.tidegate.dev/partners', 'PartiallyInvalid', 'True');
  expect(invalid.message).toContain(
    'spec.authorization.rules[0].cel: must be an expression in CEL: no such key: methd',
  );
  await until('the route is closed', async () => (await ask()).status === 503, 10_000);
  await cluster.apply(policy('partners', { authorization: rules('request.headers["x-tenant"] == "acme"') }));
  await until('the rule holds', async () => (await ask('/', '-H', 'x-tenant: acme')).status === 200, 10_000);
  expect((await ask('/', '-H', 'x-tenant: other')).status).toBe(403);
});

test('a signed request passes, with its body held against its digest; another body does not', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  await cluster.apply([
    secret('signers', { acme: pem }),
    policy('partners', {
      authentication: { methods: [{ name: 'signed', signature: { secretRefs: [{ name: 'signers' }] } }] },
    }),
  ]);
  await condition(cluster, namespace, 'policy.tidegate.dev/partners');
  const signed = (body: string) => {
    const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
    const parameters = `("@method" "@authority" "@path" "@query" "content-digest");created=${Math.floor(Date.now() / 1000)};keyid="acme"`;
    const lines = [
      '"@method": POST',
      `"@authority": ${HOST}`,
      '"@path": /',
      '"@query": ?',
      `"content-digest": ${digest}`,
    ];
    const base = [...lines, `"@signature-params": ${parameters}`].join('\n');
    const value = sign(null, Buffer.from(base), privateKey).toString('base64');
    const fields = [`content-digest: ${digest}`, `signature-input: s=${parameters}`, `signature: s=:${value}:`];
    return fields.flatMap((field) => ['-H', field]);
  };
  const good = await ask('/', ...signed('hello'), '-d', 'hello');
  expect(good.status).toBe(200);
  const changed = await ask('/', ...signed('hello'), '-d', 'hullo');
  expect([changed.status, JSON.parse(changed.body).code]).toEqual([401, 'content-digest']);
  expect(changed.text).toMatch(/www-authenticate: Signature realm="tidegate"/i);
});

test('HTTPS is asked for, and a body is bounded, before anybody asks who calls', async () => {
  const host = 'secure.example.com';
  const target = { targetRefs: [{ kind: 'Route', name: 'secure' }] };
  await cluster.apply([
    route(namespace, 'secure', host, [TO_ECHO, { ...TO_ECHO, name: 'upload', matches: [{ path: { prefix: '/up' } }] }]),
    policy('secure', { ...target, security: { requireHttps: {} } }),
    policy('upload', {
      targetRefs: [{ kind: 'Route', name: 'secure', sectionName: 'upload' }],
      security: { maxBodyBytes: 4 },
    }),
  ]);
  for (const name of ['secure', 'upload']) await condition(cluster, namespace, `policy.tidegate.dev/${name}`);
  const moved = await curl(cluster, `${url}/a?b=c`, '-H', `Host: ${host}`);
  expect([moved.status, moved.text]).toEqual([308, expect.stringContaining(`location: https://${host}/a?b=c\r\n`)]);
  const upload = (body: string) => curl(cluster, `${url}/up`, '-H', `Host: ${host}`, '-d', body);
  expect((await upload('1234')).status).toBe(200);
  const refused = await upload('12345');
  expect([refused.status, JSON.parse(refused.body).code]).toEqual([413, 'body-too-large']);
});
