/** Rate limits of a whole data plane: two workers, real sockets, and what ends badly. */
import { rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { policyFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Resource } from '../snapshot/resources.ts';
import { rateLimitSection } from '../snapshot/sections/rate-limit.ts';
import { TestSnapshot } from '../sync/test-controller.ts';
import { get, proxied, publish, Scene } from '../test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

function limited(backend: string, limits: unknown[]): Resource[] {
  const policy = policyFixture('shop/limits', rateLimitSection.parse({ section: 'rateLimit', limits }));
  return [
    policy,
    ...proxied(backend).map((one) => (one.kind === 'rule' ? { ...one, policies: [policy.id] } : one)),
    ruleFixture('shop/free/r', { hosts: ['free.example'] }),
  ];
}

async function metric(admin: number, name: string): Promise<number> {
  const line = (await get(admin, '/metrics')).body.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

test('a limit of the data plane holds over its workers, is told to clients, logged and counted', async () => {
  const backend = await scene.backend((_, response) => response.end('ok'));
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  const limit = { name: 'all', algorithm: 'fixedWindow', limit: 40, windowMs: 2_678_400_000 };
  await publish(await controller.streams.next(), new TestSnapshot(limited(backend, [limit])));
  const { http: port, admin } = await dataplane.ready();
  const answers: Response[] = [];
  for (let i = 0; i < 60; i++) {
    // A connection of its own each: the kernel hands them to both workers.
    answers.push(await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }));
  }
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(40);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
  const [first] = answers;
  const last = answers.at(-1);
  expect(first?.headers.get('ratelimit-policy')).toBe('"all";q=40;w=2678400');
  expect(first?.headers.get('ratelimit')).toMatch(/^"all";r=39;t=\d+$/);
  expect(last?.headers.get('ratelimit')).toMatch(/^"all";r=0;t=\d+$/);
  expect(Number(last?.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await last?.json()).toMatchObject({ status: 429, code: 'rate-limited' });
  const series = 'tidegate_rate_limit_total{limit="all",outcome="refused",policy="shop/limits"}';
  expect(await metric(admin, series)).toBe(20);
  expect(await metric(admin, 'tidegate_responses_by_code_total{code="rate-limited"}')).toBe(20);
  await expect.poll(() => dataplane.lines.all.filter(({ code }) => code === 'rate-limited').length).toBe(20);
});

test('requests in flight make room when their client goes, and when their worker dies', async () => {
  const folder = scene.folder();
  const seen = new Set<string>();
  const backend = await scene.backend((request) => void seen.add(request.url ?? ''));
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, {
    NODE_OPTIONS: `--import ${new URL('../test-crash.ts', import.meta.url).href}`,
    TEST_CRASH: path.join(folder, 'crash'),
    TEST_HANG: path.join(folder, 'hang'),
  });
  const limit = { name: 'flight', algorithm: 'concurrency', limit: 4 };
  await publish(await controller.streams.next(), new TestSnapshot(limited(backend, [limit])));
  const { http: port } = await dataplane.ready();

  let serial = 0;
  /** One more request that nobody answers, as soon as it is admitted. */
  const hold = async (): Promise<http.ClientRequest> => {
    for (let attempt = 0; attempt < 200; attempt++) {
      const url = `/${serial++}`;
      let status = 0;
      const client = http
        .get({ host: '127.0.0.1', port, path: url, agent: false }, (response) => {
          status = response.statusCode ?? 0;
          response.resume();
        })
        .on('error', () => {
          status = -1;
        });
      await expect.poll(() => status !== 0 || seen.has(url), { interval: 5, timeout: 10_000 }).toBe(true);
      if (status === 0) return client;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('never admitted');
  };
  const holdAll = async (): Promise<http.ClientRequest[]> => {
    const clients: http.ClientRequest[] = [];
    for (let i = 0; i < 4; i++) clients.push(await hold());
    expect(await get(port, '/more')).toMatchObject({
      status: 429,
      body: expect.stringContaining('concurrency-limited'),
    });
    return clients;
  };

  for (const client of await holdAll()) client.destroy();
  await holdAll();
  for (const index of [0, 1]) writeFileSync(path.join(folder, `crash-${index}`), '');
  for (let i = 0; i < 2; i++) await dataplane.lines.next((line) => /is started again/.test(JSON.stringify(line)));
  for (const index of [0, 1]) rmSync(path.join(folder, `crash-${index}`));
  for (const client of await holdAll()) client.destroy();
});
