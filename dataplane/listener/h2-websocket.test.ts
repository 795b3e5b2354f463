/** RFC 8441 between node:http2 and a WebSocket server of HTTP/1.1. */
import { createHash } from 'node:crypto';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { eventually, TestProxy, type TestProxySettings } from '../engine.fixture.ts';
import { LongStreams } from '../upstream/streams.ts';

const running: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});

interface Server {
  readonly port: number;
  readonly requests: http.IncomingMessage[];
  readonly sockets: Duplex[];
}

/** Accepts an upgrade and echoes; `key`: what it takes the client's key for. */
async function echoServer(answer?: (key: string) => string, greeting = 'hello'): Promise<Server> {
  const requests: http.IncomingMessage[] = [];
  const sockets: Duplex[] = [];
  const server = http.createServer((_request, response) => response.writeHead(426).end('upgrade'));
  server.on('upgrade', (request, socket) => {
    requests.push(request);
    sockets.push(socket);
    const key = answer?.(request.headers['sec-websocket-key'] ?? '') ?? request.headers['sec-websocket-key'];
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\nsec-websocket-protocol: chat\r\n\r\n${greeting}`,
      'latin1',
    );
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  running.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, requests, sockets };
}

async function connect(server: Server, settings: TestProxySettings = {}) {
  const gateway = await new TestProxy([server.port], { protocol: 'h2c', ...settings }).listen();
  running.unshift(() => gateway.close());
  const session = http2.connect(`http://127.0.0.1:${gateway.port}`);
  session.on('error', () => {});
  running.unshift(() => session.destroy());
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  return { gateway, session };
}

function open(session: http2.ClientHttp2Session) {
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': '/chat?x=1',
      ':authority': 'a',
      'sec-websocket-version': '13',
      'sec-websocket-protocol': 'chat',
    },
    { endStream: false },
  );
  const seen = {
    headers: {} as http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader,
    text: '',
    ended: false,
    closed: false,
  };
  stream.setEncoding('latin1');
  stream.on('response', (headers) => {
    seen.headers = headers;
  });
  stream.on('data', (text: string) => {
    seen.text += text;
  });
  stream.on('end', () => {
    seen.ended = true;
  });
  stream.on('close', () => {
    seen.closed = true;
  });
  stream.on('error', () => {});
  return { stream, seen };
}

test('is offered, reaches the backend as an upgrade, and carries bytes both ways', async () => {
  const server = await echoServer();
  const { gateway, session } = await connect(server);
  expect(session.remoteSettings.enableConnectProtocol).toBe(true);
  const { stream, seen } = open(session);
  await eventually(() => seen.text === 'hello');
  expect(seen.headers).toMatchObject({ ':status': 200, 'sec-websocket-protocol': 'chat' });
  expect(seen.headers['sec-websocket-accept'] ?? seen.headers.upgrade ?? seen.headers.connection).toBeUndefined();
  expect(server.requests[0]).toMatchObject({ method: 'GET', url: '/chat?x=1', headers: { upgrade: 'websocket' } });
  expect(server.requests[0]?.headers['sec-websocket-version']).toBe('13');
  const big = 'x'.repeat(3 * 1024 * 1024);
  stream.write(big);
  await eventually(() => seen.text.length === big.length + 5);
  // The bytes of a tunnel have no time-out of a body.
  gateway.advance(120_000);
  stream.end('bye');
  await eventually(() => seen.closed);
  expect(seen.text.endsWith('bye')).toBe(true);
  expect([seen.ended, stream.rstCode]).toEqual([true, 0]);
  expect(gateway.exchanges[0]).toMatchObject({ method: 'GET', protocol: 'HTTP/2', path: '/chat' });
  await eventually(() => gateway.finished.length === 1);
  expect(gateway.listener.stats.inFlight).toBe(0);
});

test('the client resets: the backend sees the end; the backend closes: so does the client', async () => {
  const server = await echoServer();
  const { gateway, session } = await connect(server);
  const first = open(session);
  await eventually(() => first.seen.text === 'hello');
  let closed = false;
  server.sockets[0]?.on('close', () => {
    closed = true;
  });
  first.stream.close(http2.constants.NGHTTP2_CANCEL);
  await eventually(() => closed);
  const second = open(session);
  await eventually(() => second.seen.text === 'hello');
  server.sockets[1]?.destroy();
  await eventually(() => second.seen.ended);
  second.stream.end();
  await eventually(() => second.seen.closed);
  await eventually(() => gateway.finished.length === 2);
});

test('a backend that did not take our key, or will not upgrade', async () => {
  const wrong = await connect(await echoServer(() => 'another key'));
  const refused = open(wrong.session);
  await eventually(() => refused.seen.headers[':status'] === 502);
  const server = await echoServer();
  const { session, gateway } = await connect(server, {
    handler: (exchange, go) => {
      exchange.headers.remove('upgrade');
      go();
    },
  });
  const plain = open(session);
  await eventually(() => plain.seen.headers[':status'] === 426);
  await eventually(() => plain.seen.closed);
  expect(gateway.finished).toMatchObject([{ status: 426 }]);
});

test('when the gateway goes the client gets a close frame that says 1001 behind the last message, and its answer reaches the backend', async () => {
  const server = await echoServer(undefined, '\x81\x02hi');
  const ends: (() => void)[] = [];
  const streams = new LongStreams({ random: () => 0, setTimer: (run) => ends.push(run) });
  const { gateway, session } = await connect(server, { forward: { streams } });
  const { stream, seen } = open(session);
  await eventually(() => seen.text === '\x81\x02hi');
  let received = '';
  server.sockets[0]?.on('data', (bytes: Buffer) => {
    received += bytes.toString('latin1');
  });
  streams.drain(0);
  ends[0]?.();
  await eventually(() => seen.text === '\x81\x02hi\x88\x02\x03\xe9');
  // Masked by zeros. It comes back from this server, and goes no further.
  stream.end('\x88\x82\0\0\0\0\x03\xe9', 'latin1');
  await eventually(() => seen.closed);
  expect(received).toBe('\x88\x82\0\0\0\0\x03\xe9');
  expect([seen.text, stream.rstCode]).toEqual(['\x81\x02hi\x88\x02\x03\xe9', 0]);
  await eventually(() => gateway.finished.length === 1);
  expect(gateway.finished[0]?.code).toBe('drained');
});
