/** PROXY protocol to backends: the header comes first, and a connection serves the client whose address it bears. */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  answering,
  eventually,
  OK,
  type Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../../engine.fixture.ts';
import { type Pair, TestCertificates } from './certificates.fixture.ts';

const running: { close(): unknown }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

let certificates: TestCertificates;
let server: Pair;
beforeAll(() => {
  certificates = new TestCertificates();
  server = certificates.issue('server', ['IP:127.0.0.1']);
});
afterAll(() => certificates.remove());

async function scene(settings: TestProxySettings): Promise<{ backend: ScriptedBackend; proxy: TestProxy }> {
  const backend = await new ScriptedBackend(answering(OK)).listen();
  const proxy = await new TestProxy([backend.port], settings).listen();
  running.push(proxy, backend);
  return { backend, proxy };
}

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

async function ask(client: Peer): Promise<void> {
  const before = client.received.length;
  client.send(GET);
  await client.until('\r\n\r\nok', before);
}

const headerOf = (proxy: TestProxy, client: Peer): string =>
  `PROXY TCP4 127.0.0.1 127.0.0.1 ${client.socket.localPort} ${proxy.port}\r\n`;

test('each client has connections of its own, and keeps them', async () => {
  const { backend, proxy } = await scene({ backend: { proxyProtocol: 'v1' } });
  const [one, two] = [await proxy.client(), await proxy.client()];
  for (const client of [one, two, one, two, one]) await ask(client);
  expect(backend.connections).toHaveLength(2);
  for (const [i, client] of [one, two].entries()) {
    const { received } = await backend.connection(i);
    expect(received.startsWith(`${headerOf(proxy, client)}GET / HTTP/1.1\r\n`)).toBe(true);
    expect(received.split('PROXY').length).toBe(2);
  }
  expect(backend.connections[0]?.received.split('GET').length).toBe(4);
});

test('where no further connection may be opened, an idle one of another client makes room, and is not used', async () => {
  const { backend, proxy } = await scene({ backend: { proxyProtocol: 'v1' }, pool: { maxConnections: 1 } });
  const [one, two] = [await proxy.client(), await proxy.client()];
  for (const client of [one, two, one]) await ask(client);
  expect(backend.connections).toHaveLength(3);
  expect(backend.connections.map(({ received }) => received.split('\r\n')[0])).toEqual(
    [one, two, one].map((client) => headerOf(proxy, client).trimEnd()),
  );
});

test('who waits for the one connection gets his own when it is free', async () => {
  const backend = await new ScriptedBackend().listen();
  const proxy = await new TestProxy([backend.port], {
    backend: { proxyProtocol: 'v2' },
    pool: { maxConnections: 1 },
  }).listen();
  running.push(proxy, backend);
  const [one, two] = [await proxy.client(), await proxy.client()];
  one.send(GET);
  const first = await backend.connection(0);
  await first.until('\r\n\r\n');
  two.send(GET);
  await eventually(() => proxy.upstream.stats.pending === 1);
  first.send(OK);
  await one.until('ok');
  const second = await backend.connection(1);
  await second.until('host: a');
  second.send(OK);
  await two.until('ok');
  expect(first.closed || first.ended).toBe(true);
  expect(Buffer.from(second.received.slice(0, 16), 'latin1').toString('hex')).toBe('0d0a0d0a000d0a515549540a2111000c');
  expect(second.received.charCodeAt(24) * 256 + second.received.charCodeAt(25)).toBe(two.socket.localPort);
});

test('a client that is not connected itself is named without a port', async () => {
  const { backend, proxy } = await scene({
    backend: { proxyProtocol: 'v1' },
    listener: { trustedHops: 1 },
  });
  const client = await proxy.client();
  client.send('GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.7\r\n\r\n');
  await client.until('ok');
  expect(backend.connections[0]?.received).toMatch(/^PROXY TCP4 203\.0\.113\.7 127\.0\.0\.1 0 \d+\r\n/);
});

test('it comes before TLS, in the clear', async () => {
  let header = '';
  const raw = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('readable', () => {
      for (let byte = socket.read(1); byte !== null; byte = socket.read(1)) {
        header += String(byte);
        if (header.endsWith('\r\n')) break;
      }
      const secure = new tls.TLSSocket(socket, { isServer: true, ...server });
      secure.on('error', () => {});
      secure.on('data', () => secure.write(OK));
    });
  });
  raw.listen(0, '127.0.0.1');
  await once(raw, 'listening');
  const trust = certificates.trust();
  const proxy = await new TestProxy([(raw.address() as net.AddressInfo).port], {
    backend: { proxyProtocol: 'v1', tls: { trust: trust.id } },
    materials: { certificate: null, trust },
  }).listen();
  running.push(proxy, raw);
  const client = await proxy.client();
  await ask(client);
  await ask(client);
  expect(header).toBe(headerOf(proxy, client));
});
