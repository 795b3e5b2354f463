/** Ten thousand kept connections that do nothing beside five hundred that do: the busy ones lose nothing, and the idle ones are still served after. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './gateway.ts';

/** As many as one process may have open here; each is one descriptor of the client, and one of the gateway. */
const [, descriptors = '0'] = /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
const ACTIVE = 500;
const IDLE = Math.min(10_000, Number(descriptors) - 2 * ACTIVE - 500);
const LOAD_MS = 5_000;
const AT_ONCE = 200;
const REQUEST = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

let gateway: RunningGateway;
const backend = http.createServer((request, response) => {
  request.resume();
  response.end('served');
});

beforeAll(async () => {
  backend.keepAliveTimeout = 120_000;
  backend.listen(0, '127.0.0.1');
  await once(backend, 'listening');
  gateway = await startGateway((backend.address() as AddressInfo).port, 1);
});
afterAll(async () => {
  await gateway?.stop();
  backend.close();
  backend.closeAllConnections();
});

/** Sends one request over a connection that is kept, and reads its answer. */
async function ask(socket: net.Socket): Promise<void> {
  socket.write(REQUEST);
  let text = '';
  while (!text.endsWith('served')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
  }
  if (!text.startsWith('HTTP/1.1 200')) throw new Error(text);
}

/** All of them, a few at a time. */
async function each(sockets: readonly net.Socket[], run: (socket: net.Socket) => Promise<void>): Promise<void> {
  for (let at = 0; at < sockets.length; at += AT_ONCE) await Promise.all(sockets.slice(at, at + AT_ONCE).map(run));
}

async function connect(): Promise<net.Socket> {
  const socket = net.connect(gateway.http, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  return socket;
}

test(`${IDLE} idle connections, ${ACTIVE} busy ones`, async () => {
  expect(IDLE, 'ulimit -n').toBeGreaterThan(500);
  const idle: net.Socket[] = [];
  while (idle.length < IDLE) {
    const some = Math.min(AT_ONCE, IDLE - idle.length);
    idle.push(...(await Promise.all(Array.from({ length: some }, connect))));
  }
  await each(idle, ask);
  const resident = gateway.residentMiB();
  let closed = 0;
  for (const socket of idle) socket.once('close', () => closed++);

  const busy = await Promise.all(Array.from({ length: ACTIVE }, connect));
  const until = performance.now() + LOAD_MS;
  let served = 0;
  await Promise.all(
    busy.map(async (socket) => {
      while (performance.now() < until) {
        await ask(socket);
        served++;
      }
    }),
  );
  console.log(`engine: ${IDLE} idle, ${resident.toFixed(0)} MiB; ${ACTIVE} busy were served ${served} times meanwhile`);
  expect(served).toBeGreaterThan(ACTIVE);
  expect(closed).toBe(0);
  await each(idle, ask);
  for (const socket of [...idle, ...busy]) socket.destroy();
  await sleep(100);
}, 120_000);
