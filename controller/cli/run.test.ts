/** The tutorial as a person follows it: `tidegate run` on the examples, with a backend of the test's own, and what is said of access. */
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runFolder, serve, tidegate } from './running-gateway.fixture.ts';

const KEY = 'demo-key-0123456789';
/** Two programs start, on a machine that may be busy. */
const PATIENCE_MS = 60_000;

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

test(
  'the examples: with the key and without, the limit, why, and an identity provider that fails and recovers',
  async () => {
    const seen: http.IncomingHttpHeaders[] = [];
    const backend = await serve((request, response) => {
      seen.push(request.headers);
      response.end(`${request.url}`);
    }, cleanUp);
    const { folder, base, admin, controller } = await runExamples(backend);
    const ask = (headers: Record<string, string> = {}, method = 'GET') =>
      fetch(`${base}/orders/42`, { method, headers: { ...headers, connection: 'close' } });

    const good = await ask({ 'x-api-key': KEY });
    expect([good.status, await good.text(), good.headers.get('ratelimit')]).toEqual([
      200,
      '/v1/orders/42',
      expect.stringMatching(/^"per-consumer";r=29/),
    ]);
    expect([seen[0]?.['x-consumer'], seen[0]?.['x-consumer-groups'], seen[0]?.['x-api-key']]).toEqual([
      'demo',
      'partners',
      undefined,
    ]);
    const anonymous = await ask();
    expect([anonymous.status, ((await anonymous.json()) as { code: string }).code]).toEqual([
      401,
      'credentials-missing',
    ]);
    expect((await ask({}, 'DELETE')).status).toBe(405);
    expect((await fetch(`${base}/hello`)).status).toBe(200);

    const url = `${base}/orders/42`;
    const served = await tidegate('explain', 'GET', url, '-H', `x-api-key: ${KEY}`, '--url', admin);
    const lines = served.text.split('\n').map((line) => line.replaceAll(/ +/g, ' '));
    expect(lines).toEqual([
      'route shop/orders rule read-orders (any host, prefix /orders, method GET, HEAD; 1 other matches less)',
      ' cors shop/browsers no Origin: not asked by a page',
      ' authentication shop/partners key: consumer demo (partners)',
      expect.stringMatching(/^ rateLimit shop\/partners per-consumer: \d+ left$/),
      ' transform default/baseline and rule + x-tenant; response - server, + x-content-type-options, + referrer-policy',
      ' timeout default/baseline and rule request 10 s, backend 60 s, idle 300 s (streams 3600 s)',
      ' rewrite rule path /v1/orders/42',
      expect.stringMatching(/^backend shop\/orders → least request over 1 endpoint /),
      'not taken shop/orders rule read-only asks less: no method',
      '',
    ]);
    expect(served.code).toBe(0);
    const refused = await tidegate('explain', 'GET', url, '--url', admin);
    expect([refused.code, refused.text]).toEqual([2, expect.stringContaining('answer     401 credentials-missing')]);

    // A token comes back every 2 s, so more than 30 may pass on a slow machine.
    let limited = 0;
    for (let i = 0; i < 200 && limited === 0; i++) if ((await ask({ 'x-api-key': KEY })).status === 429) limited = i;
    expect(limited).toBeGreaterThanOrEqual(29);

    let status = 500;
    const provider = await serve((_request, response) => response.writeHead(status).end(KEYS), cleanUp);
    writeFileSync(path.join(folder, '9-staff.yaml'), staff(`http://127.0.0.1:${provider}/jwks.json`));
    const reason = async () => {
      const { objects } = (await (await fetch(`${controller}/api/v1/objects`)).json()) as {
        objects: { kind: string; name: string; reason: string; conditions: { type: string; message: string }[] }[];
      };
      const policy = objects.find(({ kind, name }) => kind === 'Policy' && name === 'staff');
      return [policy?.reason, policy?.conditions.find(({ type }) => type === 'Programmed')?.message];
    };
    await expect
      .poll(reason, { timeout: PATIENCE_MS })
      .toEqual(['Rejected', expect.stringContaining('can not be fetched: the server answers 500')]);
    const troubled = await tidegate('explain', 'GET', `${base}/hello`, '--url', admin);
    expect(troubled.text).toContain('in trouble: ');
    status = 200;
    await expect.poll(reason, { timeout: PATIENCE_MS }).toEqual(['', '']);
  },
  4 * PATIENCE_MS,
);

const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEYS = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one' }] });

const staff = (url: string) => `apiVersion: tidegate.dev/v1alpha1
kind: Policy
metadata: { name: staff }
spec:
  targetRefs: [{ kind: Route, name: hello }]
  authentication: { methods: [{ name: token, jwt: { jwks: { url: "${url}", insecure: true } } }] }
`;

/** Every backend of the examples is the one given. */
function runExamples(backend: number) {
  const examples = path.join(import.meta.dirname, '../examples');
  const files = readdirSync(examples).map((file) => {
    const text = readFileSync(path.join(examples, file), 'utf8');
    return [file, text.replaceAll(/port: 900[123]/g, `port: ${backend}`)];
  });
  return runFolder(Object.fromEntries(files), cleanUp);
}

test('asked twice to stop, it ends at once, and its two programs with it', { timeout: 60_000 }, async () => {
  const { admin, controller, interruptTwice } = await runFolder({}, cleanUp);
  const answers = async (base: string): Promise<boolean> => {
    try {
      await (await fetch(`${base}/healthz`, { signal: AbortSignal.timeout(2000) })).body?.cancel();
      return true;
    } catch {
      return false;
    }
  };
  expect([await answers(admin), await answers(controller)]).toEqual([true, true]);
  expect(await interruptTwice()).toBe(130);
  await expect.poll(async () => [await answers(admin), await answers(controller)]).toEqual([false, false]);
});
