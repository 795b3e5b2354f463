/** A second attempt beside a slow one, on real sockets. */
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, OK, type ScriptedBackend, type TestProxy } from '../../engine.fixture.ts';
import type { RetrySettings } from '../../snapshot/retry.ts';
import { ask, HANG, heads, nothingLeft, over, RESET, Scene, type Step, Told, UNAVAILABLE } from './retry.fixture.ts';

const scene = new Scene();
afterEach(() => scene.close());

const HEDGED: Partial<RetrySettings> = { hedge: { afterMs: 1000, max: 1 } };

/** Two endpoints, the first one chosen first, and a request that it has got. */
async function slow(
  first: Step,
  second: Step,
  settings: Partial<RetrySettings> = {},
): Promise<{ gateway: TestProxy; a: ScriptedBackend; b: ScriptedBackend; told: Told }> {
  const backends = [await scene.backend(first), await scene.backend(second)];
  const gateway = await scene.gateway(backends, { ...HEDGED, ...settings });
  const names = new Map(backends.map(({ port }, i) => [port, i === 0 ? 'a' : 'b']));
  const told = new Told(gateway.upstream, names);
  told.lines.length = 0;
  return { gateway, a: backends[0] as ScriptedBackend, b: backends[1] as ScriptedBackend, told };
}

async function begun(gateway: TestProxy, a: ScriptedBackend) {
  const client = await ask(gateway);
  await eventually(() => heads(a) === 1, 'request at the first endpoint');
  return client;
}

describe('a slow first endpoint', () => {
  test('the second one wins, the first is closed and no failure of it is told', async () => {
    const { gateway, a, b, told } = await slow(HANG, OK);
    const client = await begun(gateway, a);
    gateway.advance(900);
    expect(heads(b)).toBe(0);
    gateway.advance(200);
    expect(await client.until('ok')).toMatch(/^HTTP\/1.1 200/);
    await a.connections[0]?.end();
    expect(told.lines.toSorted()).toEqual(['a: left', 'b: answered 200 left']);
    expect(gateway.finished[0]).toMatchObject({ attempts: 2, endpoint: `127.0.0.1:${b.port}` });
    expect(gateway.finished[0]?.upstreamMs).toBeLessThan(1000);
    await eventually(() => nothingLeft(gateway.upstream) && gateway.upstream.stats.connections === 1);
  });

  test('the first one answers after all: the second is closed', async () => {
    const { gateway, a, b, told } = await slow(HANG, HANG);
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await eventually(() => heads(b) === 1);
    a.connections[0]?.send(OK);
    await client.until('ok');
    await b.connections[0]?.end();
    expect(told.lines.toSorted()).toEqual(['a: answered 200 left', 'b: left']);
    expect(gateway.finished[0]).toMatchObject({ attempts: 2, endpoint: `127.0.0.1:${a.port}` });
    await eventually(() => nothingLeft(gateway.upstream) && gateway.upstream.stats.connections === 1);
  });

  test('the connection of the winner serves again', async () => {
    const { gateway, a, b } = await slow(HANG, OK);
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await client.until('ok');
    gateway.update([b.port]);
    await (await ask(gateway)).until('ok');
    expect(b.connections).toHaveLength(1);
  });

  test.each<[string, Step]>([
    ['is reset', RESET],
    ['answers 503', UNAVAILABLE],
  ])('the second one %s: the first is waited for', async (_name, step) => {
    const { gateway, a, b } = await slow(HANG, step);
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await eventually(() => heads(b) === 1 && gateway.upstream.stats.active === 1);
    a.connections[0]?.send(OK);
    expect(await client.until('ok')).toMatch(/^HTTP\/1.1 200/);
  });

  test.each<[string, Step]>([
    ['is reset', RESET],
    ['answers 503', UNAVAILABLE],
  ])('the first one %s meanwhile: the second is waited for', async (name, step) => {
    const { gateway, a, b } = await slow(HANG, HANG);
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await eventually(() => heads(b) === 1);
    const peer = a.connections[0];
    if (peer !== undefined) typeof step === 'string' ? peer.send(step) : step(peer);
    await eventually(() => gateway.upstream.stats.active === 1, name);
    b.connections[0]?.send(OK);
    expect(await client.until('ok')).toMatch(/^HTTP\/1.1 200/);
    expect(nothingLeft(gateway.upstream)).toBe(true);
  });

  test('both fail: a retry, if there is one', async () => {
    const { gateway, a, b } = await slow(HANG, HANG, { attempts: 1 });
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await eventually(() => heads(b) === 1);
    for (const one of [a, b]) one.connections[0]?.socket.resetAndDestroy();
    await eventually(() => {
      gateway.advance(10);
      return heads(a, b) === 3;
    });
    const again = [...a.connections, ...b.connections].find(({ closed, ended }) => !closed && !ended);
    again?.send(OK);
    await client.until('ok');
    expect(gateway.finished[0]).toMatchObject({ attempts: 3 });
  });

  test('both fail, and there is no retry: the failure is told', async () => {
    const { gateway, a, b } = await slow(HANG, HANG, { attempts: 0 });
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await eventually(() => heads(b) === 1);
    for (const one of [a, b]) one.connections[0]?.socket.resetAndDestroy();
    expect(await client.until('\r\n\r\n')).toMatch(/502 .*upstream-reset/s);
    expect(nothingLeft(gateway.upstream)).toBe(true);
  });

  test('the whole request takes too long with both: 504, and both are closed', async () => {
    const backends = [await scene.backend(HANG), await scene.backend(HANG)];
    const gateway = await scene.gateway(backends, HEDGED, { forward: { requestTimeoutMs: 5_000 } });
    const client = await ask(gateway);
    await eventually(() => heads(...backends) === 1);
    gateway.advance(1_100);
    await eventually(() => heads(...backends) === 2);
    gateway.advance(4_000);
    expect(await client.until('\r\n\r\n')).toMatch(/504 .*request-timeout/s);
    for (const { connections } of backends) await connections[0]?.end();
    expect(nothingLeft(gateway.upstream)).toBe(true);
  });

  test('the client leaves: both are closed', async () => {
    const { gateway, a, b, told } = await slow(HANG, HANG);
    const client = await begun(gateway, a);
    gateway.advance(1100);
    await eventually(() => heads(b) === 1);
    client.socket.resetAndDestroy();
    for (const one of [a, b]) await one.connections[0]?.end();
    await eventually(() => gateway.finished.length === 1);
    expect(told.lines.toSorted()).toEqual(['a: left', 'b: left']);
    expect(gateway.finished[0]).toMatchObject({ status: 499, code: 'client-closed' });
  });
});

describe('there is no second attempt', () => {
  test.each<[string, string, string, Partial<RetrySettings>]>([
    ['for a method that may not be sent twice', 'POST', 'content-length: 0\r\n', {}],
    ['for a request with a body', 'PUT', 'content-length: 1\r\n', {}],
    ['without budget', 'GET', '', { budget: { percent: 0, minPerSecond: 0 } }],
    ['for an upgrade', 'GET', 'connection: upgrade\r\nupgrade: websocket\r\n', {}],
  ])('%s', async (_name, method, more, settings) => {
    const { gateway, a, b } = await slow(HANG, OK, settings);
    await ask(gateway, method, more, more.includes(': 1') ? 'x' : '');
    await eventually(() => heads(a) === 1);
    for (let i = 0; i < 5; i++) gateway.advance(1000);
    a.connections[0]?.send(OK);
    await over(gateway);
    expect([heads(b), gateway.finished[0]?.attempts]).toEqual([0, 1]);
  });

  test('where there is no other endpoint', async () => {
    const backend = await scene.backend(HANG);
    const gateway = await scene.gateway([backend], HEDGED);
    await begun(gateway, backend);
    for (let i = 0; i < 5; i++) gateway.advance(1000);
    expect(heads(backend)).toBe(1);
  });

  test('beyond the most', async () => {
    const backends = [
      await scene.backend(HANG),
      await scene.backend(HANG),
      await scene.backend(HANG),
      await scene.backend(HANG),
    ];
    const gateway = await scene.gateway(backends, { hedge: { afterMs: 1000, max: 2 } });
    const client = await ask(gateway);
    for (let count = 1; count <= 3; count++) {
      await eventually(() => heads(...backends) === count);
      gateway.advance(1100);
    }
    gateway.advance(5000);
    expect(heads(...backends)).toBe(3);
    for (const { connections } of backends) connections[0]?.send(OK);
    await client.until('ok');
    await eventually(() => nothingLeft(gateway.upstream));
  });
});
