import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  respondFixture,
  ruleFixture,
} from './snapshot/fixtures.ts';
import type { Resource } from './snapshot/resources.ts';
import { TestController, TestSnapshot, type TestStream } from './sync/test-controller.ts';
import { DataplaneProcess } from './test-process.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'dp-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function startController(folder = temporaryFolder()): Promise<TestController> {
  const controller = await TestController.start(`unix:${folder}/c.sock`);
  cleanups.push(() => controller.stop());
  return controller;
}

function startDataplane(controller: string, env: Record<string, string> = {}): DataplaneProcess {
  const dataplane = new DataplaneProcess({ TIDEGATE_CONTROLLER: controller, ...env });
  cleanups.push(() => dataplane.end());
  return dataplane;
}

async function startBackend(handler: http.RequestListener): Promise<string> {
  const server = http.createServer(handler).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanups.push(() => server.closeAllConnections());
  cleanups.push(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function send(stream: TestStream, snapshot: TestSnapshot, base?: TestSnapshot): Promise<void> {
  stream.send(base === undefined ? snapshot.full() : snapshot.since(base));
  expect(await stream.verdicts.next(({ revision }) => revision === snapshot.revision)).toEqual({
    revision: snapshot.revision,
    accepted: true,
    rejected: [],
    message: '',
  });
}

/** A connection of its own each time. */
async function get(port: number, target: string): Promise<{ status: number; body: string; headers: Headers }> {
  const answer = await fetch(`http://127.0.0.1:${port}${target}`, { headers: { connection: 'close' } });
  return { status: answer.status, body: await answer.text(), headers: answer.headers };
}

function proxied(address: string, name = 'shop/api'): Resource[] {
  return [
    ruleFixture(`${name}/r`, { action: forwardFixture(name) }),
    backendFixture(name),
    endpointsFixture(name, address),
  ];
}

test('from cold start to a proxied request, a live change, and what is said about it', async () => {
  const backend = await startBackend((request, response) => response.end(`backend saw ${request.url}`));
  const controller = await startController();
  const dataplane = startDataplane(controller.address);
  const { port: admin } = (await dataplane.event('admin')) as { port: number };
  const notReady = await get(admin as number, '/readyz');
  expect([notReady.status, JSON.parse(notReady.body)]).toEqual([503, { ready: false, reason: 'no snapshot yet' }]);
  expect((await get(admin as number, '/healthz')).status).toBe(200);

  const stream = await controller.streams.next();
  const one = new TestSnapshot(proxied(backend));
  await send(stream, one);
  const listening = (await dataplane.event('listening')) as { httpPort?: number; workers?: number };
  const port = listening.httpPort as number;
  expect(listening.workers).toBe(2);
  expect((await stream.loads.next((load) => load.ready)).revision).toBe(one.revision);
  expect((await get(admin as number, '/readyz')).status).toBe(200);
  expect(await get(port, '/hello?x=1')).toMatchObject({ status: 200, body: 'backend saw /hello?x=1' });

  const two = new TestSnapshot([
    ...proxied(backend),
    ruleFixture('shop/new/r', { matches: [matchFixture('/new')], action: respondFixture('fresh') }),
  ]);
  await send(stream, two, one);
  for (let i = 0; i < 8; i++) expect((await get(port, '/new')).body).toBe('fresh');

  const line = await dataplane.lines.next(({ path }) => path === '/hello');
  expect(line).toMatchObject({
    method: 'GET',
    status: 200,
    route: 'shop/api',
    rule: 'r',
    backend: 'shop/api',
    endpoint: backend,
    client: '127.0.0.1',
  });
  expect(JSON.stringify(line)).not.toContain('x=1');

  const metrics = (await get(admin as number, '/metrics')).body;
  expect(metrics).toContain('tidegate_requests_total{route="shop/new",code_class="2xx"} 8');
  expect(metrics).toContain('tidegate_request_duration_seconds_count 9');
  expect(metrics).toContain(`tidegate_snapshot_info{revision="${two.revision}",origin="controller"} 1`);
  expect(metrics).toMatch(/process_resident_memory_bytes \d+/);
  const config = JSON.parse((await get(admin as number, '/debug/config')).body);
  expect(config).toMatchObject({
    revision: two.revision,
    ready: true,
    connected: true,
    workersListening: 2,
    worker: { revision: two.revision },
  });
  expect((await stream.loads.next((load) => load.requestsTotal >= 9)).inFlight).toBe(0);
});

test('a resource that can not be built is named, and all the rest is live', async () => {
  const controller = await startController();
  const dataplane = startDataplane(controller.address);
  const good = ruleFixture('shop/good/r', { matches: [matchFixture('/good')], action: respondFixture('good') });
  const bad = ruleFixture('shop/bad/r', { matches: [matchFixture('~/(')] });
  const snapshot = new TestSnapshot([good, bad]);
  const stream = await controller.streams.next();
  stream.send(snapshot.full());
  const verdict = await stream.verdicts.next();
  expect(verdict).toMatchObject({ revision: snapshot.revision, accepted: true });
  expect(verdict.rejected.map(({ id, hash }) => ({ id, hash }))).toEqual([
    { id: bad.id, hash: snapshot.resources.get(bad.id)?.hash },
  ]);
  const { http } = await dataplane.ready();
  expect((await get(http, '/good')).body).toBe('good');

  // Another controller, or this one started anew, learns of it without sending anything.
  stream.end();
  const again = await controller.streams.next();
  expect(again.hello.revision).toBe(snapshot.revision);
  expect(await again.verdicts.next()).toEqual(verdict);
});

test('SIGTERM: not ready at once, requests of the grace are served, those in flight end, exit 0', async () => {
  const waiting: http.ServerResponse[] = [];
  let arrived = (): void => {};
  const backend = await startBackend((request, response) => {
    if (request.url === '/slow') {
      waiting.push(response);
      arrived();
    } else response.end('quick');
  });
  const controller = await startController();
  const dataplane = startDataplane(controller.address, { TIDEGATE_DRAIN_GRACE_MS: '600' });
  const stream = await controller.streams.next();
  await send(stream, new TestSnapshot(proxied(backend)));
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

test('the same signal again ends it at once', async () => {
  const backend = await startBackend(() => {});
  const controller = await startController();
  const dataplane = startDataplane(controller.address);
  await send(await controller.streams.next(), new TestSnapshot(proxied(backend)));
  const { http: port } = await dataplane.ready();
  const lost = get(port, '/').catch(() => 'lost');
  dataplane.kill('SIGINT');
  await dataplane.event('draining');
  dataplane.kill('SIGTERM');
  dataplane.kill('SIGINT');
  expect(await dataplane.exited).toEqual({ code: 130, signal: null });
  expect(await lost).toBe('lost');
});

test('without a controller it serves the last good snapshot, and catches up when one comes', async () => {
  const folder = temporaryFolder();
  const env = { TIDEGATE_STATE_DIR: path.join(folder, 'state'), TIDEGATE_LAST_GOOD_GRACE_MS: '50' };
  const one = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('one') })]);
  const two = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('two') })]);
  const first = await startController(folder);
  const before = startDataplane(first.address, env);
  await send(await first.streams.next(), one);
  await before.ready();
  before.kill('SIGTERM');
  expect((await before.exited).code).toBe(0);
  first.stop();

  const dataplane = startDataplane(first.address, env);
  const { http: port, admin } = await dataplane.ready();
  expect((await get(port, '/')).body).toBe('one');
  expect((await get(admin, '/metrics')).body).toContain(
    `tidegate_snapshot_info{revision="${one.revision}",origin="last-good"} 1`,
  );
  expect(JSON.parse((await get(admin, '/debug/config')).body)).toMatchObject({ origin: 'last-good', connected: false });

  const second = await startController(folder);
  const stream = await second.streams.next();
  expect(stream.hello).toMatchObject({ revision: one.revision, held: [{ id: 'rule/s/a/r' }] });
  await send(stream, two, one);
  expect((await get(port, '/')).body).toBe('two');
});

test('a controller that goes changes nothing in what is served', async () => {
  const controller = await startController();
  const dataplane = startDataplane(controller.address);
  await send(
    await controller.streams.next(),
    new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('still here') })]),
  );
  const { http: port, admin } = await dataplane.ready();
  controller.stop();
  await dataplane.event('disconnected');
  expect((await get(port, '/')).body).toBe('still here');
  expect((await get(admin, '/readyz')).status).toBe(200);
  expect((await get(admin, '/metrics')).body).toContain('tidegate_controller_connected 0');
});

test('a worker that dies or hangs is started again with the whole snapshot, and readiness does not change', async () => {
  const folder = temporaryFolder();
  const preload = new URL('./test-crash.ts', import.meta.url).href;
  const controller = await startController();
  const dataplane = startDataplane(controller.address, {
    NODE_OPTIONS: `--import ${preload}`,
    TEST_CRASH: path.join(folder, 'crash'),
    TEST_HANG: path.join(folder, 'hang'),
  });
  const stream = await controller.streams.next();
  const one = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('one') })]);
  await send(stream, one);
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
  await send(stream, two, one);
  await expect.poll(() => metric('tidegate_worker_restarts_total'), { timeout: 10_000 }).toBe(restarts + 1);
  rmSync(path.join(folder, 'hang-1'));
  await expect.poll(() => metric('tidegate_workers_listening'), { timeout: 10_000 }).toBe(2);
  for (let i = 0; i < 20; i++) expect((await get(port, '/')).body).toBe('two');
}, 40_000);

test('HTTP/2 without TLS comes through the same pipeline', async () => {
  const backend = await startBackend((request, response) =>
    response.end(`over ${request.httpVersion}: ${request.url}`),
  );
  const controller = await startController();
  const probe = http.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port: free } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const dataplane = startDataplane(controller.address, { TIDEGATE_H2C_PORT: String(free) });
  await send(await controller.streams.next(), new TestSnapshot(proxied(backend)));
  const { h2c } = await dataplane.ready();
  const session = http2.connect(`http://127.0.0.1:${h2c}`);
  cleanups.push(() => session.destroy());
  const stream = session.request({ ':path': '/h2?x' });
  let body = '';
  for await (const chunk of stream.setEncoding('utf8')) body += chunk;
  expect(body).toBe('over 1.1: /h2?x');
  expect(await dataplane.lines.next(({ path }) => path === '/h2')).toMatchObject({ protocol: 'HTTP/2', status: 200 });
});

test('mistakes in the configuration end it with all of them, and --help with 0', async () => {
  const wrong = new DataplaneProcess({ TIDEGATE_HTTP_PORT: 'many', TIDEGATE_WORKERS: '-2' });
  expect((await wrong.exited).code).toBe(2);
  for (const name of ['TIDEGATE_CONTROLLER', 'TIDEGATE_HTTP_PORT', 'TIDEGATE_WORKERS'])
    expect(wrong.errors).toContain(name);
});

test('a port that is taken ends it with a word about which', async () => {
  const taken = http.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  cleanups.push(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const controller = await startController();
  const dataplane = startDataplane(controller.address, { TIDEGATE_HTTP_PORT: String(port) });
  (await controller.streams.next()).send(new TestSnapshot([]).full());
  expect((await dataplane.event('failed')).error).toContain(`127.0.0.1:${port}`);
  expect((await dataplane.exited).code).toBe(1);
});

test('an access log that can not be opened ends it with a word about which', async () => {
  const dataplane = startDataplane('unix:/nowhere', { TIDEGATE_ACCESS_LOG: '/nowhere/access.log' });
  expect((await dataplane.exited).code).toBe(1);
  expect(dataplane.errors).toContain('/nowhere/access.log');
});

test('the access log goes to a file where one is named', async () => {
  const file = path.join(temporaryFolder(), 'access.log');
  const controller = await startController();
  const dataplane = startDataplane(controller.address, {
    TIDEGATE_ACCESS_LOG: file,
    TIDEGATE_ACCESS_LOG_QUERY: 'true',
  });
  await send(await controller.streams.next(), new TestSnapshot([ruleFixture('s/a/r')]));
  const { http: port } = await dataplane.ready();
  for (let i = 0; i < 20; i++) await get(port, `/x?i=${i}`);
  dataplane.kill('SIGTERM');
  await dataplane.exited;
  const lines = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { query: string });
  expect(lines.map(({ query }) => query).sort()).toEqual(Array.from({ length: 20 }, (_, i) => `i=${i}`).sort());
});
