/** What stands behind the gateway, in a thread of its own: bodies both ways, events, WebSockets that send back what they get, gRPC. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { WebSocketServer } from 'ws';

export const BIG = Buffer.alloc(1024 * 1024, 'x');
/** Of `/events`: this many events, so far apart. */
export const EVENTS = 50;
const EVENT_GAP_MS = 10;
/** Of a streamed call. */
export const MESSAGES = 20;

export const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, responseStream: boolean) => ({
  path: `/test.v1.Echo/${name}`,
  ...{ requestStream: false, responseStream },
  ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
});

export interface Backend {
  readonly port: number;
  readonly callsPort: number;
  close(): Promise<unknown>;
}

export async function startBackend(): Promise<Backend> {
  const thread = new Worker(new URL(import.meta.url));
  const [ports] = (await once(thread, 'message')) as [{ port: number; callsPort: number }];
  return { ...ports, close: () => thread.terminate() };
}

async function serve(): Promise<{ port: number; callsPort: number }> {
  const server = http.createServer(async (request, response) => {
    if (request.url === '/events') return events(response);
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    response.end(request.url === '/big' ? BIG : `${bytes} bytes`);
  });
  // Longer than any stall of the machine: a connection it closes as idle costs a POST, which nobody repeats.
  server.keepAliveTimeout = 300_000;
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (one) =>
      one.on('message', (data, isBinary) => one.send(data, { binary: isBinary })),
    ),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const calls = new Server();
  calls.addService({ unary: method('Unary', false), server: method('Server', true) } as never, {
    unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, call.request),
    server: (call: ServerWritableStream<Buffer, Buffer>) => {
      for (let i = 0; i < MESSAGES; i++) call.write(BIG.subarray(0, 8192));
      call.end();
    },
  });
  const callsPort = await new Promise<number>((resolve, reject) =>
    calls.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
  return { port: (server.address() as AddressInfo).port, callsPort };
}

function events(response: http.ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let sent = 0;
  const timer = setInterval(() => {
    response.write(`id: ${sent}\ndata: ${'e'.repeat(200)}\n\n`);
    if (++sent < EVENTS) return;
    clearInterval(timer);
    response.end();
  }, EVENT_GAP_MS);
  response.on('close', () => clearInterval(timer));
}

if (!isMainThread) parentPort?.postMessage(await serve());
