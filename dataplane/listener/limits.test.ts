/** Limits, time-outs and drain of the HTTP/1.1 listener, on real sockets with the test's own clock. */
import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  answerEmpty,
  answering,
  eventually,
  OK,
  Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function backend(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
  const started = await new ScriptedBackend(script).listen();
  running.push(started);
  return started;
}

async function gatewayTo(ports: number[], settings: TestProxySettings = {}): Promise<TestProxy> {
  const started = await new TestProxy(ports, settings).listen();
  running.unshift(started);
  return started;
}

const direct: TestProxySettings = { handler: (exchange) => answerEmpty(exchange, 200) };
const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

describe('refusals', () => {
  test.each([
    ['GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', 400, 'bad-host'],
    [`GET /${'a'.repeat(9000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 414, 'uri-too-long'],
    [`GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(33_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n', 405, 'connect-refused'],
    ['GET / HTTP/3.0\r\n\r\n', 505, 'unsupported-version'],
    ['GET / HTTP/1.1\r\nhost: a\r\nexpect: x\r\n\r\n', 417, 'bad-expect'],
  ])('%j is answered and the connection closed; what follows is not read', async (text, status, code) => {
    const gateway = await gatewayTo([], direct);
    const client = await gateway.client();
    client.send(text + GET);
    const answer = await client.close();
    expect(answer).toMatch(
      new RegExp(
        `^HTTP/1.1 ${status} .*\r\nx-code: ${code}\r\ncontent-length: \\d+\r\nconnection: close\r\n\r\n\\S`,
        's',
      ),
    );
    expect(answer.match(/HTTP\/1.1 \d/g)).toHaveLength(1);
    expect(gateway.exchanges).toHaveLength(0);
    expect(gateway.listener.stats).toMatchObject({ requests: 1, refused: 1, inFlight: 0 });
  });

  test('a request before the malformed one is answered first', async () => {
    const gateway = await gatewayTo([], direct);
    const client = await gateway.client();
    client.send(`${GET}BAD\r\n\r\n`);
    expect((await client.close()).match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  test('the answer survives a client that goes on sending', async () => {
    const gateway = await gatewayTo([], direct);
    const client = await gateway.client();
    client.send(`BAD\r\n\r\n${'x'.repeat(2_000_000)}`);
    expect(await client.close()).toMatch(/^HTTP\/1.1 400/);
    expect(client.error).toBeNull();
  });

  test.each([1, 2, 3, 7])('a head in pieces of %i bytes', async (size) => {
    const gateway = await gatewayTo([], direct);
    const client = await gateway.client();
    const text = 'POST /a HTTP/1.1\r\nhost: a\r\nx: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    for (let i = 0; i < text.length; i += size) {
      client.send(text.slice(i, i + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.until('200 OK');
    expect(gateway.exchanges[0]?.headers.fields).toEqual(['host', 'a', 'x', '1', 'transfer-encoding', 'chunked']);
  });
});

describe('connections', () => {
  test('one more than allowed is told so', async () => {
    const gateway = await gatewayTo([], { ...direct, listener: { limits: { maxConnections: 2 } } });
    const [one, two] = [await gateway.client(), await gateway.client()];
    one.send(GET);
    await one.until('200');
    await eventually(() => gateway.listener.stats.connections === 2);
    expect(await (await gateway.client()).close()).toMatch(/^HTTP\/1.1 503 /);
    expect(gateway.listener.stats).toMatchObject({ connections: 2, overflow: 1 });
    two.destroy();
    await eventually(() => gateway.listener.stats.connections === 1);
    const three = await gateway.client();
    three.send(GET);
    await three.until('200');
  });

  test('one more from the same address than allowed is told so, another address is served', async () => {
    const limits = { maxConnectionsPerAddress: 2 };
    const gateway = await gatewayTo([], { ...direct, listener: { limits } });
    const from = async (localAddress: string): Promise<Peer> => {
      const socket = net.connect({ host: '127.0.0.1', port: gateway.port, localAddress, allowHalfOpen: true });
      const peer = new Peer(socket);
      gateway.peers.push(peer);
      await once(socket, 'connect');
      peer.send(GET);
      return peer;
    };
    const [one, two] = [await from('127.0.0.1'), await from('127.0.0.1')];
    await Promise.all([one.until('200'), two.until('200')]);
    expect(await (await gateway.client()).close()).toMatch(/^HTTP\/1.1 503 /);
    await (await from('127.0.0.2')).until('200');
    expect(gateway.listener.stats).toMatchObject({ connections: 3, overflow: 1 });
    one.destroy();
    await eventually(() => gateway.listener.stats.connections === 2);
    await (await from('127.0.0.1')).until('200');
  });

  test('the answer to the last request that a connection may bring closes it', async () => {
    const gateway = await gatewayTo([], { ...direct, listener: { limits: { maxRequestsPerConnection: 2 } } });
    const client = await gateway.client();
    client.send(GET + GET + GET);
    expect((await client.close()).match(/HTTP.1.1 200|connection: close/g)).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'connection: close',
    ]);
    expect(gateway.exchanges).toHaveLength(2);
  });

  test('HTTP/1.0 closes, unless it asks for keep-alive', async () => {
    const gateway = await gatewayTo([], direct);
    const client = await gateway.client();
    client.send('GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n');
    await client.until('connection: keep-alive\r\n\r\n');
    client.send('GET / HTTP/1.0\r\n\r\n');
    expect(await client.close()).toMatch(/connection: close\r\n\r\n$/);
  });
});

describe('bodies', () => {
  test('longer than the listener takes: 413, announced or not, with no byte more than may be for the backend', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream.port], { listener: { limits: { bodyBytes: 5 } } });
    const announced = await gateway.client();
    announced.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabcdef');
    expect(await announced.close()).toMatch(/^HTTP\/1.1 413 .*body-too-large.*connection: close/s);
    expect(gateway.exchanges).toHaveLength(0);
    const waits = await gateway.client();
    waits.send('POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n');
    expect(await waits.close()).toMatch(/^HTTP\/1.1 413 /);
    const chunked = await gateway.client();
    chunked.send('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n');
    expect(await chunked.close()).toMatch(/^HTTP\/1.1 413 .*connection: close/s);
    const peer = await upstream.connection();
    await peer.end();
    expect(peer.received).not.toContain('def');
    expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[413, 'body-too-large']]);
    const fits = await gateway.client();
    fits.send('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n');
    const second = await upstream.connection(1);
    await second.until('0\r\n\r\n');
    second.send(OK);
    await fits.until('ok');
  });

  test('slower than the listener takes: 408, though it never stops', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream.port], {
      listener: { timeouts: { bodyMs: 5_000, bodyBytesPerSecond: 2 } },
    });
    const client = await gateway.client();
    client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    client.send('x'.repeat(25));
    await peer.until('x'.repeat(25));
    for (let i = 0; i < 6; i++) {
      gateway.advance(4_000);
      client.send('y');
      if (i < 5) await peer.until('y'.repeat(i + 1));
      else await client.until('HTTP/1.1 408 ');
    }
    await client.close();
    expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[408, 'body-timeout']]);
  });
});

describe('time-outs', () => {
  test('a head that does not end: 408', async () => {
    const gateway = await gatewayTo([], { ...direct, listener: { timeouts: { headerMs: 10_000, idleMs: 60_000 } } });
    const fresh = await gateway.client();
    fresh.send('GET / HT');
    const used = await gateway.client();
    used.send(GET);
    await used.until('200');
    gateway.advance(5_000);
    used.send('GET / H');
    await eventually(() => gateway.wheel.size === 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    gateway.advance(5_200);
    expect(await fresh.close()).toMatch(/^HTTP\/1.1 408 .*connection: close/s);
    expect(used.ended).toBe(false);
    // Each further byte changes nothing.
    used.send('T');
    gateway.advance(5_000);
    expect(await used.close()).toMatch(/HTTP\/1.1 408 /);
  });

  test('silence: closed without a word', async () => {
    const gateway = await gatewayTo([], { ...direct, listener: { timeouts: { headerMs: 10_000, idleMs: 60_000 } } });
    const fresh = await gateway.client();
    const used = await gateway.client();
    used.send(GET);
    await used.until('200');
    const before = used.received;
    gateway.advance(10_200);
    expect(await fresh.close()).toBe('');
    expect(used.ended).toBe(false);
    gateway.advance(50_000);
    expect(await used.close()).toBe(before);
  });

  test('a body that stops: 408, and the backend hears of it', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream.port], { listener: { timeouts: { bodyMs: 5_000 } } });
    const client = await gateway.client();
    client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nab');
    const peer = await upstream.connection();
    await peer.until('ab');
    gateway.advance(4_000);
    client.send('c');
    await peer.until('abc');
    gateway.advance(4_000);
    expect(client.received).toBe('');
    gateway.advance(1_200);
    expect(await client.close()).toMatch(/^HTTP\/1.1 408 .*connection: close/s);
    await peer.end();
    expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[408, 'body-timeout']]);
  });

  test('a client that reads nothing is cut off, one that reads slowly is not', async () => {
    const written = new Map<string, Exchange>();
    const gateway = await gatewayTo([], {
      listener: { timeouts: { writeMs: 10_000 } },
      handler: (exchange) => {
        written.set(exchange.path, exchange);
        const piece = Buffer.alloc(1024 * 1024, 'x');
        exchange.downstream.writeHead(200, new Headers(), -1);
        const more = (): void => {
          while (exchange.downstream.write(piece, () => {}));
        };
        exchange.downstream.onDrain = more;
        more();
        exchange.downstream.onClose = () => {
          exchange.code = 'gone';
        };
      },
    });
    const [stuck, slow] = [await gateway.client(), await gateway.client()];
    for (const client of [stuck, slow]) client.socket.pause();
    stuck.send('GET /stuck HTTP/1.1\r\nhost: a\r\n\r\n');
    slow.send('GET /slow HTTP/1.1\r\nhost: a\r\n\r\n');
    await eventually(() => written.size === 2);
    for (let i = 0; i < 3; i++) {
      const before = slow.received.length;
      slow.socket.resume();
      // More than the kernel's buffers hold, so that the gateway's own queue has moved.
      await eventually(() => slow.received.length > before + 24 * 1024 * 1024);
      slow.socket.pause();
      gateway.advance(6_000);
    }
    await eventually(() => written.get('/stuck')?.code === 'gone');
    expect(written.get('/slow')?.code).toBe('');
    expect(gateway.listener.stats).toMatchObject({ connections: 1, inFlight: 1 });
  });
});

describe('drain', () => {
  test('answers close their connections, new ones are still accepted; close waits for what is in flight', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream.port]);
    const [busy, idle, unused] = [await gateway.client(), await gateway.client(), await gateway.client()];
    busy.send(GET);
    const peer = await upstream.connection();
    await peer.until('GET /');
    idle.send('GET /idle HTTP/1.1\r\nhost: a\r\n\r\n');
    const second = await upstream.connection(1);
    await second.until('GET /idle');
    second.send(OK);
    await idle.until('ok');
    expect(idle.received).not.toContain('connection');

    gateway.listener.beginDrain();
    const late = await gateway.client();
    late.send('GET /late HTTP/1.1\r\nhost: a\r\n\r\n');
    await second.until('GET /late');
    second.send(OK);
    expect(await late.close()).toMatch(/connection: close\r\n\r\nok$/);
    expect(idle.ended).toBe(false);

    let done = false;
    const closing = gateway.listener.close(60_000).then(() => {
      done = true;
    });
    await idle.close();
    await unused.close();
    expect(done).toBe(false);
    peer.send(OK);
    expect(await busy.close()).toMatch(/connection: close\r\n\r\nok$/);
    await closing;
    expect(gateway.listener.stats).toMatchObject({ connections: 0, inFlight: 0 });
    await expect(gateway.client()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('what is not finished by the deadline is broken off', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream.port]);
    const client = await gateway.client();
    client.send(GET);
    await (await upstream.connection()).until('GET /');
    await gateway.listener.close(10);
    expect(await client.close()).toBe('');
    expect(gateway.finished[0]).toMatchObject({ status: 499 });
    expect(gateway.listener.stats).toMatchObject({ connections: 0, inFlight: 0 });
  });

  test('pipelined requests are all answered before the connection closes', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await gatewayTo([upstream.port]);
    const waiting: (() => void)[] = [];
    const held = await gatewayTo([upstream.port], { handler: (_exchange, go) => waiting.push(go) });
    const client = await held.client();
    client.send(GET + GET);
    await eventually(() => waiting.length === 1);
    const closing = held.listener.close(60_000);
    waiting[0]?.();
    // The first answer says close: what was pipelined behind it is not begun (RFC 9112 section 9.6), and the client knows.
    expect((await client.close()).split('connection: close')).toHaveLength(2);
    await closing;
    expect(gateway.exchanges).toHaveLength(0);
  });
});
