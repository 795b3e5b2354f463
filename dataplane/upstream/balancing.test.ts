/** Balancing as clients see it: real sockets to real backends that come, go, fail and are slow. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { eventually, TestProxy, type TestProxySettings } from '../engine.fixture.ts';
import { startWheel } from '../io/wheel.ts';
import type { Balancing } from '../snapshot/backend/balancing.ts';
import { endpointName } from '../snapshot/backend/view.ts';
import type { BackendResource } from '../snapshot/resources.ts';
import { deviations, seeded } from './balance/balance.fixture.ts';

const running: { close(): Promise<void> | void }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

/** Counts what it is asked, and answers after `delayMs`; or not at all until `release`. */
class Backend {
  requests = 0;
  delayMs = 0;
  holding = false;
  readonly held: http.ServerResponse[] = [];
  readonly server = http.createServer((_request, response) => {
    this.requests++;
    if (this.holding) this.held.push(response);
    else if (this.delayMs > 0) setTimeout(() => this.answer(response), this.delayMs);
    else this.answer(response);
  });

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    running.push(this);
    return this;
  }

  release(): void {
    for (const response of this.held.splice(0)) this.answer(response);
  }

  close(): void {
    this.release();
    this.server.closeAllConnections();
    this.server.close();
  }

  private answer(response: http.ServerResponse): void {
    response.end(String(this.port));
  }
}

/** By port, as a snapshot has them. */
async function backends(count: number): Promise<Backend[]> {
  const all = await Promise.all(Array.from({ length: count }, () => new Backend().listen()));
  return all.sort((a, b) => a.port - b.port);
}

async function proxy(
  to: readonly Backend[],
  balancing: Balancing,
  more: TestProxySettings = {},
  backend: Partial<BackendResource> = {},
): Promise<TestProxy> {
  const ports = to.map(({ port }) => port);
  const started = new TestProxy(ports, { random: seeded(1), ...more, backend: { balancing, ...backend } });
  running.unshift(await started.listen());
  return started;
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

afterAll(() => agent.destroy());

interface Answer {
  readonly port: number;
  readonly status: number | undefined;
  readonly cookie: string | undefined;
}

async function ask({ port }: TestProxy, headers: http.OutgoingHttpHeaders = {}, path = '/'): Promise<Answer> {
  const request = http.get({ host: '127.0.0.1', port, path, headers, agent });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let body = '';
  for await (const chunk of response) body += chunk;
  return { port: Number(body), status: response.statusCode, cookie: response.headers['set-cookie']?.[0] };
}

/** Asks one after the other; how many of them each backend got. */
async function counted(gateway: TestProxy, all: readonly Backend[], requests: number): Promise<number[]> {
  const before = all.map((one) => one.requests);
  for (let i = 0; i < requests; i++) await ask(gateway);
  return all.map((one, i) => one.requests - (before[i] as number));
}

const unhealthy = (...all: Backend[]) => ({
  endpoints: null,
  unhealthy: all.map(({ port }) => endpointName({ address: '127.0.0.1', port })),
});
const never = { health: { panicPercent: 0 } };

describe('shares', () => {
  const weightOf = (all: readonly Backend[], weights: readonly number[]) => ({
    endpoint: (port: number) => ({ weight: weights[all.findIndex((one) => one.port === port)] as number }),
  });

  test('round robin: exactly the weights in each round', async () => {
    const all = await backends(4);
    const gateway = await proxy(all, { algorithm: 'roundRobin' }, weightOf(all, [5, 3, 1, 1]));
    expect(await counted(gateway, all, 50)).toEqual([25, 15, 5, 5]);
  });

  test.each(['random', 'leastRequest'] as const)('%s: the weights, to five standard deviations', async (algorithm) => {
    const all = await backends(3);
    const gateway = await proxy(all, { algorithm }, weightOf(all, [1, 2, 5]));
    expect(deviations(await counted(gateway, all, 800), [1, 2, 5])).toBeLessThan(5);
  });

  test('least request: who holds requests gets no more while others hold fewer', async () => {
    const all = await backends(2);
    const [busy, idle] = all as [Backend, Backend];
    const gateway = await proxy(all, { algorithm: 'leastRequest' });
    busy.holding = true;
    // One after the other, until one is held; those that the idle one answered are over then.
    const asked: Promise<unknown>[] = [];
    for (let over = true; over; ) {
      over = false;
      asked.push(ask(gateway).then(() => (over = true)));
      await eventually(() => over || busy.held.length > 0);
    }
    expect(await counted(gateway, [busy, idle], 30)).toEqual([0, 30]);
    busy.release();
    await Promise.all(asked);
  });

  test('peak EWMA: one that is slow gets a fraction of its share', async () => {
    const all = await backends(8);
    const slow = all[3] as Backend;
    slow.delayMs = 150;
    const wheel = startWheel();
    running.push({ close: () => wheel.stop() });
    const gateway = await proxy(all, { algorithm: 'peakEwma' }, { wheel });
    await Promise.all(Array.from({ length: 8 }, () => counted(gateway, all, 50)));
    const total = all.reduce((sum, { requests }) => sum + requests, 0);
    expect(total).toBe(400);
    // Round robin would give it 50.
    expect(slow.requests).toBeLessThan(20);
    for (const one of all) expect(one.requests).toBeGreaterThan(0);
  });
});

describe('consistent hash', () => {
  const users = Array.from({ length: 120 }, (_, i) => `user-${i}`);
  const byUser: Balancing['hash'] = { by: 'header', name: 'x-user' };

  async function homes(gateway: TestProxy): Promise<number[]> {
    const found: number[] = [];
    for (const user of users) found.push((await ask(gateway, { 'x-user': user })).port);
    return found;
  }

  test.each([
    ['ringHash', 0],
    // Maglev may move a few of the others' keys.
    ['maglev', 0.05],
  ] as const)('%s: a user keeps its endpoint; when one goes, only its users move', async (algorithm, bound) => {
    const all = await backends(5);
    const gateway = await proxy(all, { algorithm, hash: byUser }, {}, never);
    const before = await homes(gateway);
    expect(await homes(gateway)).toEqual(before);
    expect(new Set(before).size).toBe(5);
    const lost = all[2] as Backend;
    gateway.upstream.view(unhealthy(lost));
    const after = await homes(gateway);
    const others = users.filter((_, i) => before[i] !== lost.port);
    const moved = others.filter((user) => before[users.indexOf(user)] !== after[users.indexOf(user)]);
    expect(moved.length).toBeLessThanOrEqual(others.length * bound);
    expect(after).not.toContain(lost.port);
    // Back again, all are where they were; and another data plane places them alike.
    gateway.upstream.view(unhealthy());
    expect(await homes(gateway)).toEqual(before);
    expect(await homes(await proxy(all, { algorithm, hash: byUser }))).toEqual(before);
  });

  test.each(['ringHash', 'maglev'] as const)(
    '%s: one that can not be reached: on to the same other one each time',
    async (algorithm) => {
      const all = await backends(5);
      const gateway = await proxy(all, { algorithm, hash: byUser });
      const before = await homes(gateway);
      const lost = all[1] as Backend;
      const { port } = lost;
      lost.close();
      const after = await homes(gateway);
      users.forEach((_, i) => {
        if (before[i] === port) expect(after[i]).not.toBe(port);
        else expect(after[i]).toBe(before[i]);
      });
      expect(await homes(gateway)).toEqual(after);
      expect(new Set(after.filter((_, i) => before[i] === port)).size).toBeGreaterThan(1);
    },
  );

  test('by cookie, query and address', async () => {
    const all = await backends(4);
    const cases: [Balancing['hash'], http.OutgoingHttpHeaders, string][] = [
      [{ by: 'cookie', name: 'session' }, { cookie: 'a=1; session=s-7; b=2' }, '/'],
      [{ by: 'query', name: 'user' }, {}, '/?a=1&user=joe%20x'],
      [{ by: 'address' }, {}, '/'],
    ];
    for (const [hash, headers, path] of cases) {
      const gateway = await proxy(all, { algorithm: 'maglev', ...(hash && { hash }) });
      const ports = new Set<number>();
      for (let i = 0; i < 10; i++) ports.add((await ask(gateway, headers, path)).port);
      expect(ports.size).toBe(1);
    }
  });

  test('without the key: spread over all', async () => {
    const all = await backends(4);
    const gateway = await proxy(all, { algorithm: 'ringHash', hash: byUser });
    for (const count of await counted(gateway, all, 200)) expect(count).toBeGreaterThan(20);
  });

  test('bounded load: a hot key spills over before one endpoint has more than its share', async () => {
    const all = await backends(4);
    for (const one of all) one.holding = true;
    const gateway = await proxy(all, { algorithm: 'maglev', hash: byUser, maxLoadPercent: 125 });
    const held: Promise<Answer>[] = [];
    for (let i = 1; i <= 16; i++) {
      held.push(ask(gateway, { 'x-user': 'hot', connection: 'close' }));
      await eventually(() => all.reduce((sum, one) => sum + one.held.length, 0) === i);
    }
    // At most 125 % of a quarter of 16.
    expect(Math.max(...all.map((one) => one.held.length))).toBeLessThanOrEqual(5);
    for (const one of all) one.release();
    await Promise.all(held);
  });
});

describe('sticky cookie', () => {
  const sticky: Balancing = {
    algorithm: 'roundRobin',
    sticky: { cookie: 'at', ttlMs: 3_600_000, path: '/shop', key: 'of this backend' },
  };

  test('set once, then followed by every data plane; it names no address', async () => {
    const all = await backends(3);
    const gateway = await proxy(all, sticky);
    const first = await ask(gateway);
    expect(first.cookie).toMatch(/^at=[\w-]{16}; Path=\/shop; HttpOnly; SameSite=Lax; Max-Age=3600$/);
    const cookie = first.cookie?.split(';')[0] as string;
    expect(cookie).not.toContain(String(first.port));
    const other = await proxy(all, sticky, { random: seeded(2) });
    for (const one of [gateway, other, gateway, other]) {
      expect(await ask(one, { cookie: `x=y; ${cookie}` })).toEqual({
        port: first.port,
        status: 200,
        cookie: undefined,
      });
    }
    expect((await ask(gateway)).port).not.toBe(first.port);
  });

  test('its endpoint fails, is gone, or cannot be reached: another one, and its cookie', async () => {
    const all = await backends(3);
    const gateway = await proxy(all, sticky, {}, never);
    const first = await ask(gateway);
    const cookie = first.cookie?.split(';')[0] as string;
    const own = all.find(({ port }) => port === first.port) as Backend;
    gateway.upstream.view(unhealthy(own));
    const second = await ask(gateway, { cookie });
    expect(second.port).not.toBe(first.port);
    expect(second.cookie).toMatch(/^at=/);
    expect(second.cookie?.split(';')[0]).not.toBe(cookie);
    gateway.upstream.view(unhealthy());
    expect((await ask(gateway, { cookie })).port).toBe(first.port);
    own.close();
    const third = await ask(gateway, { cookie });
    expect(third.cookie?.split(';')[0]).not.toBe(cookie);
    gateway.update(all.filter((one) => one !== own).map(({ port }) => port));
    expect((await ask(gateway, { cookie })).cookie).toMatch(/^at=/);
  });

  test('one that nobody gave is replaced; without a ttl it lasts as long as the browser', async () => {
    const all = await backends(2);
    const settings: Balancing = { ...sticky, sticky: { cookie: 'at', ttlMs: 0, path: '/', key: 'k' } };
    const gateway = await proxy(all, settings);
    const { cookie } = await ask(gateway, { cookie: 'at=forged' });
    expect(cookie).toMatch(/^at=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax$/);
  });
});

describe('slow start', () => {
  test('a new endpoint, and one that comes back, grow from a tenth to their whole share', async () => {
    const all = await backends(3);
    const [old, other, fresh] = all as [Backend, Backend, Backend];
    const gateway = await proxy([old, other], { algorithm: 'roundRobin', slowStartMs: 10_000 }, {}, never);
    // The first ones are whole at once.
    expect(await counted(gateway, all, 20)).toEqual([10, 10, 0]);
    gateway.update(all.map(({ port }) => port));
    expect(await counted(gateway, all, 42)).toEqual([20, 20, 2]);
    const pass = (ms: number): void => {
      for (let i = 0; i < ms; i += 1_000) gateway.advance(1_000);
    };
    pass(5_000);
    expect(await counted(gateway, all, 50)).toEqual([20, 20, 10]);
    pass(6_000);
    expect(await counted(gateway, all, 30)).toEqual([10, 10, 10]);
    gateway.upstream.view(unhealthy(fresh));
    expect(await counted(gateway, all, 20)).toEqual([10, 10, 0]);
    gateway.upstream.view(unhealthy());
    expect(await counted(gateway, all, 42)).toEqual([20, 20, 2]);
  });
});

describe('priorities and zones', () => {
  test('the second priority takes over what the first can not carry, and gives it back', async () => {
    const all = await backends(4);
    const [a, b, c, d] = all as [Backend, Backend, Backend, Backend];
    const standby = { endpoint: (port: number) => ({ priority: port === c.port || port === d.port ? 1 : 0 }) };
    const gateway = await proxy(all, { algorithm: 'roundRobin' }, standby, never);
    expect(await counted(gateway, all, 40)).toEqual([20, 20, 0, 0]);
    gateway.upstream.view(unhealthy(a));
    // Half of the first serves: 50 × 1.4 = 70 %.
    expect(await counted(gateway, all, 100)).toEqual([0, 70, 15, 15]);
    gateway.upstream.view(unhealthy(a, b));
    expect(await counted(gateway, all, 40)).toEqual([0, 0, 20, 20]);
    gateway.upstream.view(unhealthy());
    expect(await counted(gateway, all, 40)).toEqual([20, 20, 0, 0]);
  });

  test('the first priority can not be reached: its requests are served by the second', async () => {
    const all = await backends(2);
    const [first] = all as [Backend, Backend];
    const { port } = first;
    const gateway = await proxy(
      all,
      { algorithm: 'roundRobin' },
      { endpoint: (at) => ({ priority: at === port ? 0 : 1 }) },
    );
    expect((await ask(gateway)).port).toBe(port);
    first.close();
    for (let i = 0; i < 5; i++) expect(await ask(gateway)).toMatchObject({ status: 200, port: all[1]?.port });
  });

  test('the own zone as far as it can carry its part; none of it serves: all', async () => {
    const all = await backends(4);
    const [a, b] = all as [Backend, Backend, Backend, Backend];
    const zones = { endpoint: (port: number) => ({ zone: port === a.port || port === b.port ? 'near' : 'far' }) };
    const gateway = await proxy(all, { algorithm: 'roundRobin', preferZone: true }, { ...zones, zone: 'near' }, never);
    expect(await counted(gateway, all, 40)).toEqual([20, 20, 0, 0]);
    gateway.upstream.view(unhealthy(a));
    // One of three serves near by: two thirds of its half of all requests are its part.
    expect(await counted(gateway, all, 60)).toEqual([0, 40, 10, 10]);
    gateway.upstream.view(unhealthy(a, b));
    expect(await counted(gateway, all, 40)).toEqual([0, 0, 20, 20]);
  });

  test('panic: more than half is unhealthy, and all get requests', async () => {
    const all = await backends(3);
    const [a, b] = all as [Backend, Backend, Backend];
    const gateway = await proxy(all, { algorithm: 'roundRobin' }, {}, { health: { panicPercent: 50 } });
    gateway.upstream.view(unhealthy(a));
    expect(await counted(gateway, all, 20)).toEqual([0, 10, 10]);
    gateway.upstream.view(unhealthy(a, b));
    expect(await counted(gateway, all, 30)).toEqual([10, 10, 10]);
  });
});

test('a change before every request: the round goes on where it was', async () => {
  const all = await backends(5);
  const gateway = await proxy(all, { algorithm: 'roundRobin' });
  for (let i = 0; i < 20; i++) {
    gateway.update(all.map(({ port }) => port));
    await ask(gateway);
  }
  expect(all.map(({ requests }) => requests)).toEqual([4, 4, 4, 4, 4]);
});
