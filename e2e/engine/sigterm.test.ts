/** SIGTERM under load: whatever a client had begun is answered, in every protocol; what it begins after being told to go elsewhere is its own. */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Client,
  connectivityState,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { selfSigned } from './certificate.ts';
import { type RunningGateway, startGateway } from './gateway.ts';

/** How long new connections are accepted after the signal. */
const GRACE_MS = 1_000;
const same = (bytes: Buffer): Buffer => bytes;
const LARGE = Buffer.alloc(100_000, 'x');

let gateway: RunningGateway;
const calls = new Server();
const backend = http.createServer((request, response) => {
  request.resume();
  // Some are under way when the signal comes.
  setTimeout(() => response.end(LARGE), request.url === '/slow' ? 400 : 2);
});
const sockets = new WebSocketServer({ noServer: true });
backend.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (one) => one.on('message', (data) => one.send(String(data)))),
);

beforeAll(async () => {
  backend.keepAliveTimeout = 60_000;
  backend.listen(0, '127.0.0.1');
  await once(backend, 'listening');
  calls.addService(
    {
      unary: {
        path: '/test.v1.Echo/Unary',
        ...{ requestStream: false, responseStream: false },
        ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
      },
    } as never,
    { unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, call.request) },
  );
  const callsPort = await new Promise<number>((resolve, reject) =>
    calls.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
  gateway = await startGateway((backend.address() as AddressInfo).port, callsPort, {
    certificate: selfSigned('sigterm.test'),
    env: { TIDEGATE_DRAIN_GRACE_MS: String(GRACE_MS), TIDEGATE_DRAIN_STREAMS_MS: '1000' },
  });
}, 60_000);
afterAll(async () => {
  await gateway?.stop();
  calls.forceShutdown();
  backend.close();
  backend.closeAllConnections();
});

class Moved extends Error {}
/** From here on no client connects to this gateway any more: its address is no longer among those of the Service. */
let moved = false;
const done = new Map<string, number>();
const lost: string[] = [];
let repeated = 0;

/** How often one request is sent again: each time its client was told to go elsewhere, and there is one gateway. */
const MAX_REPEATS = 3;

/** Asks until it would have to connect anew. */
async function loop(name: string, ask: () => Promise<void>): Promise<void> {
  for (let repeats = 0; ; ) {
    try {
      await ask();
      repeats = 0;
      done.set(name, (done.get(name) ?? 0) + 1);
    } catch (error) {
      if (error instanceof Moved) return;
      // A request that met a GOAWAY on its way: it was not looked at, and is sent again (RFC 9113 section 8.7). Mostly the client itself says so.
      if (String(error).includes('REFUSED_STREAM') && repeats++ < MAX_REPEATS) {
        repeated++;
        continue;
      }
      lost.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      if (moved) return;
    }
  }
}

function http1(name: string, secure: boolean, target: string): Promise<void> {
  const agent = new (secure ? https : http).Agent({ keepAlive: true });
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => {
    if (!moved) return connect(options, done);
    done?.(new Moved(), undefined as never);
    return undefined;
  };
  return loop(name, async () => {
    const request = (secure ? https : http).request({
      ...{ host: '127.0.0.1', port: secure ? gateway.https : gateway.http, path: target, agent },
      ...(secure && { servername: 'sigterm.test', rejectUnauthorized: false }),
    });
    request.end();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    let bytes = 0;
    for await (const chunk of response) bytes += chunk.length;
    if (response.statusCode !== 200 || bytes !== LARGE.length)
      throw new Error(`${response.statusCode}, ${bytes} bytes`);
  });
}

function overHttp2(name: string, url: string, target: string): Promise<void> {
  let session: http2.ClientHttp2Session | null = null;
  return loop(name, async () => {
    if (session === null || session.closed || session.destroyed) {
      if (moved) throw new Moved();
      session = http2.connect(url, { servername: 'sigterm.test', rejectUnauthorized: false });
      session.on('error', () => {});
      await once(session, 'connect');
      // A session that was told to go in the meantime takes no request.
      if (session.closed) return;
    }
    const stream = session.request({ ':path': target });
    let bytes = 0;
    const head = once(stream, 'response');
    head.catch(() => {});
    for await (const chunk of stream) bytes += chunk.length;
    const [{ ':status': status }] = (await head) as [http2.IncomingHttpHeaders & { ':status': number }];
    if (status !== 200 || bytes !== LARGE.length) throw new Error(`${status}, ${bytes} bytes`);
  });
}

function grpc(): Promise<void> {
  const client = new Client(`127.0.0.1:${gateway.h2c}`, credentials.createInsecure());
  return loop('gRPC', () => {
    if (moved && client.getChannel().getConnectivityState(false) !== connectivityState.READY) throw new Moved();
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest('/test.v1.Echo/Unary', same, same, LARGE, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }).finally(() => client.close());
}

/** Sends one message after the other, each after the answer to the one before, until the gateway ends the connection. */
async function webSocket(): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.http}/`);
  await once(socket, 'open');
  const closed = once(socket, 'close');
  socket.onmessage = () => {
    done.set('WebSocket', (done.get('WebSocket') ?? 0) + 1);
    setTimeout(() => socket.readyState === WebSocket.OPEN && socket.send('again'), 5);
  };
  socket.send('first');
  await closed;
}

test('nothing of what was begun is lost', async () => {
  const clients = [
    ...Array.from({ length: 8 }, (_, i) => http1('HTTP/1.1', false, i === 0 ? '/slow' : '/')),
    ...Array.from({ length: 8 }, (_, i) => http1('HTTPS', true, i === 0 ? '/slow' : '/')),
    ...Array.from({ length: 8 }, (_, i) =>
      overHttp2('h2c', `http://127.0.0.1:${gateway.h2c}`, i === 0 ? '/slow' : '/'),
    ),
    ...Array.from({ length: 8 }, (_, i) =>
      overHttp2('h2', `https://127.0.0.1:${gateway.https}`, i === 0 ? '/slow' : '/'),
    ),
    ...Array.from({ length: 4 }, () => grpc()),
    ...Array.from({ length: 4 }, () => webSocket()),
  ];
  await sleep(1_000);
  const before = new Map(done);
  process.kill(gateway.pid, 'SIGTERM');
  await sleep(GRACE_MS * 0.7);
  moved = true;
  await Promise.all(clients);
  console.log(
    `sigterm: ${[...done].map(([name, count]) => `${name} ${before.get(name)} + ${count - (before.get(name) ?? 0)}`).join(', ')}; ${repeated} sent again, ${lost.length} lost`,
  );
  expect(lost).toEqual([]);
  expect([...done.keys()].sort()).toEqual(['HTTP/1.1', 'HTTPS', 'WebSocket', 'gRPC', 'h2', 'h2c']);
  for (const [name, count] of done) expect(count, name).toBeGreaterThan(before.get(name) ?? 0);
}, 60_000);
