/** Bodies far larger than the gateway's memory, with a slow reader on either side, over HTTP/1.1 and HTTP/2. TIDEGATE_ENGINE_GIB=2 for the long form. */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './gateway.ts';

const MIB = 1024 * 1024;
const SIZE = Math.round(Number(process.env.TIDEGATE_ENGINE_GIB ?? '0.25') * 1024) * MIB;
/** Resident memory may grow by so much. */
const GROWTH_MIB = 64;
/** What the kernel's buffers and HTTP/2 windows of two connections may hold. */
const HELD = 64 * MIB;
const BLOCK = Buffer.alloc(256 * 1024, 'tide');

let gateway: RunningGateway;
let sent = 0;
/** The backend reads no further than this while it waits. */
let read: Promise<void> = Promise.resolve();
const backend = http.createServer(async (request, response) => {
  if (request.method === 'GET') {
    response.setHeader('content-length', SIZE);
    await send(response);
    return;
  }
  await read;
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.end(String(bytes));
});

beforeAll(async () => {
  backend.listen(0, '127.0.0.1');
  await once(backend, 'listening');
  gateway = await startGateway((backend.address() as AddressInfo).port, 1);
  // What one pass of each takes at all.
  await (await fetch(`http://127.0.0.1:${gateway.http}/`, { method: 'POST', body: 'x' })).text();
});
afterAll(async () => {
  await gateway?.stop();
  backend.close();
  backend.closeAllConnections();
});

/** `SIZE` bytes, as fast as they are taken. */
async function send(to: Writable): Promise<void> {
  sent = 0;
  to.on('error', () => {});
  while (sent < SIZE) {
    sent += BLOCK.length;
    if (!to.write(BLOCK)) await once(to, 'drain');
  }
  to.end();
}

/** Bytes that were sent when nothing moves any more. */
async function standstill(): Promise<number> {
  for (let before = -1; before !== sent; await sleep(500)) before = sent;
  return sent;
}

async function count(from: Readable): Promise<number> {
  let bytes = 0;
  from.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(from, 'end');
  return bytes;
}

/** Samples while `run` lasts. */
async function growth(run: () => Promise<void>): Promise<number> {
  const before = gateway.residentMiB();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, gateway.residentMiB());
  }, 50);
  await run();
  clearInterval(timer);
  console.log(`engine: ${before.toFixed(0)} MiB resident, at most ${(most - before).toFixed(0)} more`);
  return most - before;
}

test('HTTP/1.1 download, a client that does not read at first', async () => {
  const grown = await growth(async () => {
    const socket = net.connect(gateway.http, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    await once(socket, 'readable');
    expect(await standstill()).toBeLessThan(HELD);
    expect(await count(socket)).toBeGreaterThan(SIZE);
  });
  expect(grown).toBeLessThan(GROWTH_MIB);
}, 300_000);

test('HTTP/1.1 upload, a backend that does not read at first', async () => {
  const grown = await growth(async () => {
    let go: () => void = () => {};
    read = new Promise((resolve) => {
      go = resolve;
    });
    const request = http.request({ port: gateway.http, host: '127.0.0.1', method: 'POST', path: '/' });
    request.setHeader('content-length', SIZE);
    const sending = send(request);
    expect(await standstill()).toBeLessThan(HELD);
    go();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    await sending;
    let text = '';
    for await (const chunk of response) text += chunk;
    expect(Number(text)).toBe(SIZE);
  });
  expect(grown).toBeLessThan(GROWTH_MIB);
}, 300_000);

test('HTTP/2 download and upload, the same', async () => {
  const session = http2.connect(`http://127.0.0.1:${gateway.h2c}`);
  const grown = await growth(async () => {
    const down = session.request({ ':path': '/' });
    await once(down, 'response');
    expect(await standstill()).toBeLessThan(HELD);
    expect(await count(down)).toBe(SIZE);

    let go: () => void = () => {};
    read = new Promise((resolve) => {
      go = resolve;
    });
    const up = session.request({ ':path': '/', ':method': 'POST' });
    const sending = send(up);
    expect(await standstill()).toBeLessThan(HELD);
    go();
    await sending;
    let text = '';
    for await (const chunk of up) text += chunk;
    expect(Number(text)).toBe(SIZE);
  });
  session.destroy();
  expect(grown).toBeLessThan(GROWTH_MIB);
}, 300_000);
