/** Endpoints that can't be connected to do not hold requests up: others are connected to beside them. */
import http2 from 'node:http2';
import type net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  answering,
  deafPort,
  eventually,
  OK,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';

const running: { close(): unknown }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

async function fine(): Promise<ScriptedBackend> {
  const backend = await new ScriptedBackend(answering(OK)).listen();
  running.push(backend);
  return backend;
}

/** Nothing answers there; the kernel drops what asks for a connection. */
async function deaf(): Promise<number> {
  const started = await deafPort();
  running.push(started);
  return started.port;
}

async function gatewayTo(ports: readonly number[], settings: TestProxySettings = {}): Promise<TestProxy> {
  const proxy = await new TestProxy(ports, settings).listen();
  running.unshift(proxy);
  return proxy;
}

const namesOf = (proxy: TestProxy): string[] =>
  proxy.finished.map(({ endpoint }) => endpoint.split(':').at(-1) as string);

describe('an endpoint that does not answer', () => {
  test('is waited for 250 ms, then another one is asked; later requests do not wait for it at all', async () => {
    const [dead, good] = [await deaf(), await fine()];
    const proxy = await gatewayTo([dead, good.port]);
    const client = await proxy.client();
    client.send(GET);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.advance(200);
    expect(good.connections).toHaveLength(0);
    proxy.advance(200);
    await client.until('\r\n\r\nok');
    for (let i = 2; i <= 6; i++) {
      client.send(GET);
      await eventually(() => client.received.split('\r\n\r\nok').length > i, `answer ${i}`);
    }
    expect(namesOf(proxy)).toEqual(Array(6).fill(String(good.port)));
    expect(proxy.finished[0]?.attempts).toBe(2);
    // What is still connected to counts there until it ends.
    expect(proxy.upstream.states().map(({ active }) => active)).toEqual([1, 0]);
    proxy.advance(5_000);
    await eventually(() => proxy.upstream.states().every(({ active }) => active === 0));
    expect(proxy.upstream.stats.connections).toBe(1);
  });

  test('is found out by outlier detection', async () => {
    const [dead, good] = [await deaf(), await fine()];
    const passive = {
      consecutiveConnectErrors: 1,
      intervalMs: 5_000,
      baseEjectionMs: 30_000,
      maxEjectionMs: 30_000,
      maxEjectedPercent: 50,
    };
    const proxy = await gatewayTo([dead, good.port], { backend: { health: { passive, panicPercent: 0 } } });
    const client = await proxy.client();
    client.send(GET);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.advance(400);
    await client.until('\r\n\r\nok');
    proxy.advance(5_000);
    await eventually(() => proxy.upstream.states()[0]?.blocked[0] === 'ejected');
  });

  test('that answers after all takes the request, if the other one is no faster', async () => {
    const late = await deafPort();
    let closed = false;
    running.push({ close: () => closed || late.close() });
    const other = await deaf();
    const proxy = await gatewayTo([late.port, other]);
    const client = await proxy.client();
    client.send(GET);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.advance(400);
    await eventually(() => proxy.upstream.stats.connections === 2);
    // Its port is free now, and the kernel asks again.
    closed = true;
    await late.close();
    const revived = await new ScriptedBackend(answering(OK)).listen(late.port);
    running.push(revived);
    await client.until('\r\n\r\nok');
    expect(namesOf(proxy)).toEqual([String(late.port)]);
  });

  test('and no other one: the connect time-out ends it, for all of them', async () => {
    const proxy = await gatewayTo([await deaf(), await deaf()]);
    const client = await proxy.client();
    client.send(GET);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.advance(400);
    await eventually(() => proxy.upstream.stats.connections === 2);
    proxy.advance(5_000);
    await client.until('HTTP/1.1 50');
    await eventually(() => proxy.upstream.stats.active === 0 && proxy.upstream.stats.connections === 0);
  });

  test('while the client leaves: nothing is left behind', async () => {
    const [dead, good] = [await deaf(), await deaf()];
    const proxy = await gatewayTo([dead, good]);
    const client = await proxy.client();
    client.send(GET);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.advance(400);
    await eventually(() => proxy.upstream.stats.connections === 2);
    client.socket.resetAndDestroy();
    await eventually(() => proxy.finished.length === 1);
    proxy.advance(5_000);
    await eventually(() => proxy.upstream.stats.active === 0 && proxy.upstream.stats.connections === 0);
  });

  test('by HTTP/2 likewise', async () => {
    const server = http2.createServer((_request, response) => response.end('ok'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    running.push(server);
    const port = (server.address() as net.AddressInfo).port;
    const proxy = await gatewayTo([await deaf(), port], { backend: { protocol: 'http2' } });
    const client = await proxy.client();
    client.send(GET);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.advance(400);
    await client.until('ok');
    client.send(GET);
    await eventually(() => proxy.finished.length === 2);
    expect(namesOf(proxy)).toEqual([String(port), String(port)]);
  });
});

test('a name with an IPv6 address that is refused, and an IPv4 one that serves: no request is lost', async () => {
  const good = await fine();
  const proxy = await gatewayTo([good.port, good.port], {});
  const address = (one: string) => ({ address: one, port: good.port, weight: 1, hostName: 'dual.test' });
  proxy.upstream.update(proxy.backendResource(), {
    kind: 'endpoints',
    id: 'endpoints/test/plain',
    endpoints: [address('127.0.0.1'), address('::1')],
  });
  for (let i = 0; i < 6; i++) {
    const client = await proxy.client();
    client.send(GET);
    await client.until('\r\n\r\nok');
  }
  expect(proxy.finished.map(({ status }) => status)).toEqual(Array(6).fill(200));
});
