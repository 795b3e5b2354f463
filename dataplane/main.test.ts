import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { matchFixture, respondFixture, ruleFixture } from './snapshot/fixtures.ts';
import { TestSnapshot } from './sync/test-controller.ts';
import { DataplaneProcess } from './test-process.ts';
import { get, proxied, publish, Scene } from './test-scene.ts';

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test('from cold start to a proxied request, a live change, and what is said about it', async () => {
  const backend = await scene.backend((request, response) => response.end(`backend saw ${request.url}`));
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  const { port: admin } = (await dataplane.event('admin')) as { port: number };
  const notReady = await get(admin as number, '/readyz');
  expect([notReady.status, JSON.parse(notReady.body)]).toEqual([503, { ready: false, reason: 'no snapshot yet' }]);
  expect((await get(admin as number, '/healthz')).status).toBe(200);
  expect(Object.keys(JSON.parse((await get(admin as number, '/')).body).pages)).toEqual([
    '/healthz',
    '/readyz',
    '/metrics',
    '/debug/config',
    '/debug/explain',
  ]);
  expect((await get(admin as number, '/nothing')).status).toBe(404);

  const stream = await controller.streams.next();
  const one = new TestSnapshot(proxied(backend));
  await publish(stream, one);
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
  await publish(stream, two, one);
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
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
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

test('without a controller it serves the last good snapshot, and catches up when one comes', async () => {
  const folder = scene.folder();
  const env = { TIDEGATE_STATE_DIR: path.join(folder, 'state'), TIDEGATE_LAST_GOOD_GRACE_MS: '50' };
  const one = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('one') })]);
  const two = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('two') })]);
  const first = await scene.controller(folder);
  const before = scene.dataplane(first.address, env);
  await publish(await first.streams.next(), one);
  await before.ready();
  before.kill('SIGTERM');
  expect((await before.exited).code).toBe(0);
  first.stop();

  const dataplane = scene.dataplane(first.address, env);
  const { http: port, admin } = await dataplane.ready();
  expect((await get(port, '/')).body).toBe('one');
  expect((await get(admin, '/metrics')).body).toContain(
    `tidegate_snapshot_info{revision="${one.revision}",origin="last-good"} 1`,
  );
  expect(JSON.parse((await get(admin, '/debug/config')).body)).toMatchObject({ origin: 'last-good', connected: false });

  const second = await scene.controller(folder);
  const stream = await second.streams.next();
  expect(stream.hello).toMatchObject({ revision: one.revision, held: [{ id: 'rule/s/a/r' }] });
  await publish(stream, two, one);
  expect((await get(port, '/')).body).toBe('two');
});

test('a start without a controller keeps the form that ran of what was rejected', async () => {
  const folder = scene.folder();
  const env = { TIDEGATE_STATE_DIR: path.join(folder, 'state'), TIDEGATE_LAST_GOOD_GRACE_MS: '50' };
  const good = new TestSnapshot([ruleFixture('s/a/r', { action: respondFixture('ran') })]);
  const bad = new TestSnapshot([ruleFixture('s/a/r', { matches: [matchFixture('~/(')] })]);
  const controller = await scene.controller(folder);
  const before = scene.dataplane(controller.address, env);
  const stream = await controller.streams.next();
  await publish(stream, good);
  stream.send(bad.since(good));
  const verdict = await stream.verdicts.next();
  expect(verdict).toMatchObject({ accepted: true, rejected: [{ id: 'rule/s/a/r' }] });
  const { http: portBefore } = await before.ready();
  expect((await get(portBefore, '/')).body).toBe('ran');
  before.kill('SIGTERM');
  await before.exited;
  controller.stop();

  const dataplane = scene.dataplane(controller.address, env);
  const { http: port } = await dataplane.ready();
  expect((await get(port, '/')).body).toBe('ran');
  const again = await scene.controller(folder);
  const second = await again.streams.next();
  expect(second.hello.revision).toBe(bad.revision);
  expect(await second.verdicts.next()).toEqual(verdict);
});

test('a controller that goes changes nothing in what is served', async () => {
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address);
  await publish(
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

test('HTTP/2 without TLS comes through the same pipeline', async () => {
  const backend = await scene.backend((request, response) =>
    response.end(`over ${request.httpVersion}: ${request.url}`),
  );
  const controller = await scene.controller();
  const probe = http.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port: free } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_H2C_PORT: String(free) });
  await publish(await controller.streams.next(), new TestSnapshot(proxied(backend)));
  const { h2c } = await dataplane.ready();
  const session = http2.connect(`http://127.0.0.1:${h2c}`);
  scene.after(() => session.destroy());
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
  const help = spawnSync(
    process.execPath,
    ['--conditions=source', fileURLToPath(new URL('./main.ts', import.meta.url)), '--help'],
    { env: { TIDEGATE_STATE_DIR: 'off' } },
  );
  expect([help.status, help.stdout.toString()]).toEqual([0, expect.stringContaining('--drain-grace-ms')]);
});

test('a port that is taken ends it with a word about which', async () => {
  const taken = http.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  scene.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_HTTP_PORT: String(port) });
  (await controller.streams.next()).send(new TestSnapshot([]).full());
  expect((await dataplane.event('failed')).error).toContain(`127.0.0.1:${port}`);
  expect((await dataplane.exited).code).toBe(1);
});

test('an access log that can not be opened ends it with a word about which', async () => {
  const dataplane = scene.dataplane('unix:/nowhere', { TIDEGATE_ACCESS_LOG: '/nowhere/access.log' });
  expect((await dataplane.exited).code).toBe(1);
  expect(dataplane.errors).toContain('/nowhere/access.log');
});

test('the access log goes to a file where one is named, and to a new one after SIGHUP', async () => {
  const file = path.join(scene.folder(), 'access.log');
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, {
    TIDEGATE_ACCESS_LOG: file,
    TIDEGATE_ACCESS_LOG_QUERY: 'true',
  });
  await publish(await controller.streams.next(), new TestSnapshot([ruleFixture('s/a/r')]));
  const { http: port } = await dataplane.ready();
  const queries = (name: string): string[] =>
    readFileSync(name, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { query: string }).query)
      .sort();
  const wanted = (from: number): string[] => Array.from({ length: 10 }, (_, i) => `i=${from + i}`);
  for (let i = 10; i < 20; i++) await get(port, `/x?i=${i}`);
  await expect.poll(() => queries(file)).toEqual(wanted(10));
  renameSync(file, `${file}.1`);
  dataplane.kill('SIGHUP');
  await expect.poll(() => existsSync(file)).toBe(true);
  for (let i = 20; i < 30; i++) await get(port, `/x?i=${i}`);
  dataplane.kill('SIGTERM');
  await dataplane.exited;
  expect([queries(`${file}.1`), queries(file)]).toEqual([wanted(10), wanted(20)]);
});
