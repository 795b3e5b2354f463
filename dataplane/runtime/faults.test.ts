/** Injected faults, and time-outs of streams, through the whole gateway on real sockets. */
import { once } from 'node:events';
import type net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { forwardFixture, policyFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Resource } from '../snapshot/resources.ts';
import { faultSection } from '../snapshot/sections/fault.ts';
import { eventually, type SeeingBackend, ShapingScene } from './shaping.fixture.ts';

let scene: ShapingScene;
let main: SeeingBackend;
let parts: Resource[];

beforeEach(async () => {
  scene = await new ShapingScene().listen();
  ({ backend: main, parts } = await scene.backend('a/main'));
});

afterEach(async () => {
  await scene.close();
  expect(scene.errors).toEqual([]);
});

const faulty = (config: object): Resource[] => {
  const policy = policyFixture('a/drill', faultSection.parse({ section: 'fault', ...config }));
  return [policy, ruleFixture('a/r/x', { action: forwardFixture('a/main'), policies: [policy.id] })];
};

test('a delay holds the request, its body waits, then all goes on', async () => {
  scene.configure(...parts, ...faulty({ delay: { durationMs: 80, perMillion: 1_000_000 } }));
  const startedAtMs = performance.now();
  expect(await scene.send('POST', '/', {}, 'x'.repeat(100_000))).toMatchObject({ status: 200, body: 'a/main' });
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(79);
  expect(main.seen[0]?.body.length).toBe(100_000);
  expect(scene.counts('faults')).toEqual({ 'delay a/drill': 1 });
});

test('an abort reaches no backend; only who carries the header is meant', async () => {
  scene.configure(...parts, ...faulty({ abort: { status: 429, perMillion: 1_000_000 }, header: 'x-fault' }));
  const aborted = await scene.send('GET', '/', { 'X-Fault': '1' });
  expect([aborted.status, JSON.parse(aborted.body).code]).toEqual([429, 'fault-injected']);
  expect([main.seen.length, scene.finished[0]?.code]).toEqual([0, 'fault-injected']);
  expect((await scene.send('GET', '/')).status).toBe(200);
  expect(scene.counts('faults')).toEqual({ 'abort a/drill': 1 });
});

test('the time-out of the request cuts a delay short', async () => {
  const [policy, rule] = faulty({ delay: { durationMs: 60_000, perMillion: 1_000_000 } });
  scene.configure(...parts, policy as Resource, { ...rule, timeouts: { requestMs: 50 } } as Resource);
  expect(JSON.parse((await scene.send('GET', '/')).body).code).toBe('request-timeout');
});

test('a client that leaves a delayed request is gone at once', async () => {
  scene.configure(...parts, ...faulty({ delay: { durationMs: 60_000, perMillion: 1_000_000 } }));
  const request = scene.begin('GET', '/');
  request.end();
  await eventually(() => scene.counts('faults')['delay a/drill'] === 1);
  request.socket?.resetAndDestroy();
  await eventually(() => scene.finished.length === 1);
  expect(scene.finished[0]).toMatchObject({ status: 499, code: 'client-closed' });
});

test('idle: of a body and of an upgraded connection, by rule, over the policy; 0 switches it off', async () => {
  const stalls = await scene.raw('a/stalls', (socket: net.Socket) =>
    socket.once('data', (head) =>
      socket.write(
        head.toString().includes('upgrade')
          ? 'HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n'
          : 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf ',
      ),
    ),
  );
  const policy = policyFixture('a/limits', { section: 'timeout', idleMs: 120 });
  const action = forwardFixture('a/stalls');
  const inherited = ruleFixture('a/r/x', { action, policies: [policy.id] });
  scene.configure(...stalls, policy, inherited);
  await expect(scene.send('GET', '/')).rejects.toThrow('aborted');
  expect(scene.finished[0]).toMatchObject({ status: 200, code: 'upstream-idle-timeout' });

  const upgrading = scene.begin('GET', '/', { connection: 'upgrade', upgrade: 'echo' });
  upgrading.end();
  const [, tunnel] = (await once(upgrading, 'upgrade')) as [unknown, net.Socket];
  tunnel.on('error', () => {});
  await new Promise((resolve) => tunnel.resume().once('close', resolve));
  expect(scene.finished[1]).toMatchObject({ status: 101, code: 'upstream-idle-timeout' });

  scene.configure(...stalls, policy, { ...inherited, timeouts: { idleMs: 0 } });
  const request = scene.begin('GET', '/');
  request.end();
  const [response] = await once(request, 'response');
  response.on('error', () => {});
  // Much longer than the policy's.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect([response.destroyed, scene.finished.length]).toEqual([false, 2]);
  request.destroy();
  await eventually(() => scene.finished.length === 3);
});
