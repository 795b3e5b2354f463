/** Endpoints that go while requests are on their way to them, on real sockets. */
import { afterEach, expect, test } from 'vitest';
import {
  answering,
  eventually,
  OK,
  type Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function backend(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
  const started = await new ScriptedBackend(script).listen();
  running.push(started);
  return started;
}

async function gatewayTo(to: ScriptedBackend, settings: TestProxySettings = {}): Promise<TestProxy> {
  const started = await new TestProxy([to.port], settings).listen();
  running.unshift(started);
  return started;
}

async function ask(gateway: TestProxy, path: string): Promise<Peer> {
  const client = await gateway.client();
  client.send(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n`);
  return client;
}

test('who waits for a connection to one that goes is served by another, who has one is finished there', async () => {
  const [old, fresh] = [await backend(), await backend(answering(OK))];
  const gateway = await gatewayTo(old, { pool: { maxConnections: 1 } });
  const first = await ask(gateway, '/first');
  const peer = await old.connection();
  await peer.until('/first');
  const waiting = [await ask(gateway, '/a'), await ask(gateway, '/b')];
  await eventually(() => gateway.upstream.stats.pending === 2);
  gateway.update([fresh.port]);
  for (const client of waiting) await client.until('ok');
  expect(gateway.finished.map(({ endpoint }) => endpoint)).toEqual(Array(2).fill(`127.0.0.1:${fresh.port}`));
  peer.send(OK);
  await first.until('ok');
  expect(gateway.finished[2]?.endpoint).toBe(`127.0.0.1:${old.port}`);
  await peer.end();
  expect(gateway.upstream.stats).toMatchObject({ active: 0, pending: 0 });
});

test('who waits for a connection to one that is blocked is served by another, if one serves', async () => {
  const [old, fresh] = [await backend(), await backend(answering(OK))];
  const gateway = await gatewayTo(old, { pool: { maxConnections: 1 } });
  const names = [old, fresh].map(({ port }) => `127.0.0.1:${port}`);
  gateway.update([old.port, fresh.port]);
  gateway.upstream.view({ endpoints: null, unhealthy: names.slice(1) });
  await ask(gateway, '/first');
  const peer = await old.connection();
  await peer.until('/first');
  const waiting = [await ask(gateway, '/a'), await ask(gateway, '/b')];
  await eventually(() => gateway.upstream.stats.pending === 2);
  gateway.upstream.view({ endpoints: null, unhealthy: names });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(gateway.upstream.stats.pending).toBe(2);
  gateway.upstream.view({ endpoints: null, unhealthy: [] });
  gateway.upstream.view({ endpoints: null, unhealthy: names.slice(0, 1) });
  for (const client of waiting) await client.until('ok');
  expect(gateway.finished.map(({ endpoint }) => endpoint)).toEqual(Array(2).fill(names[1]));
  expect(gateway.upstream.stats).toMatchObject({ active: 1, pending: 0 });
});

test('where nothing comes in its place, who waits is served by the one that goes', async () => {
  const old = await backend();
  const gateway = await gatewayTo(old, { pool: { maxConnections: 1 } });
  const clients = [await ask(gateway, '/first'), await ask(gateway, '/second')];
  const peer = await old.connection();
  await eventually(() => gateway.upstream.stats.pending === 1);
  gateway.update([]);
  peer.send(OK);
  await peer.until('/second');
  peer.send(OK);
  for (const client of clients) await client.until('ok');
});

test('who is being connected to one that goes is served by another, without waiting for it', async () => {
  const [old, fresh] = [await backend(), await backend(answering(OK))];
  const gateway: TestProxy = await gatewayTo(old, {
    handler: (_exchange, go) => {
      go();
      // The endpoints change between the choice and the connection.
      gateway.update([fresh.port]);
    },
  });
  await (await ask(gateway, '/a')).until('ok');
  expect(gateway.finished[0]?.endpoint).toBe(`127.0.0.1:${fresh.port}`);
  expect(old.connections.every((peer) => peer.received === '')).toBe(true);
  await eventually(() => gateway.upstream.stats.connections === 1);
  expect(gateway.upstream.stats).toMatchObject({ active: 0, pending: 0 });
});

test('a kept connection that its endpoint closed as it went: repeated at another', async () => {
  const fresh = await backend(answering(OK));
  const old = await backend((peer) => {
    let count = 0;
    peer.socket.on('data', () => {
      if (count++ === 0) peer.send(OK);
      else {
        // The news that it goes comes with the end of the connection.
        gateway.update([fresh.port]);
        peer.destroy();
      }
    });
  });
  const gateway: TestProxy = await gatewayTo(old);
  const client = await gateway.client();
  client.send('GET /1 HTTP/1.1\r\nhost: a\r\n\r\n');
  await client.until('ok');
  client.send('GET /2 HTTP/1.1\r\nhost: a\r\n\r\n');
  await client.until('ok', client.received.length);
  await eventually(() => gateway.finished.length === 2);
  expect(gateway.finished[1]).toMatchObject({ status: 200, endpoint: `127.0.0.1:${fresh.port}` });
});
