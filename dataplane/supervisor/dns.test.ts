/** Names of backends in the whole program: two workers, real backends, a server that speaks DNS. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backendFixture, forwardFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { EndpointNames, EndpointsResource } from '../snapshot/resources.ts';
import { TestSnapshot } from '../sync/test-controller.ts';
import { get, publish, Scene } from '../test-scene.ts';
import { DnsServer } from './dns/dns-server.fixture.ts';

/** On a busy machine two threads take their time. */
const PATIENCE = { timeout: 30_000, interval: 20 };
const NAME = 'db.example';
const SERVICE = '_http._tcp.example';

let scene: Scene;
let dns: DnsServer;
beforeEach(async () => {
  scene = new Scene();
  dns = await DnsServer.start();
  scene.after(() => dns.close());
});
afterEach(() => scene.end());

/** Backends of one port on several addresses of the loopback net, each answering with its address. */
async function backends(addresses: readonly string[], handler?: http.RequestListener, wanted = 0): Promise<number> {
  let port = wanted;
  for (const host of addresses) {
    const server = http.createServer(handler ?? ((_request, response) => response.end(host))).listen(port, host);
    await new Promise((resolve) => server.once('listening', resolve));
    scene.after(() => server.close());
    scene.after(() => server.closeAllConnections());
    port = (server.address() as AddressInfo).port;
  }
  return port;
}

function snapshotOf(endpoints: EndpointsResource['endpoints'], names: Partial<EndpointNames> = {}): TestSnapshot {
  return new TestSnapshot([
    ruleFixture('shop/api/r', { action: forwardFixture('shop/api') }),
    backendFixture('shop/api'),
    {
      kind: 'endpoints',
      id: 'endpoints/shop/api',
      endpoints,
      names: { minTtlMs: 100, maxTtlMs: 200, allowLocal: true, ...names },
    },
  ]);
}

async function start(snapshot: TestSnapshot) {
  const controller = await scene.controller();
  const dataplane = scene.dataplane(controller.address, { TIDEGATE_DNS_SERVERS: dns.address });
  const stream = await controller.streams.next();
  await publish(stream, snapshot);
  const ports = await dataplane.ready();
  return { stream, dataplane, ...ports };
}

/** Who answers `count` requests, each on a connection of its own and so of any worker. */
async function whoAnswers(port: number, count: number): Promise<string[]> {
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const { status, body } = await get(port, '/');
    names.add(status === 200 ? body : `${status} ${JSON.parse(body).code}`);
  }
  return [...names].sort();
}

/** Requests one after the other on several connections until it is stopped; tells what was not answered 200, and by whom the others. */
function load(port: number, connections = 6) {
  let going = true;
  const failures: string[] = [];
  const by = new Map<string, number>();
  const runs = Array.from({ length: connections }, async () => {
    while (going) {
      const answer = await fetch(`http://127.0.0.1:${port}/`).then(
        async (response) => ({ status: response.status, body: await response.text() }),
        (error: unknown) => ({ status: 0, body: String(error) }),
      );
      if (answer.status === 200) by.set(answer.body, (by.get(answer.body) ?? 0) + 1);
      else failures.push(`${answer.status} ${answer.body}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });
  return {
    by,
    stop: async () => {
      going = false;
      await Promise.all(runs);
      return failures;
    },
  };
}

async function metric(admin: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.slice(line.lastIndexOf(' ') + 1));
}

test('answers change, fail and come back under load, and no request fails', async () => {
  const port = await backends(['127.0.0.11', '127.0.0.12', '127.0.0.13']);
  dns.set(NAME, 'A', ['127.0.0.11', '127.0.0.12'], 1);
  const { http: gateway, admin } = await start(snapshotOf([{ address: NAME, port, weight: 1 }]));
  const running = load(gateway);
  await expect.poll(() => whoAnswers(gateway, 8), PATIENCE).toEqual(['127.0.0.11', '127.0.0.12']);

  dns.set(NAME, 'A', ['127.0.0.12', '127.0.0.13'], 1);
  await expect.poll(() => whoAnswers(gateway, 8), PATIENCE).toEqual(['127.0.0.12', '127.0.0.13']);

  dns.mode = 'servfail';
  await expect.poll(() => metric(admin, 'tidegate_dns_stale_seconds'), PATIENCE).toBeGreaterThan(0.2);
  expect(await whoAnswers(gateway, 8)).toEqual(['127.0.0.12', '127.0.0.13']);
  dns.mode = 'silent';
  expect(await whoAnswers(gateway, 8)).toEqual(['127.0.0.12', '127.0.0.13']);

  dns.mode = 'serve';
  dns.set(NAME, 'A', ['127.0.0.11'], 1);
  await expect.poll(() => whoAnswers(gateway, 8), PATIENCE).toEqual(['127.0.0.11']);
  expect(await metric(admin, 'tidegate_dns_stale_seconds')).toBe(0);
  expect(await running.stop()).toEqual([]);
  expect([...running.by.keys()].sort()).toEqual(['127.0.0.11', '127.0.0.12', '127.0.0.13']);

  // Once a pod, however many workers it has.
  const { names } = (await (await fetch(`http://127.0.0.1:${admin}/debug/config`)).json()) as { names: unknown[] };
  expect(names).toMatchObject([
    { name: NAME, records: 'address', state: 'found', answer: ['127.0.0.11'], backends: ['backend/shop/api'] },
  ]);
  expect(await metric(admin, 'tidegate_dns_names')).toBe(1);
});

test('a request in flight at an endpoint that goes is finished, new ones go elsewhere', async () => {
  const held: http.ServerResponse[] = [];
  const port = await backends(['127.0.0.11'], (request, response) => {
    response.write('begun,');
    if (request.url === '/held') held.push(response);
    else response.end('127.0.0.11');
  });
  await backends(['127.0.0.12'], undefined, port);
  dns.set(NAME, 'A', ['127.0.0.11'], 1);
  const { http: gateway } = await start(snapshotOf([{ address: NAME, port, weight: 1 }]));
  const pending = get(gateway, '/held');
  await expect.poll(() => held.length, PATIENCE).toBe(1);
  dns.set(NAME, 'A', ['127.0.0.12'], 1);
  await expect.poll(() => whoAnswers(gateway, 4), PATIENCE).toEqual(['127.0.0.12']);
  held[0]?.end('ended');
  expect(await pending).toEqual({ status: 200, body: 'begun,ended' });
});

test('the targets of SRV records are endpoints, and change with them', async () => {
  const port = await backends(['127.0.0.11', '127.0.0.12']);
  const other = await backends(['127.0.0.13']);
  dns.set('a.example', 'A', ['127.0.0.11'], 1);
  dns.set('b.example', 'A', ['127.0.0.12'], 1);
  dns.set('c.example', 'A', ['127.0.0.13'], 1);
  const service = (target: string, at: number) => ({ target, port: at, priority: 1, weight: 1 });
  dns.setServices(SERVICE, [service('a.example', port), service('b.example', port)], 1);
  const { http: gateway } = await start(snapshotOf([], { services: SERVICE }));
  // The ports open when the names are known.
  expect((await get(gateway, '/')).status).toBe(200);
  const running = load(gateway);
  await expect.poll(() => whoAnswers(gateway, 8), PATIENCE).toEqual(['127.0.0.11', '127.0.0.12']);
  dns.setServices(SERVICE, [service('b.example', port), service('c.example', other)], 1);
  await expect.poll(() => whoAnswers(gateway, 8), PATIENCE).toEqual(['127.0.0.12', '127.0.0.13']);
  expect(await running.stop()).toEqual([]);
});

test('a name that leads to the own machine is not followed there', async () => {
  const port = await backends(['127.0.0.11']);
  dns.set(NAME, 'A', ['127.0.0.11', '169.254.169.254'], 1);
  const closed = snapshotOf([{ address: NAME, port, weight: 1 }], { allowLocal: undefined });
  const { http: gateway, admin } = await start(closed);
  expect(await whoAnswers(gateway, 4)).toEqual(['503 no-endpoint']);
  const { names } = (await (await fetch(`http://127.0.0.1:${admin}/debug/config`)).json()) as { names: unknown[] };
  expect(names).toMatchObject([{ name: NAME, local: 2 }]);
});

test('a name that does not exist is told to the controller, until it does', async () => {
  const port = await backends(['127.0.0.11']);
  const controller = await scene.controller();
  scene.dataplane(controller.address, { TIDEGATE_DNS_SERVERS: dns.address });
  const stream = await controller.streams.next();
  stream.send(snapshotOf([{ address: NAME, port, weight: 1 }]).full());
  const trouble = await stream.verdicts.next(({ rejected }) => rejected.length > 0);
  expect(trouble).toMatchObject({
    accepted: true,
    rejected: [{ id: 'backend/shop/api', message: `DNS name ${NAME} does not exist` }],
  });
  dns.set(NAME, 'A', ['127.0.0.11'], 1);
  expect((await stream.verdicts.next(({ rejected }) => rejected.length === 0)).accepted).toBe(true);
});

test('a server that is silent when the data plane starts: the ports open all the same, and requests are served once it speaks', async () => {
  const port = await backends(['127.0.0.11']);
  dns.set(NAME, 'A', ['127.0.0.11'], 1);
  dns.mode = 'silent';
  const { http: gateway, admin } = await start(snapshotOf([{ address: NAME, port, weight: 1 }]));
  const { names } = (await (await fetch(`http://127.0.0.1:${admin}/debug/config`)).json()) as { names: unknown[] };
  expect(names).toMatchObject([{ name: NAME, state: 'unknown' }]);
  dns.mode = 'serve';
  await expect.poll(() => whoAnswers(gateway, 1), PATIENCE).toEqual(['127.0.0.11']);
});
