/** Ejection, breakers and limits over real sockets, with the test's own clock; what arrived is counted at the servers. */
import { afterEach, describe, expect, test } from 'vitest';
import { answering, eventually, OK, type Peer, ScriptedBackend, TestProxy } from '../engine.fixture.ts';
import type { Circuit } from '../snapshot/backend/breaker.ts';
import type { PassiveHealth } from '../snapshot/backend/health.ts';
import type { BackendResource } from '../snapshot/resources.ts';

const PASSIVE: PassiveHealth = {
  intervalMs: 5_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectedPercent: 50,
};
const CIRCUIT: Circuit = {
  errorThresholdPercentage: 50,
  volumeThreshold: 4,
  rollingCountTimeoutMs: 10_000,
  rollingCountBuckets: 10,
  resetTimeoutMs: 30_000,
  halfOpenRequests: 2,
};
const BAD = 'HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno';

const running: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

/** Counts what arrives; answers with what it is told to, or holds its answers back. */
class Server {
  answer: string | null = OK;
  arrived = 0;
  readonly backend: ScriptedBackend;
  readonly waiting: Peer[] = [];

  constructor() {
    this.backend = new ScriptedBackend((peer) => {
      let seen = 0;
      peer.socket.on('data', () => {
        for (const heads = peer.received.split('\r\n\r\n').length - 1; seen < heads; seen++) {
          this.arrived++;
          if (this.answer === null) this.waiting.push(peer);
          else peer.send(this.answer);
        }
      });
    });
    running.push(this.backend);
  }

  /** Answers all that wait. */
  release(answer: string): void {
    for (const peer of this.waiting.splice(0)) peer.send(answer);
  }
}

async function servers(count: number): Promise<Server[]> {
  const all = Array.from({ length: count }, () => new Server());
  for (const { backend } of all) await backend.listen();
  return all;
}

async function proxyTo(ports: readonly number[], backend: Partial<BackendResource>): Promise<TestProxy> {
  const proxy = await new TestProxy(ports, { backend }).listen();
  running.unshift(proxy);
  return proxy;
}

const portsOf = (all: readonly Server[]): number[] => all.map(({ backend }) => backend.port);
const GET = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';

async function start(proxy: TestProxy): Promise<Peer> {
  const client = await proxy.client();
  client.send(GET);
  return client;
}

const statusOf = (text: string): string => text.slice(9, 12);

/** One request after the other; their statuses. */
async function send(proxy: TestProxy, times: number): Promise<string[]> {
  const statuses: string[] = [];
  for (let i = 0; i < times; i++) statuses.push(statusOf(await (await start(proxy)).end()));
  return statuses;
}

const blocked = (proxy: TestProxy): string[] => proxy.upstream.states().map((state) => state.blocked.join());

function counted(proxy: TestProxy, name: string): Record<string, number> {
  return Object.fromEntries(
    [...proxy.counters.image()].flatMap(([key, value]) => {
      const [counter, ...labels] = key.split('\0');
      return counter === name ? [[labels.filter((label) => !label.startsWith('backend=')).join(), value]] : [];
    }),
  );
}

describe('outlier ejection', () => {
  test('an endpoint that answers 500 is ejected, comes back, and stays away longer the next time', async () => {
    const all = await servers(3);
    const [bad] = all as [Server];
    bad.answer = BAD;
    const proxy = await proxyTo(portsOf(all), {
      health: { panicPercent: 0, passive: { ...PASSIVE, consecutiveErrors: 3 } },
    });
    await eventually(async () => {
      await send(proxy, 1);
      return blocked(proxy)[0] === 'ejected';
    });
    expect(bad.arrived).toBe(3);
    expect(await send(proxy, 9)).toEqual(Array(9).fill('200'));
    expect(bad.arrived).toBe(3);
    expect(proxy.upstream.states()[0]).toMatchObject({ ejections: 1, ejectedForMs: 30_000 });
    proxy.advance(30_200);
    expect(blocked(proxy)).toEqual(['', '', '']);
    await eventually(async () => {
      await send(proxy, 1);
      return blocked(proxy)[0] === 'ejected';
    });
    expect(bad.arrived).toBe(6);
    proxy.advance(30_200);
    expect(blocked(proxy)[0]).toBe('ejected');
    proxy.advance(30_000);
    expect(blocked(proxy)[0]).toBe('');
    bad.answer = OK;
    expect(await send(proxy, 6)).toEqual(Array(6).fill('200'));
    expect(bad.arrived).toBeGreaterThan(6);
    expect(counted(proxy, 'endpoint_ejections')).toEqual({ 'reason=consecutiveErrors': 2 });
  });

  test('no more than the share is ejected, however many fail', async () => {
    const all = await servers(4);
    for (const server of all) server.answer = BAD;
    const proxy = await proxyTo(portsOf(all), {
      health: { panicPercent: 0, passive: { ...PASSIVE, consecutiveErrors: 1 } },
    });
    expect(await send(proxy, 12)).toEqual(Array(12).fill('500'));
    expect(blocked(proxy).filter((reason) => reason === 'ejected')).toHaveLength(2);
    expect(counted(proxy, 'endpoint_ejections_spared')).toEqual({ 'reason=consecutiveErrors': 10 });
  });

  test('with too few left all get requests again, where a panic threshold says so', async () => {
    const all = await servers(4);
    for (const server of all) server.answer = BAD;
    const passive = { ...PASSIVE, consecutiveErrors: 1, maxEjectedPercent: 100 };
    const arrived = (): number => all.reduce((sum, server) => sum + server.arrived, 0);
    const panicking = await proxyTo(portsOf(all), { health: { panicPercent: 50, passive } });
    expect(await send(panicking, 12)).toEqual(Array(12).fill('500'));
    expect(blocked(panicking).filter((reason) => reason === 'ejected').length).toBeGreaterThan(2);
    expect(arrived()).toBe(12);
    const strict = await proxyTo(portsOf(all), { health: { panicPercent: 0, passive } });
    expect(await send(strict, 6)).toEqual([...Array(4).fill('500'), '503', '503']);
    expect(arrived()).toBe(16);
  });

  test('shares and latencies are judged once an interval', async () => {
    const all = await servers(5);
    const [slow, failing] = all as [Server, Server];
    const passive = {
      ...PASSIVE,
      successRate: { minRequests: 4, minEndpoints: 3, stdevFactorPercent: 150 },
      latency: { minRequests: 4, factorPercent: 500 },
    };
    const proxy = await proxyTo(portsOf(all), { health: { panicPercent: 0, passive } });
    for (const server of all) server.answer = null;
    const clients: Peer[] = [];
    for (let i = 0; i < 20; i++) clients.push(await start(proxy));
    await eventually(() => all.every(({ waiting }) => waiting.length === 4));
    proxy.advance(10);
    for (const server of all) if (server !== slow) server.release(server === failing ? BAD : OK);
    await eventually(() => clients.filter(({ ended }) => ended).length === 16);
    proxy.advance(490);
    slow.release(OK);
    await eventually(() => clients.every(({ ended }) => ended));
    expect(blocked(proxy)).toEqual(['', '', '', '', '']);
    proxy.advance(5_100);
    expect(blocked(proxy)).toEqual(['ejected', 'ejected', '', '', '']);
    expect(counted(proxy, 'endpoint_ejections')).toEqual({ 'reason=latency': 1, 'reason=successRate': 1 });
  });

  test('an endpoint that refuses connections is ejected; nobody notices', async () => {
    const all = await servers(3);
    const [dead, ...alive] = all as [Server, Server, Server];
    const ports = portsOf(all);
    await dead.backend.close();
    running.splice(running.indexOf(dead.backend), 1);
    const proxy = await proxyTo(ports, {
      health: { panicPercent: 0, passive: { ...PASSIVE, consecutiveConnectErrors: 2 } },
    });
    expect(await send(proxy, 12)).toEqual(Array(12).fill('200'));
    expect(blocked(proxy)).toEqual(['ejected', '', '']);
    expect(alive.reduce((sum, { arrived }) => sum + arrived, 0)).toBe(12);
    expect(counted(proxy, 'endpoint_ejections')).toEqual({ 'reason=consecutiveConnectErrors': 1 });
  });

  test('an ejection outlives changes of other settings and of other endpoints, and ends with its own', async () => {
    const all = await servers(3);
    (all[0] as Server).answer = BAD;
    const passive = { ...PASSIVE, consecutiveErrors: 1 };
    const proxy = await proxyTo(portsOf(all), { health: { panicPercent: 0, passive } });
    await send(proxy, 3);
    expect(blocked(proxy)).toEqual(['ejected', '', '']);
    proxy.update(portsOf(all).slice(0, 2));
    expect(blocked(proxy)).toEqual(['ejected', '']);
    const changed = (health: BackendResource['health']): void =>
      proxy.upstream.update(
        { ...proxy.backendResource(), connectTimeoutMs: 77, ...(health && { health }) },
        {
          kind: 'endpoints',
          id: 'endpoints/test/plain',
          endpoints: portsOf(all).map((port) => ({ address: '127.0.0.1', port, weight: 1 })),
        },
      );
    changed(undefined);
    expect(blocked(proxy)).toEqual(['ejected', '', '']);
    changed({ panicPercent: 0, passive: { ...passive, baseEjectionMs: 1_000 } });
    expect(blocked(proxy)).toEqual(['', '', '']);
  });
});

describe('breaker of an endpoint', () => {
  test('opens, lets its probes through and no more, and closes; the others serve meanwhile', async () => {
    const all = await servers(2);
    const [bad, good] = all as [Server, Server];
    bad.answer = BAD;
    const proxy = await proxyTo(portsOf(all), { breaker: { endpoint: CIRCUIT } });
    await send(proxy, 8);
    expect(blocked(proxy)).toEqual(['open', '']);
    expect(bad.arrived).toBe(4);
    expect(await send(proxy, 6)).toEqual(Array(6).fill('200'));
    expect(bad.arrived).toBe(4);
    proxy.advance(30_200);
    expect(proxy.upstream.states().map(({ breaker }) => breaker)).toEqual(['halfOpen', 'closed']);
    bad.answer = null;
    good.answer = null;
    const clients: Peer[] = [];
    for (let i = 0; i < 10; i++) clients.push(await start(proxy));
    await eventually(() => bad.arrived + good.arrived === 10 + 14, 'all requests at the servers');
    expect(bad.waiting).toHaveLength(2);
    bad.release(OK);
    await eventually(() => proxy.upstream.states()[0]?.breaker === 'closed');
    bad.answer = OK;
    good.answer = OK;
    good.release(OK);
    for (const client of clients) expect(statusOf(await client.end())).toBe('200');
    const before = bad.arrived;
    await send(proxy, 8);
    expect(bad.arrived - before).toBe(4);
    expect(counted(proxy, 'breaker_transitions')).toEqual({
      'scope=endpoint,to=open': 1,
      'scope=endpoint,to=halfOpen': 1,
      'scope=endpoint,to=closed': 1,
    });
  });

  test('a probe that fails opens it again', async () => {
    const all = await servers(2);
    const [bad] = all as [Server];
    bad.answer = BAD;
    const proxy = await proxyTo(portsOf(all), { breaker: { endpoint: CIRCUIT } });
    await send(proxy, 8);
    proxy.advance(30_200);
    await send(proxy, 4);
    expect(bad.arrived).toBe(5);
    expect(blocked(proxy)).toEqual(['open', '']);
  });

  test('a client that leaves gives its probe back', async () => {
    const all = await servers(2);
    const [bad] = all as [Server];
    bad.answer = BAD;
    const proxy = await proxyTo(portsOf(all), { breaker: { endpoint: { ...CIRCUIT, halfOpenRequests: 1 } } });
    await send(proxy, 8);
    proxy.advance(30_200);
    bad.answer = null;
    const first = await start(proxy);
    const second = await start(proxy);
    await eventually(() => bad.waiting.length === 1);
    // Whichever of the two is the probe.
    for (const client of [first, second]) client.socket.resetAndDestroy();
    await eventually(() => proxy.upstream.stats.active === 0);
    bad.answer = OK;
    await send(proxy, 2);
    expect(proxy.upstream.states()[0]?.breaker).toBe('closed');
  });

  test('with all of them open the answer is 503 at once, and says when to come again', async () => {
    const all = await servers(2);
    for (const server of all) server.answer = BAD;
    const proxy = await proxyTo(portsOf(all), { breaker: { endpoint: CIRCUIT } });
    await send(proxy, 8);
    expect(blocked(proxy)).toEqual(['open', 'open']);
    proxy.advance(10_500);
    const text = await (await start(proxy)).end();
    expect(statusOf(text)).toBe('503');
    expect(text).toContain('x-code: breaker-open');
    expect(text).toContain('retry-after: 20\r\n');
    expect(all.reduce((sum, { arrived }) => sum + arrived, 0)).toBe(8);
    expect(counted(proxy, 'breaker_rejections')).toEqual({ 'scope=endpoint': 1 });
  });

  test('slow calls open it', async () => {
    const all = await servers(2);
    const [slow] = all as [Server];
    slow.answer = null;
    const endpoint = { ...CIRCUIT, slowCallDurationMs: 1_000, slowCallThresholdPercentage: 100 };
    const proxy = await proxyTo(portsOf(all), { breaker: { endpoint } });
    const clients: Peer[] = [];
    for (let i = 0; i < 8; i++) clients.push(await start(proxy));
    await eventually(() => slow.waiting.length === 4);
    proxy.advance(1_500);
    slow.release(OK);
    for (const client of clients) await client.end();
    expect(blocked(proxy)).toEqual(['open', '']);
  });
});

describe('breaker of a backend', () => {
  test('opens for all endpoints together, lets its probes through, and closes', async () => {
    const all = await servers(2);
    for (const server of all) server.answer = BAD;
    const arrived = (): number => all.reduce((sum, server) => sum + server.arrived, 0);
    const proxy = await proxyTo(portsOf(all), { breaker: { backend: CIRCUIT } });
    expect(await send(proxy, 6)).toEqual(['500', '500', '500', '500', '503', '503']);
    const text = await (await start(proxy)).end();
    expect(text).toContain('x-code: breaker-open');
    expect(text).toContain('retry-after: 30\r\n');
    expect(arrived()).toBe(4);
    expect(proxy.upstream.stats).toMatchObject({ breaker: 'open', active: 0 });
    proxy.advance(30_000);
    for (const server of all) server.answer = null;
    const clients: Peer[] = [];
    for (let i = 0; i < 6; i++) clients.push(await start(proxy));
    await eventually(() => clients.filter(({ ended }) => ended).length === 4, 'four refusals');
    expect(arrived()).toBe(6);
    for (const server of all) {
      server.answer = OK;
      server.release(OK);
    }
    await eventually(() => clients.every(({ ended }) => ended));
    expect(clients.map(({ received }) => statusOf(received)).sort()).toEqual([
      '200',
      '200',
      '503',
      '503',
      '503',
      '503',
    ]);
    expect(await send(proxy, 4)).toEqual(Array(4).fill('200'));
    expect(counted(proxy, 'breaker_rejections')).toEqual({ 'scope=backend': 7 });
  });

  test('keeps its state through changes of other settings, and starts anew with its own', async () => {
    const all = await servers(1);
    (all[0] as Server).answer = BAD;
    const proxy = await proxyTo(portsOf(all), { breaker: { backend: CIRCUIT } });
    await send(proxy, 4);
    proxy.update([...portsOf(all), 1]);
    expect(proxy.upstream.stats.breaker).toBe('open');
    const endpoints = { kind: 'endpoints' as const, id: 'endpoints/test/plain', endpoints: [] };
    proxy.upstream.update(
      { ...proxy.backendResource(), breaker: { backend: { ...CIRCUIT, volumeThreshold: 9 } } },
      endpoints,
    );
    expect(proxy.upstream.stats.breaker).toBe('closed');
    proxy.upstream.update({ ...proxy.backendResource(), breaker: undefined }, endpoints);
    expect(proxy.upstream.stats.breaker).toBeUndefined();
  });
});

describe('limits', () => {
  const overflowed = (text: string): void => {
    expect(statusOf(text)).toBe('503');
    expect(text).toContain('x-code: upstream-overflow');
    expect(text).toContain('retry-after: 1\r\n');
  };

  test('maxRequests holds for the backend as a whole, and a place is free again when a request ends, however it ends', async () => {
    const all = await servers(2);
    for (const server of all) server.answer = null;
    const pool = { maxConnections: 100, maxPending: 100, idleTimeoutMs: 60_000, maxRequests: 3 };
    const proxy = await proxyTo(portsOf(all), { pool });
    const clients = [await start(proxy), await start(proxy), await start(proxy)];
    await eventually(() => all.reduce((sum, { waiting }) => sum + waiting.length, 0) === 3);
    overflowed(await (await start(proxy)).end());
    clients[0]?.socket.resetAndDestroy();
    await eventually(() => proxy.upstream.stats.active === 2);
    const next = await start(proxy);
    await eventually(() => all.reduce((sum, { arrived }) => sum + arrived, 0) === 4);
    overflowed(await (await start(proxy)).end());
    for (const server of all) server.release(OK);
    for (const client of [clients[1], clients[2], next]) expect(statusOf(await (client as Peer).end())).toBe('200');
    for (const server of all) server.answer = OK;
    expect(await send(proxy, 5)).toEqual(Array(5).fill('200'));
  });

  test('a limit that comes while requests are under way counts them', async () => {
    const all = await servers(1);
    const [server] = all as [Server];
    server.answer = null;
    const proxy = await proxyTo(portsOf(all), {});
    const clients = [await start(proxy), await start(proxy)];
    await eventually(() => server.waiting.length === 2);
    const update = (maxRequests?: number): void =>
      proxy.upstream.update(
        {
          ...proxy.backendResource(),
          pool: {
            maxConnections: 9,
            maxPending: 9,
            idleTimeoutMs: 60_000,
            ...(maxRequests !== undefined && { maxRequests }),
          },
        },
        {
          kind: 'endpoints',
          id: 'endpoints/test/plain',
          endpoints: [{ address: '127.0.0.1', port: server.backend.port, weight: 1 }],
        },
      );
    update(2);
    overflowed(await (await start(proxy)).end());
    update(3);
    clients.push(await start(proxy));
    await eventually(() => server.waiting.length === 3);
    overflowed(await (await start(proxy)).end());
    server.release(OK);
    for (const client of clients) expect(statusOf(await client.end())).toBe('200');
    update(1);
    server.answer = OK;
    expect(await send(proxy, 3)).toEqual(['200', '200', '200']);
    update();
    expect(await send(proxy, 2)).toEqual(['200', '200']);
  });

  test('the adaptive limit refuses beyond itself and grows with good answers', async () => {
    const all = await servers(1);
    const [server] = all as [Server];
    server.answer = null;
    const adaptive = { minLimit: 2, maxLimit: 50, tolerancePercent: 150 };
    const pool = { maxConnections: 100, maxPending: 100, idleTimeoutMs: 60_000, adaptive };
    const proxy = await proxyTo(portsOf(all), { pool });
    const clients = [await start(proxy), await start(proxy)];
    await eventually(() => server.waiting.length === 2);
    overflowed(await (await start(proxy)).end());
    server.release(OK);
    for (const client of clients) await client.end();
    server.answer = OK;
    expect(proxy.upstream.stats.limit).toBe(2);
    for (let i = 0; i < 90; i++) {
      expect(await send(proxy, 1)).toEqual(['200']);
      proxy.advance(10);
    }
    expect(proxy.upstream.stats.limit).toBeGreaterThan(3);
    expect(proxy.upstream.stats.limit).toBeLessThanOrEqual(50);
  });
});

test('a backend without any of it has no gates and no watchers', async () => {
  const backend = await new ScriptedBackend(answering(OK)).listen();
  running.push(backend);
  const proxy = await proxyTo([backend.port], {});
  expect(await send(proxy, 1)).toEqual(['200']);
  expect(proxy.upstream.states()).toEqual([
    { name: `127.0.0.1:${backend.port}`, weight: 1, active: 0, connections: 1, share: 1, blocked: [] },
  ]);
  expect([...proxy.counters.image()]).toEqual([]);
});
