/** When kept connections end: by number of requests, by age, idle, half-closed, and with an endpoint that is blocked. */
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

const running: { close(): unknown }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function scene(
  settings: TestProxySettings,
): Promise<{ backend: ScriptedBackend; proxy: TestProxy; client: Peer }> {
  const backend = await new ScriptedBackend(answering(OK)).listen();
  const proxy = await new TestProxy([backend.port], settings).listen();
  running.push(proxy, backend);
  return { backend, proxy, client: await proxy.client() };
}

async function ask(client: Peer, method = 'GET'): Promise<void> {
  const before = client.received.length;
  client.send(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`);
  await client.until('\r\n\r\nok', before);
}

test('a connection ends after as many requests as it may serve', async () => {
  const { backend, client } = await scene({ pool: { maxRequestsPerConnection: 2 } });
  for (let i = 0; i < 5; i++) await ask(client);
  expect(backend.connections.map(({ received }) => received.split('GET').length - 1)).toEqual([2, 2, 1]);
});

test('a connection that is too old ends, idle or not', async () => {
  const { backend, proxy, client } = await scene({ pool: { maxConnectionAgeMs: 10_000 } });
  await ask(client);
  proxy.advance(8_900);
  await ask(client);
  expect(backend.connections).toHaveLength(1);
  proxy.advance(1_200);
  await eventually(() => backend.connections[0]?.ended === true || backend.connections[0]?.closed === true);
  await ask(client);
  expect(backend.connections).toHaveLength(2);
});

test('ages differ, by up to a tenth', async () => {
  const { proxy } = await scene({ pool: { maxConnectionAgeMs: 10_000 } });
  const pools = Array.from({ length: 50 }, () => proxy.upstream.pick({} as never, null)?.ageLimitMs ?? 0);
  expect(Math.min(...pools)).toBeGreaterThan(9_000);
  expect(Math.max(...pools)).toBeLessThanOrEqual(10_000);
  expect(new Set(pools).size).toBeGreaterThan(40);
});

test('who waits in the queue is told so in time', async () => {
  const backend = await new ScriptedBackend().listen();
  const proxy = await new TestProxy([backend.port], { pool: { maxConnections: 1, pendingTimeoutMs: 300 } }).listen();
  running.push(proxy, backend);
  const [one, two] = [await proxy.client(), await proxy.client()];
  one.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await (await backend.connection(0)).until('\r\n\r\n');
  two.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await eventually(() => proxy.upstream.stats.pending === 1);
  proxy.advance(400);
  expect(await two.until('\r\n\r\n')).toContain('x-code: upstream-overflow');
});

test.each([
  ['half-closed', (peer: Peer) => peer.socket.end()],
  ['reset', (peer: Peer) => peer.socket.resetAndDestroy()],
  ['spoken over', (peer: Peer) => peer.send('HTTP/1.1 408 Request Timeout\r\n\r\n')],
])('an idle connection that the endpoint has %s is used no more, not even for a POST', async (_what, end) => {
  const { backend, proxy, client } = await scene({});
  await ask(client);
  end(await backend.connection(0));
  await eventually(() => proxy.upstream.stats.connections === 0);
  await ask(client, 'POST');
  expect(backend.connections).toHaveLength(2);
});

test('idle connections of an endpoint that is taken out close with it; once it is back it gets a new one', async () => {
  const { backend, proxy, client } = await scene({});
  await ask(client);
  const name = `127.0.0.1:${backend.port}`;
  proxy.upstream.view({ endpoints: null, unhealthy: [name] });
  await eventually(() => proxy.upstream.stats.connections === 0);
  proxy.upstream.view({ endpoints: null, unhealthy: [] });
  await ask(client);
  expect(backend.connections).toHaveLength(2);
});
