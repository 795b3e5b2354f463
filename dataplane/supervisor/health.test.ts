/** Active health checks of the whole program: two workers, real backends. */
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ActiveHealth } from '../snapshot/backend/health.ts';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture, forwardFixture, ruleFixture } from '../snapshot/fixtures.ts';
import { TestSnapshot } from '../sync/test-controller.ts';
import { get, publish, Scene } from '../test-scene.ts';
import { DnsServer } from './dns/dns-server.fixture.ts';

/** On a busy machine two threads take their time. */
const PATIENCE = { timeout: 30_000, interval: 20 };

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

/** A backend that says who it is; `status` is what it says of its health. */
async function backend(name: string) {
  const server = { name, address: '', status: 200, probes: 0, requests: 0 };
  server.address = await scene.backend((request, response) => {
    if (request.url === '/healthz') {
      server.probes++;
      response.writeHead(server.status).end();
    } else {
      server.requests++;
      response.end(name);
    }
  });
  return server;
}

function snapshotOf(addresses: string[], more: Partial<ActiveHealth> = {}): TestSnapshot {
  const active: ActiveHealth = {
    probe: { kind: 'http', method: 'GET', path: '/healthz', headers: [], statuses: [{ from: 200, to: 299 }] },
    intervalMs: 100,
    jitterPercent: 20,
    timeoutMs: 10_000,
    healthyThreshold: 2,
    unhealthyThreshold: 2,
    ...more,
  };
  return new TestSnapshot([
    ruleFixture('shop/api/r', { action: forwardFixture('shop/api') }),
    backendFixture('shop/api', { health: { active, panicPercent: 0 } }),
    endpointsFixture('shop/api', ...addresses),
  ]);
}

/** Who answers `count` requests, each on a connection of its own and so of any worker. */
async function whoAnswers(port: number, count: number): Promise<string[]> {
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const { status, body } = await get(port, '/');
    names.add(status === 200 ? body : `${status} ${body}`);
  }
  return [...names].sort();
}

test('an endpoint that fails its checks gets no request by any worker, also by one that was started anew', async () => {
  const [a, b] = [await backend('a'), await backend('b')];
  const folder = scene.folder();
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, {
    NODE_OPTIONS: `--import ${new URL('../test-crash.ts', import.meta.url).href}`,
    TEST_CRASH: path.join(folder, 'crash'),
    TEST_HANG: path.join(folder, 'hang'),
  });
  const stream = await controller.streams.next();
  await publish(stream, snapshotOf([a.address, b.address]));
  const { http: port, admin } = await dataplane.ready();
  await expect.poll(() => whoAnswers(port, 20), PATIENCE).toEqual(['a', 'b']);

  // All is told on a new stream, also where there is nothing to tell.
  expect(await stream.healths.next()).toEqual({ whole: true, backends: [] });
  b.status = 500;
  const said = await dataplane.event('health');
  expect(said).toMatchObject({ backend: 'shop/api', endpoint: b.address, healthy: false, reason: 'status 500' });
  await expect.poll(() => whoAnswers(port, 20), PATIENCE).toEqual(['a']);
  const { requests } = b;
  const told = { backend: 'backend/shop/api', blocked: [b.address], endpoints: 0 };
  expect(await stream.healths.next()).toEqual({ whole: false, backends: [told] });
  const metrics = (await get(admin, '/metrics')).body;
  expect(metrics).toContain('tidegate_backend_endpoints{backend="shop/api",state="healthy"} 1\n');
  expect(metrics).toContain('tidegate_backend_endpoints{backend="shop/api",state="unhealthy"} 1\n');
  expect(metrics).toContain(`tidegate_endpoint_healthy{backend="shop/api",endpoint="${b.address}"} 0\n`);
  expect(metrics).toMatch(/^tidegate_health_checks_total\{backend="shop\/api",result="status"\} \d+$/m);
  const config = JSON.parse((await get(admin, '/debug/config')).body);
  expect(config.backends).toEqual([
    {
      id: 'backend/shop/api',
      endpoints: [a, b].map((one) => ({
        name: one.address,
        state: one === a ? 'healthy' : 'unhealthy',
        weight: 1,
        share: one === a ? 1 : 0,
        active: 0,
        connections: expect.any(Number),
        // By both workers.
        ...(one === a ? {} : { blockedBy: { unhealthy: 2 } }),
        check: {
          healthy: one === a,
          probed: true,
          result: one === a ? 'success' : 'status',
          detail: one === a ? '' : '500',
        },
      })),
    },
  ]);
  expect(await whoAnswers(port, 40)).toEqual(['a']);

  for (const index of [0, 1]) {
    const listening = () =>
      dataplane.lines.all.filter(({ msg }) => msg === 'a worker ended and is started again').length;
    const before = listening();
    writeFileSync(path.join(folder, `crash-${index}`), '');
    await expect.poll(listening, PATIENCE).toBeGreaterThan(before);
    rmSync(path.join(folder, `crash-${index}`));
    const up = async () => /^tidegate_workers_listening (\d+)$/m.exec((await get(admin, '/metrics')).body)?.[1];
    await expect.poll(up, PATIENCE).toBe('2');
    expect(await whoAnswers(port, 40)).toEqual(['a']);
  }
  expect(b.requests).toBe(requests);

  // A controller that comes later is told what holds.
  stream.end();
  const later = await controller.streams.next();
  expect(await later.healths.next()).toEqual({ whole: true, backends: [told] });

  b.status = 200;
  await expect.poll(() => whoAnswers(port, 20), PATIENCE).toEqual(['a', 'b']);
  expect(await later.healths.next()).toEqual({ whole: false, backends: [{ ...told, blocked: [] }] });
}, 120_000);

test('probes are sent once for all workers', async () => {
  const a = await backend('a');
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_WORKERS: '2' });
  await publish(await controller.streams.next(), snapshotOf([a.address], { intervalMs: 200, jitterPercent: 0 }));
  await dataplane.ready();
  await expect.poll(() => a.probes, PATIENCE).toBeGreaterThan(0);
  const [probes, sinceMs] = [a.probes, performance.now()];
  await expect.poll(() => a.probes, PATIENCE).toBeGreaterThanOrEqual(probes + 5);
  // Each waits 200 ms after the one before has ended: with two probers it were twice as many.
  expect(a.probes - probes).toBeLessThanOrEqual((performance.now() - sinceMs) / 200 + 1);
  dataplane.kill('SIGTERM');
  expect(await dataplane.exited).toEqual({ code: 0, signal: null });
  const last = a.probes;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(a.probes).toBe(last);
}, 60_000);

test('what workers find out by themselves is seen in metrics and told to the controller, and taken back', async () => {
  const a = await backend('a');
  let broken = true;
  const b = await scene.backend((_request, response) => response.writeHead(broken ? 500 : 200).end('b'));
  const passive = { consecutiveErrors: 1, intervalMs: 200, baseEjectionMs: 1_500, maxEjectionMs: 1_500 };
  const snapshot = new TestSnapshot([
    ruleFixture('shop/api/r', { action: forwardFixture('shop/api') }),
    backendFixture('shop/api', { health: { passive: { ...passive, maxEjectedPercent: 50 }, panicPercent: 0 } }),
    endpointsFixture('shop/api', a.address, b),
  ]);
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  const stream = await controller.streams.next();
  await publish(stream, snapshot);
  const { http: port, admin } = await dataplane.ready();
  const ejected = async (): Promise<string | undefined> =>
    /^tidegate_backend_endpoints\{backend="shop\/api",state="ejected"\} (\d)$/m.exec(
      (await get(admin, '/metrics')).body,
    )?.[1];
  await expect
    .poll(async () => {
      await whoAnswers(port, 10);
      return ejected();
    }, PATIENCE)
    .toBe('1');
  const blocked = await stream.healths.next(({ backends }) => backends.length > 0);
  expect(blocked).toEqual({ whole: false, backends: [{ backend: 'backend/shop/api', blocked: [b], endpoints: 0 }] });
  broken = false;
  await expect.poll(ejected, PATIENCE).toBe('0');
  const free = await stream.healths.next(({ backends }) => backends[0]?.blocked.length === 0);
  expect(free.whole).toBe(false);
  // Not checked: nobody has a word about single endpoints.
  expect((await get(admin, '/metrics')).body).not.toContain('tidegate_endpoint_healthy{');
}, 90_000);

test('what is behind a name is probed address by address, follows the name, and is counted', async () => {
  const dns = await DnsServer.start();
  scene.after(() => dns.close());
  let port = 0;
  for (const address of ['127.0.0.11', '127.0.0.12']) {
    const server = http.createServer((request, response) => {
      const sick = request.url === '/healthz' && address === '127.0.0.12';
      response.writeHead(sick ? 500 : 200).end(address);
    });
    server.listen(port, address);
    await once(server, 'listening');
    scene.after(() => server.close());
    scene.after(() => server.closeAllConnections());
    port = (server.address() as AddressInfo).port;
  }
  dns.set('db.example', 'A', ['127.0.0.11', '127.0.0.12'], 1);
  const base = snapshotOf([`db.example:${port}`]);
  const names = { minTtlMs: 100, maxTtlMs: 200, allowLocal: true } as const;
  const named = encodeResource({ ...endpointsFixture('shop/api', `db.example:${port}`), names });
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_DNS_SERVERS: dns.address });
  const stream = await controller.streams.next();
  await publish(
    stream,
    new TestSnapshot([...base.resources.values()].map((one) => (one.id === named.id ? named : one))),
  );
  const { http: gateway } = await dataplane.ready();
  const told = (blocked: string[], endpoints: number) => ({ backend: 'backend/shop/api', blocked, endpoints });
  const says = (wanted: ReturnType<typeof told>) =>
    stream.healths.next(({ backends }) => isDeepStrictEqual(backends[0], wanted));
  await says(told([`127.0.0.12:${port}`], 2));
  await expect.poll(() => whoAnswers(gateway, 10), PATIENCE).toEqual(['127.0.0.11']);
  dns.set('db.example', 'A', ['127.0.0.11'], 1);
  await says(told([], 1));
  dns.set('db.example', 'A', ['127.0.0.11', '127.0.0.12'], 1);
  await says(told([`127.0.0.12:${port}`], 2));
}, 90_000);
