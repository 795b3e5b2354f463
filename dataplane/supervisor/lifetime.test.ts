import { existsSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { respondFixture, ruleFixture } from '../snapshot/fixtures.ts';
import { TestSnapshot } from '../sync/test-controller.ts';
import { get, proxied, publish, Scene } from '../test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test('SIGTERM: not ready at once, requests of the grace are served, those in flight end, exit 0', async () => {
  const waiting: http.ServerResponse[] = [];
  let arrived = (): void => {};
  const backend = await scene.backend((request, response) => {
    if (request.url === '/slow') {
      waiting.push(response);
      arrived();
    } else response.end('quick');
  });
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_DRAIN_GRACE_MS: '600' });
  const stream = await controller.streams.next();
  await publish(stream, new TestSnapshot(proxied(backend)));
  const { http: port, admin } = await dataplane.ready();
  const inFlight: Promise<{ status: number; body: string }>[] = [];
  for (let i = 0; i < 6; i++) {
    const reached = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    inFlight.push(get(port, '/slow'));
    await reached;
  }

  dataplane.kill('SIGTERM');
  await dataplane.event('draining');
  expect(await stream.loads.next((load) => load.draining)).toMatchObject({
    ready: false,
    inFlight: expect.any(Number),
  });
  expect((await get(admin, '/readyz')).body).toContain('draining');
  expect(await get(port, '/')).toMatchObject({ status: 200, body: 'quick' });
  // Past the grace nothing is accepted any more; what is in flight still waits.
  await expect
    .poll(
      () =>
        get(port, '/').then(
          () => 'accepted',
          () => 'refused',
        ),
      { timeout: 10_000 },
    )
    .toBe('refused');
  for (const response of waiting) response.end('done');
  for (const answer of await Promise.all(inFlight)) expect(answer).toMatchObject({ status: 200, body: 'done' });
  expect(await dataplane.exited).toEqual({ code: 0, signal: null });
  const logged = dataplane.lines.all.filter(({ path }) => path === '/slow');
  expect(logged.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
});

test('drained under load, as behind a load balancer that looks at /readyz, it loses nothing', async () => {
  const backend = await scene.backend((_, response) => setTimeout(() => response.end('x'.repeat(5000)), 5));
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_DRAIN_GRACE_MS: '500', TIDEGATE_ACCESS_LOG: 'off' });
  await publish(await controller.streams.next(), new TestSnapshot(proxied(backend)));
  const { http: port, admin } = await dataplane.ready();
  let sending = true;
  let answered = 0;
  const failures: string[] = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  scene.after(() => agent.destroy());
  const request = (): Promise<void> =>
    new Promise((resolve) => {
      const fail = (error: Error): void => {
        failures.push(String(error));
        resolve();
      };
      http
        .get({ agent, port, host: '127.0.0.1', path: '/' }, (response) => {
          let length = 0;
          response.on('data', (chunk: Buffer) => (length += chunk.length));
          response.on('end', () => {
            if (response.statusCode !== 200 || length !== 5000)
              failures.push(`${response.statusCode}, ${length} bytes`);
            answered++;
            resolve();
          });
          response.on('error', fail);
        })
        .on('error', fail);
    });
  const clients = Array.from({ length: 16 }, async () => {
    while (sending) await request();
  });
  await expect.poll(() => answered).toBeGreaterThan(200);
  dataplane.kill('SIGTERM');
  await expect.poll(() => get(admin, '/readyz').then(({ status }) => status), { interval: 20 }).toBe(503);
  sending = false;
  await Promise.all(clients);
  expect(failures).toEqual([]);
  expect(await dataplane.exited).toEqual({ code: 0, signal: null });
});

test('the same signal again ends it at once', async () => {
  const backend = await scene.backend(() => {});
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  await publish(await controller.streams.next(), new TestSnapshot(proxied(backend)));
  const { http: port } = await dataplane.ready();
  const lost = get(port, '/').catch(() => 'lost');
  dataplane.kill('SIGINT');
  await dataplane.event('draining');
  dataplane.kill('SIGTERM');
  dataplane.kill('SIGINT');
  expect(await dataplane.exited).toEqual({ code: 130, signal: null });
  expect(await lost).toBe('lost');
});

test('a worker that dies or hangs is started again with the whole snapshot, and readiness does not change', async () => {
  const folder = scene.folder();
  const preload = new URL('../test-crash.ts', import.meta.url).href;
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, {
    NODE_OPTIONS: `--import ${preload}`,
    TEST_CRASH: path.join(folder, 'crash'),
    TEST_HANG: path.join(folder, 'hang'),
  });
  const stream = await controller.streams.next();
  const one = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('one') })]);
  await publish(stream, one);
  const { http: port, admin } = await dataplane.ready();
  for (let i = 0; i < 10; i++) expect((await get(port, '/')).body).toBe('one');
  const metric = async (name: string): Promise<number> => {
    const line = (await get(admin, '/metrics')).body.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.split(' ')[1]);
  };
  expect(await metric('tidegate_request_duration_seconds_count')).toBe(10);

  writeFileSync(path.join(folder, 'crash-0'), '');
  await expect.poll(() => metric('tidegate_worker_restarts_total'), { timeout: 10_000 }).toBeGreaterThan(0);
  rmSync(path.join(folder, 'crash-0'));
  await expect.poll(() => metric('tidegate_workers_listening'), { timeout: 10_000 }).toBe(2);
  expect((await get(admin, '/readyz')).status).toBe(200);
  expect(dataplane.lines.all.filter(({ event }) => event === 'not-ready')).toEqual([]);
  // Both answer, and what the dead one had counted is not lost.
  for (let i = 0; i < 20; i++) expect((await get(port, '/')).body).toBe('one');
  expect(await metric('tidegate_request_duration_seconds_count')).toBe(30);
  expect(await metric('tidegate_requests_total{route="s/a",code_class="2xx"}')).toBe(30);

  // It comes back with the change that was made while it was gone, and with the next one.
  const restarts = await metric('tidegate_worker_restarts_total');
  writeFileSync(path.join(folder, 'hang-1'), '');
  await expect.poll(() => existsSync(path.join(folder, 'hang-1.begun'))).toBe(true);
  const two = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('two') })]);
  await publish(stream, two, one);
  await expect.poll(() => metric('tidegate_worker_restarts_total'), { timeout: 10_000 }).toBe(restarts + 1);
  rmSync(path.join(folder, 'hang-1'));
  await expect.poll(() => metric('tidegate_workers_listening'), { timeout: 10_000 }).toBe(2);
  for (let i = 0; i < 20; i++) expect((await get(port, '/')).body).toBe('two');
}, 40_000);
