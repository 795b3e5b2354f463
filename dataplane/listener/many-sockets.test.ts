/** With `reusePort` a worker listens on several sockets of one port, so that one turn of the event loop accepts several connections. */
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { answerEmpty, eventually } from '../engine.fixture.ts';
import { startWheel } from '../io/wheel.ts';
import type { Answer } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { createHttp1Listener } from './http1.ts';
import type { Listener } from './options.ts';

const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

function listener(reusePort: boolean): Listener {
  const wheel = startWheel();
  const refuse = (): Answer => ({ status: 400, code: '', headers: new Headers(), body: null });
  const handler = (exchange: Parameters<typeof answerEmpty>[0]) => answerEmpty(exchange, 200);
  const made = createHttp1Listener({ host: '127.0.0.1', port: 0, reusePort, handler, refuse, wheel });
  open.push({ close: () => made.close(100).then(() => wheel.stop()) });
  return made;
}

async function connect(port: number, count: number): Promise<net.Socket[]> {
  const sockets = Array.from({ length: count }, () => net.connect(port, '127.0.0.1'));
  for (const socket of sockets) open.unshift({ close: () => socket.destroy() });
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  return sockets;
}

const sum = (counts: readonly number[]) => counts.reduce((total, one) => total + one, 0);

test('connections spread over them, are counted as one listener, and all are closed with it', async () => {
  const many = listener(true);
  const { port } = await many.listen();
  await connect(port, 200);
  await eventually(() => many.stats.connections === 200);
  expect(many.accepted).toHaveLength(64);
  expect(sum(many.accepted)).toBe(200);
  expect(many.accepted.filter((count) => count > 0).length).toBeGreaterThan(20);
  await many.close(100);
  const refused = net.connect(port, '127.0.0.1');
  expect(
    await new Promise((resolve) => refused.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code))),
  ).toBe('ECONNREFUSED');
});

test('without it there is one', async () => {
  const one = listener(false);
  const { port } = await one.listen();
  await connect(port, 3);
  await eventually(() => one.stats.connections === 3);
  expect(one.accepted).toEqual([3]);
});
