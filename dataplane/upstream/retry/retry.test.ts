/** Attempts that fail and are repeated, on real sockets with the test's own clock. */
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, OK, type Peer } from '../../engine.fixture.ts';
import type { RetrySettings } from '../../snapshot/retry.ts';
import type { PendingResponse } from '../seam.ts';
import { ask, HANG, heads, nothingLeft, over, RESET, Scene, type Step, Told, UNAVAILABLE } from './retry.fixture.ts';

const scene = new Scene();
afterEach(() => scene.close());

describe('what fails is asked for elsewhere', () => {
  test.each<[string, Step, string]>([
    ['a reset before the head', RESET, 'bad: reset left'],
    ['a close before the head', (peer) => peer.socket.end(), 'bad: reset left'],
    ['a reset in the middle of the head', (peer) => peer.socket.end('HTTP/1.1 200 OK\r\ncont'), 'bad: reset left'],
    ['garbage', 'hello there\r\n\r\n', 'bad: protocol left'],
    ['a 503', UNAVAILABLE, 'bad: answered 503 left'],
  ])('%s', async (_name, step, told) => {
    const [bad, good] = [await scene.backend(step), await scene.backend(OK)];
    const gateway = await scene.gateway([bad, good]);
    const watched = new Told(
      gateway.upstream,
      new Map([
        [bad.port, 'bad'],
        [good.port, 'good'],
      ]),
    );
    watched.lines.length = 0;
    const clients: Peer[] = [];
    for (let i = 0; i < 2; i++) clients.push(await ask(gateway));
    await over(gateway, 2);
    for (const client of clients) expect(await client.until('ok')).toMatch(/^HTTP\/1.1 200 OK/);
    expect(watched.lines.toSorted()).toEqual([told, 'good: answered 200 left', 'good: answered 200 left']);
    expect(gateway.finished.map(({ attempts }) => attempts).toSorted()).toEqual([1, 2]);
    expect(gateway.finished.every(({ endpoint }) => endpoint.endsWith(String(good.port)))).toBe(true);
    expect(nothingLeft(gateway.upstream)).toBe(true);
  });

  test('a try that takes too long', async () => {
    const [bad, good] = [await scene.backend(HANG), await scene.backend(OK)];
    const gateway = await scene.gateway([bad, good], { perTryTimeoutMs: 1000 });
    const clients = [await ask(gateway), await ask(gateway)];
    await eventually(() => gateway.finished.length === 1 && heads(bad) === 1);
    gateway.advance(900);
    expect(heads(good)).toBe(1);
    await over(gateway, 2);
    for (const client of clients) await client.until('ok');
    // What was given up is not used again.
    await bad.connections[0]?.end();
    expect(gateway.upstream.stats).toMatchObject({ active: 0, connections: 1 });
  });

  test('and where that takes too long as well: 504', async () => {
    const bad = await scene.backend(HANG);
    const gateway = await scene.gateway([bad], { perTryTimeoutMs: 1000, attempts: 2 });
    const client = await ask(gateway);
    await eventually(() => heads(bad) === 1);
    for (let tries = 2; tries <= 3; tries++) {
      gateway.advance(1100);
      await eventually(() => {
        gateway.advance(10);
        return heads(bad) === tries;
      });
    }
    gateway.advance(1100);
    expect(await client.until('\r\n\r\n')).toMatch(/504 .*x-code: upstream-timeout/s);
    expect(gateway.finished[0]).toMatchObject({ attempts: 3 });
  });

  test('the connection of a short answer that is not passed on serves again, that of a long one is closed', async () => {
    const long = `HTTP/1.1 503 no\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(1000)}`;
    const backends = [await scene.backend(UNAVAILABLE, OK), await scene.backend(long, OK)];
    const gateway = await scene.gateway(backends, { attempts: 3 });
    const client = await ask(gateway);
    await over(gateway);
    expect(await client.until('ok')).not.toContain('503');
    await backends[1]?.connections[0]?.end();
    expect(backends.map(({ connections }) => connections.length)).toEqual([1, 1]);
    expect(backends[0]?.connections[0]?.received.split('GET').length).toBe(3);
  });

  test('the last answer is passed on whole, the last failure told', async () => {
    const bad = await scene.backend(RESET, UNAVAILABLE, RESET, RESET);
    const gateway = await scene.gateway([bad], { attempts: 1 });
    const first = await ask(gateway);
    await over(gateway);
    expect(await first.until('busy')).toContain('HTTP/1.1 503 Service Unavailable');
    const second = await ask(gateway);
    await over(gateway, 2);
    expect(await second.until('\r\n\r\n')).toMatch(/502 .*x-code: upstream-reset/s);
    // The connection of the first was used again, and found closed: that repeat does not count.
    expect(gateway.finished[1]).toMatchObject({ attempts: 2 });
    expect(heads(bad)).toBe(5);
  });

  test('another endpoint each time while there is one, then from the start', async () => {
    const backends = [
      await scene.backend(UNAVAILABLE),
      await scene.backend(UNAVAILABLE),
      await scene.backend(UNAVAILABLE),
    ];
    const gateway = await scene.gateway(backends, { attempts: 5 });
    await ask(gateway);
    await over(gateway);
    expect(backends.map((one) => heads(one))).toEqual([2, 2, 2]);
    expect(gateway.finished[0]).toMatchObject({ status: 503, attempts: 6 });
  });
});

describe('connecting', () => {
  test('fails: another endpoint at once, for any method, without back-off and budget', async () => {
    const good = await scene.backend(OK);
    const gateway = await scene.gateway([await scene.dead(), await scene.dead(), good], {
      budget: { percent: 0, minPerSecond: 0 },
    });
    for (let i = 0; i < 3; i++) await (await ask(gateway, 'POST', 'content-length: 0\r\n')).until('ok');
    expect(gateway.finished.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(gateway.upstream.stats.active).toBe(0);
  });

  test('fails everywhere: the endpoints once more after a back-off, within the budget', async () => {
    const gateway = await scene.gateway([await scene.dead()], { attempts: 2 });
    const client = await ask(gateway);
    await eventually(() => gateway.exchanges[0]?.attempts === 1);
    await over(gateway);
    expect(await client.until('\r\n\r\n')).toMatch(/503 .*x-code: upstream-connect-failed/s);
    expect(gateway.finished[0]).toMatchObject({ attempts: 3 });
  });

  test.each<Partial<RetrySettings>>([{ on: ['reset'] }, { attempts: 0 }])(
    'is not retried with %j',
    async (settings) => {
      const good = await scene.backend(OK);
      const gateway = await scene.gateway([await scene.dead(), good], settings);
      for (let i = 0; i < 2; i++) await (await ask(gateway)).until(/ok|connect-failed/);
      expect(gateway.finished.map(({ status, attempts }) => [status, attempts]).toSorted()).toEqual([
        [200, 1],
        [503, 1],
      ]);
    },
  );
});

describe('what is not repeated', () => {
  test.each<[string, string, Step, Partial<RetrySettings>, number]>([
    ['POST after a reset', 'POST', RESET, {}, 502],
    ['POST after a 503', 'POST', UNAVAILABLE, {}, 503],
    ['GET where only POST is', 'GET', RESET, { methods: ['POST'] }, 502],
    ['a reset where only statuses are', 'GET', RESET, { on: ['status'] }, 502],
    ['a 503 where only 502 is', 'GET', UNAVAILABLE, { statuses: [502] }, 503],
    ['a 503 where statuses are not', 'GET', UNAVAILABLE, { on: ['reset'] }, 503],
    ['anything with attempts 0', 'GET', UNAVAILABLE, { attempts: 0 }, 503],
  ])('%s', async (_name, method, step, settings, status) => {
    const bad = await scene.backend(step, OK);
    const gateway = await scene.gateway([bad], settings);
    await ask(gateway, method, method === 'POST' ? 'content-length: 0\r\n' : '');
    await over(gateway);
    expect(gateway.finished[0]).toMatchObject({ status, attempts: 1 });
    expect(heads(bad)).toBe(1);
  });

  test('POST is where the policy says so', async () => {
    const bad = await scene.backend(RESET, OK);
    const gateway = await scene.gateway([bad], { methods: ['POST'] });
    const client = await ask(gateway, 'POST', 'content-length: 0\r\n');
    await over(gateway);
    await client.until('ok');
  });

  test('a response that has begun', async () => {
    const bad = await scene.backend((peer) => peer.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'));
    const gateway = await scene.gateway([bad, await scene.backend(OK)], { attempts: 5 });
    const client = await ask(gateway);
    expect(await client.close()).toMatch(/abc$/);
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'upstream-aborted', attempts: 1 });
  });

  test('a response whose stages have seen its head', async () => {
    const bad = await scene.backend('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n');
    const held: PendingResponse[] = [];
    const gateway = await scene.gateway(
      [bad],
      { attempts: 5 },
      { respond: (_exchange, response) => held.push(response) },
    );
    await ask(gateway);
    await eventually(() => held.length === 1);
    bad.connections[0]?.socket.resetAndDestroy();
    await eventually(() => gateway.upstream.stats.connections === 0);
    held[0]?.proceed();
    await over(gateway);
    expect(gateway.finished[0]).toMatchObject({ status: 502, attempts: 1 });
  });

  test('informational responses go through, and the final one may still be retried', async () => {
    const bad = await scene.backend((peer) => peer.socket.end('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'), OK);
    const gateway = await scene.gateway([bad]);
    const client = await ask(gateway);
    await over(gateway);
    expect(await client.until('ok')).toMatch(/^HTTP\/1.1 103 .*HTTP\/1.1 200 OK/s);
  });
});
