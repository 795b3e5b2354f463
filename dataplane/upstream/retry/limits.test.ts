/** What bounds retries: time, the client, the budget, and that whatever happens each request ends once. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, OK, type Peer } from '../../engine.fixture.ts';
import { ask, HANG, heads, nothingLeft, over, RESET, Scene, type Step, Told, UNAVAILABLE } from './retry.fixture.ts';

const scene = new Scene();
afterEach(() => scene.close());

const unavailable = (retryAfter: string): string =>
  `HTTP/1.1 503 Service Unavailable\r\nretry-after: ${retryAfter}\r\ncontent-length: 0\r\n\r\n`;

describe('Retry-After', () => {
  test('is waited for', async () => {
    const backend = await scene.backend(unavailable('1'), OK);
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway);
    await eventually(() => gateway.upstream.stats.active === 0 && heads(backend) === 1);
    gateway.advance(900);
    expect(heads(backend)).toBe(1);
    gateway.advance(200);
    expect(await client.until('ok')).toMatch(/^HTTP\/1.1 200/);
  });

  test.each(['2', 'Fri, 31 Dec 9999 23:59:59 GMT'])('%s is too long: the response is passed on', async (value) => {
    const backend = await scene.backend(unavailable(value), OK);
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway);
    expect(await client.until('\r\n\r\n')).toMatch(new RegExp(`503 .*retry-after: ${value}`, 's'));
    expect(heads(backend)).toBe(1);
  });
});

describe('the whole request', () => {
  test('has to be over before a retry would begin: the last response is passed on at once', async () => {
    const backend = await scene.backend(unavailable('1'), OK);
    const gateway = await scene.gateway([backend], {}, { forward: { requestTimeoutMs: 900 } });
    const client = await ask(gateway);
    expect(await client.until('\r\n\r\n')).toContain('503');
    expect(gateway.finished[0]).toMatchObject({ attempts: 1 });
  });

  test('bounds tries and back-offs together', async () => {
    const backend = await scene.backend(HANG);
    const settings = { attempts: 10, perTryTimeoutMs: 1000 };
    const gateway = await scene.gateway([backend], settings, { forward: { requestTimeoutMs: 3_500 } });
    const client = await ask(gateway);
    for (let ms = 0; ms < 3_400; ms += 100) {
      await eventually(() => gateway.upstream.stats.active === 0 || heads(backend) === gateway.exchanges[0]?.attempts);
      gateway.advance(100);
    }
    expect(client.received).toBe('');
    gateway.advance(200);
    await over(gateway);
    expect(await client.until('\r\n\r\n')).toMatch(/504 .*x-code: (request|upstream)-timeout/s);
    expect(gateway.finished[0]?.attempts).toBeGreaterThanOrEqual(3);
    expect(gateway.finished[0]?.attempts).toBeLessThanOrEqual(4);
  });
});

describe('a client that leaves', () => {
  test('during the back-off: there is no further attempt', async () => {
    const backend = await scene.backend(unavailable('1'), OK);
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway);
    await eventually(() => gateway.upstream.stats.active === 0 && heads(backend) === 1);
    client.socket.resetAndDestroy();
    await eventually(() => gateway.finished.length === 1);
    for (let i = 0; i < 30; i++) gateway.advance(100);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(heads(backend)).toBe(1);
    expect(gateway.finished[0]).toMatchObject({ status: 499, code: 'client-closed', attempts: 1 });
  });

  test('during a retry: its connection is closed', async () => {
    const backend = await scene.backend(RESET, HANG);
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway);
    await eventually(() => {
      gateway.advance(50);
      return heads(backend) === 2;
    });
    client.socket.resetAndDestroy();
    await backend.connections[1]?.end();
    await eventually(() => gateway.finished.length === 1 && nothingLeft(gateway.upstream));
  });
});

describe('the budget', () => {
  test('a backend that answers 503 to all gets no more than its share besides', async () => {
    const backend = await scene.backend(UNAVAILABLE);
    const gateway = await scene.gateway([backend], { attempts: 3, budget: { percent: 20, minPerSecond: 0 } });
    const clients: Peer[] = [];
    for (let i = 0; i < 100; i++) {
      clients.push(await ask(gateway));
      gateway.advance(1);
    }
    await over(gateway, 100);
    expect(gateway.finished.every(({ status }) => status === 503)).toBe(true);
    expect(heads(backend)).toBeGreaterThan(100);
    expect(heads(backend)).toBeLessThanOrEqual(120);
  });

  test('a flapping one is got along with, while the budget lasts', async () => {
    const flapping: Step[] = Array.from({ length: 200 }, (_, i) => (i % 10 === 0 ? UNAVAILABLE : OK));
    const backend = await scene.backend(...flapping);
    const gateway = await scene.gateway([backend], { budget: { percent: 20, minPerSecond: 1 } });
    for (let i = 0; i < 60; i++) {
      await ask(gateway);
      await over(gateway, i + 1);
    }
    expect(gateway.finished.map(({ status }) => status)).toEqual(Array(60).fill(200));
    expect(heads(backend)).toBe(67);
  });
});

test('property: whatever endpoints do, each request ends once, each attempt is told once, and nothing is left', async () => {
  const CHOICES: Readonly<Record<string, Step>> = {
    ok: OK,
    reset: RESET,
    close: (peer) => peer.socket.end(),
    part: (peer) => peer.socket.end('HTTP/1.1 200 O'),
    garbage: 'no\r\n\r\n',
    unavailable: UNAVAILABLE,
    hang: HANG,
    chunked: 'HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    cut: (peer) => peer.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'),
    early: 'HTTP/1.1 103 Early\r\n\r\n',
  };
  const step = fc.constantFrom(...Object.keys(CHOICES));
  const scenario = fc.record({
    endpoints: fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
    dead: fc.boolean(),
    attempts: fc.nat(4),
    hedged: fc.boolean(),
    clients: fc.array(fc.record({ leaves: fc.boolean(), method: fc.constantFrom('GET', 'POST', 'PUT') }), {
      minLength: 1,
      maxLength: 5,
    }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ endpoints, dead, attempts, hedged, clients }) => {
      const backends = [];
      for (const list of endpoints) backends.push(await scene.backend(...list.map((name) => CHOICES[name] as Step)));
      const all = dead ? [...backends, await scene.dead()] : backends;
      const gateway = await scene.gateway(
        all,
        { attempts, perTryTimeoutMs: 500, ...(hedged && { hedge: { afterMs: 200, max: 2 } }) },
        { forward: { requestTimeoutMs: 5_000, idleTimeoutMs: 1_000 } },
      );
      const told = new Told(gateway.upstream, new Map());
      told.lines.length = 0;
      for (const { leaves, method } of clients) {
        const client = await ask(
          gateway,
          method,
          method === 'GET' ? '' : 'content-length: 2\r\n',
          method === 'GET' ? '' : 'ab',
        );
        await eventually(() => gateway.exchanges.length > 0);
        if (leaves) client.socket.resetAndDestroy();
      }
      // Of a client that has left, the request may have come or not.
      const sure = clients.filter(({ leaves }) => !leaves).length;
      let quiet = 0;
      await eventually(() => {
        gateway.advance(50);
        const { exchanges, finished, upstream } = gateway;
        quiet =
          exchanges.length >= sure && finished.length === exchanges.length && nothingLeft(upstream) ? quiet + 1 : 0;
        return quiet > 5;
      }, 'quiet');
      expect(gateway.finished.length).toBe(gateway.exchanges.length);
      expect(new Set(gateway.finished).size).toBe(gateway.finished.length);
      const begun = gateway.exchanges.reduce((sum, exchange) => sum + exchange.attempts, 0);
      expect(told.lines).toHaveLength(begun);
      for (const line of told.lines)
        expect(line).toMatch(/: (answered \d+ )?((connect|connect-timeout|timeout|reset|protocol) )?left$/);
      for (const exchange of gateway.exchanges)
        expect(exchange.attempts).toBeLessThanOrEqual(Math.max(attempts, 2) + 1 + 2);
      expect(gateway.errors).toEqual([]);
      await scene.close();
    }),
    { numRuns: 40 },
  );
}, 120_000);
