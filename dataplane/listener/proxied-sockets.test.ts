/** PROXY protocol before HTTP/1.1 and HTTP/2, over real sockets. */
import http2 from 'node:http2';
import net, { BlockList } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, Peer } from '../engine.fixture.ts';
import { startWheel, type TimerWheel } from '../io/wheel.ts';
import { Headers } from '../pipeline/headers.ts';
import { createH2cListener } from './h2c.ts';
import { createHttp1Listener } from './http1.ts';
import type { Listener, ListenerOptions } from './options.ts';

const V1 = 'PROXY TCP4 192.0.2.7 198.51.100.1 55555 443\r\n';
const V2 = Buffer.from('0d0a0d0a000d0a515549540a21110010c0000209c6336401d90301bb04000120', 'hex').toString('latin1');

let wheel: TimerWheel;
let listener: Listener;
const clients: Peer[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await listener.close(100);
  wheel.stop();
});

async function listen(protocol: 'http1' | 'h2c', source: string, more: Partial<ListenerOptions> = {}): Promise<number> {
  wheel = startWheel();
  const from = new BlockList();
  from.addAddress(source);
  const create = protocol === 'http1' ? createHttp1Listener : createH2cListener;
  listener = create({
    host: '127.0.0.1',
    port: 0,
    wheel,
    proxiesFrom: from,
    handler: ({ clientAddress, downstream, path }) => {
      const body = Buffer.from(`${path} ${clientAddress} ${downstream.peerAddress};`);
      downstream.writeHead(200, new Headers(), body.length);
      downstream.write(body, null);
      downstream.end(null);
    },
    refuse: ({ status }) => ({ status, code: '', headers: new Headers(), body: null }),
    ...more,
  });
  return (await listener.listen()).port;
}

function connect(port: number): Peer {
  const client = new Peer(net.connect(port, '127.0.0.1'));
  clients.push(client);
  return client;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;

describe.each(['onread', 'data'] as const)('HTTP/1.1, read by %s', (readMode) => {
  test('the client is who the header says, with the request behind it in one packet, or later', async () => {
    const port = await listen('http1', '127.0.0.1', { readMode });
    for (const [header, address] of [
      [V1, '192.0.2.7'],
      [V2, '192.0.2.9'],
    ] as const) {
      const client = connect(port);
      client.send(header + get('/a'));
      await client.until(`/a ${address} ${address};`);
      client.send(get('/b'));
      await client.until(`/b ${address} ${address};`);
      const late = connect(port);
      late.send(header);
      await new Promise((resolve) => setTimeout(resolve, 20));
      late.send(get('/late'));
      await late.until(`/late ${address} ${address};`);
    }
    expect(listener.stats).toMatchObject({ connections: 4, refused: 0 });
  });

  test('a cut at any byte changes nothing; neither do many requests at once', async () => {
    const port = await listen('http1', '127.0.0.1', { readMode });
    const text = V2 + get('/a') + get('/b');
    for (const cut of [1, 5, 12, 15, 16, 20, 31, 32, 33, 40, text.length - 1]) {
      const client = connect(port);
      client.send(text.slice(0, cut));
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.send(text.slice(cut));
      await client.until('/b 192.0.2.9 192.0.2.9;');
    }
  });

  test('LOCAL and UNKNOWN: the connection is the proxy itself', async () => {
    const port = await listen('http1', '127.0.0.1', { readMode });
    const client = connect(port);
    client.send(`PROXY UNKNOWN\r\n${get('/a')}`);
    await client.until('/a 127.0.0.1 127.0.0.1;');
  });
});

test('a listed source without a header, with a bad one or a late one is closed without a word; the port lives on', async () => {
  const port = await listen('http1', '127.0.0.1', { timeouts: { headerMs: 200 } });
  for (const bytes of [get('/'), 'PROXY TCP4 1.2.3.4\r\n', `${'\r\n'.repeat(3)}`, 'PROXY ', '']) {
    const client = connect(port);
    client.send(bytes);
    expect([bytes, await client.end()]).toEqual([bytes, '']);
  }
  const gone = connect(port);
  gone.send('PROXY TC');
  gone.socket.end();
  expect(await gone.end()).toBe('');
  expect(listener.stats).toMatchObject({ connections: 0, requests: 0, refused: 6 });
  const client = connect(port);
  client.send(V1 + get('/a'));
  await client.until('/a 192.0.2.7');
});

test('of any other source it is not taken: a header there is a bad request', async () => {
  const port = await listen('http1', '127.0.0.2');
  const plain = connect(port);
  plain.send(get('/a'));
  await plain.until('/a 127.0.0.1 127.0.0.1;');
  const pretending = connect(port);
  pretending.send(V1 + get('/a'));
  expect(await pretending.until('\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

test('no more than so many headers are waited for; closing waits for none', async () => {
  const port = await listen('http1', '127.0.0.1', { limits: { maxConnections: 2 } });
  const waiting = [connect(port), connect(port)];
  for (const client of waiting) client.send('PROXY');
  await eventually(() => (listener.accepted[0] ?? 0) === 2);
  const late = connect(port);
  late.send('PROXY');
  expect(await late.end()).toBe('');
  const closing = listener.close(10_000);
  await closing;
  for (const client of waiting) await client.end();
});

test('HTTP/2: the client is who the header says', async () => {
  const port = await listen('h2c', '127.0.0.1');
  for (const pauseMs of [0, 20]) {
    const socket = net.connect(port, '127.0.0.1');
    socket.write(V1);
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const session = http2.connect('http://a', { createConnection: () => socket });
    const stream = session.request({ ':path': '/a' });
    let body = '';
    for await (const chunk of stream.setEncoding('latin1')) body += chunk;
    expect(body).toBe('/a 192.0.2.7 192.0.2.7;');
    session.destroy();
  }
});
