/**
 * Full load of every protocol for some minutes: what resident memory does, and whether anything fails. One worker of the data plane;
 * `make soak ARGS="--minutes 10"`.
 */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { startGateway } from '../engine/gateway.ts';

const minutes = Number(process.argv[process.argv.indexOf('--minutes') + 1] ?? 10) || 10;
const same = (bytes: Buffer): Buffer => bytes;
const big = Buffer.alloc(1024 * 1024, 'x');
const path = (name: string): string => `/test.v1.Echo/${name}`;
const method = (name: string, responseStream: boolean) => ({
  path: path(name),
  ...{ requestStream: false, responseStream },
  ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
});

const backend = http.createServer(async (request, response) => {
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.end(request.url === '/big' ? big : `${bytes} bytes`);
});
// Longer than any stall of the machine: a connection it closes as idle costs a POST, which nobody repeats.
backend.keepAliveTimeout = 300_000;
backend.listen(0, '127.0.0.1');
await once(backend, 'listening');
const calls = new Server();
calls.addService({ unary: method('Unary', false), server: method('Server', true) } as never, {
  unary: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, call.request),
  server: (call: ServerWritableStream<Buffer, Buffer>) => {
    for (let i = 0; i < 20; i++) call.write(big.subarray(0, 8192));
    call.end();
  },
});
const callsPort = await new Promise<number>((resolve, reject) =>
  calls.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  ),
);
const gateway = await startGateway((backend.address() as AddressInfo).port, callsPort);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const client = new Client(`127.0.0.1:${gateway.h2c}`, credentials.createInsecure(), { 'grpc.enable_retries': 0 });
const counts = new Map<string, number>();
const failures: string[] = [];
let running = true;

/** `of` loops side by side. */
function load(name: string, of: number, once: () => Promise<void>): Promise<void>[] {
  return Array.from({ length: of }, async () => {
    while (running) {
      try {
        await once();
        counts.set(name, (counts.get(name) ?? 0) + 1);
      } catch (error) {
        if (running) failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  });
}

function ask(method: string, target: string, body: Buffer | null, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: gateway.http, host: '127.0.0.1', method, path: target, agent }, (response) => {
      let got = 0;
      response.on('data', (chunk: Buffer) => {
        got += chunk.length;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200 && (bytes < 0 || got === bytes)) resolve();
        else reject(new Error(`${response.statusCode} with ${got} bytes`));
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

const session = http2.connect(`http://127.0.0.1:${gateway.h2c}`);
async function askHttp2(): Promise<void> {
  const stream = session.request({ ':path': '/big' });
  let got = 0;
  stream.on('data', (chunk: Buffer) => {
    got += chunk.length;
  });
  await once(stream, 'end');
  if (got !== big.length) throw new Error(`${got} bytes`);
}

function unary(): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path('Unary'), same, same, big.subarray(0, 500), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

function streamed(): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = client.makeServerStreamRequest(path('Server'), same, same, Buffer.from('x'));
    let got = 0;
    call.on('data', () => got++);
    call.on('error', reject);
    call.on('end', () => (got === 20 ? resolve() : reject(new Error(`${got} messages`))));
  });
}

const startedAt = performance.now();
const marks = [0, ...[0.5, 1, 2, 5, 10, 20, 30, 60].filter((mark) => mark < minutes), minutes];
const curve: number[] = [];
const loops: Promise<void>[] = [];
for (const mark of marks) {
  await sleep(Math.max(0, startedAt + mark * 60_000 - performance.now()));
  const mib = gateway.residentMiB();
  curve.push(mib);
  const total = [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
  console.log(`${String(mark).padStart(4)} min  ${mib.toFixed(1)} MiB  ${failures.length} failed  ${total}`);
  if (mark !== 0) continue;
  loops.push(
    ...load('HTTP/1.1 small', 16, () => ask('GET', '/', null, -1)),
    ...load('HTTP/1.1 1 MiB down', 2, () => ask('GET', '/big', null, big.length)),
    ...load('HTTP/1.1 1 MiB up', 2, () => ask('POST', '/', big, -1)),
    ...load('HTTP/2 1 MiB down', 2, askHttp2),
    ...load('gRPC unary', 8, unary),
    ...load('gRPC server streaming', 2, streamed),
  );
}
running = false;
await Promise.race([Promise.all(loops), sleep(5000)]);
client.close();
session.destroy();
agent.destroy();
await gateway.stop();
calls.forceShutdown();
backend.close();
backend.closeAllConnections();

// The first minute is warm-up.
const warm = curve[marks.findIndex((mark) => mark >= 1)] ?? curve.at(-1) ?? 0;
const grown = (curve.at(-1) ?? 0) - warm;
console.log(`after warm-up: ${grown >= 0 ? '+' : ''}${grown.toFixed(1)} MiB`);
for (const failure of failures.slice(0, 10)) console.log(failure);
process.exitCode = failures.length > 0 || grown > Math.max(32, warm * 0.2) ? 1 : 0;
