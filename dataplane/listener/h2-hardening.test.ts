/** What a client can do to an HTTP/2 listener with frames that no well-meant client sends: each ends in a bound. */
import { afterEach, describe, expect, test } from 'vitest';
import * as h2 from '../codec/http2/frames.ts';
import {
  answering,
  eventually,
  OK,
  type Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';
import { buffersInUse } from '../io/buffers.ts';
import { block, frame, GET, POST, RawClient } from './h2-raw.fixture.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
  await eventually(() => buffersInUse() === 0, 'every pooled buffer is given back');
});

async function scene(
  script?: (peer: Peer) => void,
  settings: TestProxySettings = {},
): Promise<{ upstream: ScriptedBackend; gateway: TestProxy }> {
  const upstream = await new ScriptedBackend(script).listen();
  const gateway = await new TestProxy([upstream.port], { protocol: 'h2c', ...settings }).listen();
  running.push(gateway, upstream);
  return { upstream, gateway };
}

async function client(gateway: TestProxy, settings?: readonly [number, number][] | null): Promise<RawClient> {
  const connected = await RawClient.connect(gateway.port, settings);
  running.unshift({ close: async () => connected.destroy() });
  return connected;
}

describe('resets', () => {
  test('rapid reset: the session ends, and the work that was begun for it (CVE-2023-44487)', async () => {
    const { gateway, upstream } = await scene();
    const raw = await client(gateway);
    for (let i = 0; i < 1000; i++) {
      raw.request(1 + i * 2, GET);
      raw.reset(1 + i * 2);
    }
    await raw.refused(h2.ENHANCE_YOUR_CALM);
    await eventually(() => gateway.listener.stats.connections === 0);
    expect(gateway.exchanges.length).toBeLessThanOrEqual(501);
    expect(gateway.finished.every(({ status }) => status === 499)).toBe(true);
    expect(gateway.listener.stats.inFlight).toBe(0);
    await eventually(() =>
      upstream.connections.every(({ received, socket }) => received === '' || socket.readableEnded || socket.destroyed),
    );
  });

  test('a reset stream is given up upstream at once', async () => {
    const { gateway, upstream } = await scene();
    const raw = await client(gateway);
    raw.request(1, GET);
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    raw.reset(1);
    await peer.end();
    expect(gateway.finished).toMatchObject([{ status: 499, code: 'client-closed' }]);
  });

  test.each<[string, (raw: RawClient, stream: number) => void]>([
    ['WINDOW_UPDATE of 0', (raw, stream) => raw.windowUpdate(stream, 0)],
    ['a window beyond 2^31-1', (raw, stream) => raw.windowUpdate(stream, h2.MAX_WINDOW)],
    ['DATA after the end', (raw, stream) => raw.send(h2.DATA, 0, stream, Buffer.from('x'))],
    ['HEADERS after the end', (raw, stream) => raw.request(stream, ['x-a', '1'])],
    ['PRIORITY of a wrong length', (raw, stream) => raw.send(h2.PRIORITY, 0, stream, Buffer.alloc(4))],
  ])('resets that a client provokes count as its own: %s (CVE-2025-8671)', async (_name, provoke) => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    for (let i = 0; i < 1000; i++) {
      raw.request(1 + i * 2, GET);
      provoke(raw, 1 + i * 2);
    }
    await raw.refused(h2.ENHANCE_YOUR_CALM);
    await eventually(() => gateway.listener.stats.inFlight === 0);
    expect(gateway.exchanges.length).toBeLessThanOrEqual(501);
  });
});

describe('floods', () => {
  test('CONTINUATION without end (CVE-2024-27316)', async () => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    raw.send(h2.HEADERS, 0, 1, block(GET));
    for (let i = 0; i < 50; i++) raw.send(h2.CONTINUATION, 0, 1, block(['x-a', 'a'.repeat(1000)]));
    await raw.refused(h2.ENHANCE_YOUR_CALM);
  });

  test('CONTINUATION that adds up to too much', async () => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    raw.send(h2.HEADERS, 0, 1, block(GET));
    for (let i = 0; i < 6; i++) raw.send(h2.CONTINUATION, 0, 1, block(['x-a', 'a'.repeat(16_000)]));
    await raw.refused(h2.ENHANCE_YOUR_CALM);
  });

  test('a header block that stops', async () => {
    const { gateway } = await scene(undefined, { listener: { timeouts: { headerMs: 5_000 } } });
    const raw = await client(gateway);
    raw.send(h2.HEADERS, 0, 1, block(GET));
    await eventually(() => raw.frames.length >= 3);
    gateway.advance(5_200);
    await eventually(() => raw.closed);
  });

  test.each<[string, (raw: RawClient) => void]>([
    ['PING', (raw) => raw.send(h2.PING, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', (raw) => raw.settings([[h2.SETTINGS_INITIAL_WINDOW_SIZE, 100]])],
    ['PRIORITY', (raw) => raw.send(h2.PRIORITY, 0, 3, Buffer.alloc(5))],
    ['unknown frames', (raw) => raw.send(99, 0, 0, Buffer.alloc(5))],
    ['WINDOW_UPDATE', (raw) => raw.windowUpdate(0, 1)],
    ['empty DATA', (raw) => raw.send(h2.DATA, 0, 1)],
    ['padded DATA without bytes', (raw) => raw.send(h2.DATA, h2.PADDED, 1, Buffer.from([3, 0, 0, 0]))],
  ])('%s', async (_name, send) => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    raw.request(1, POST, false);
    for (let i = 0; i < 3000; i++) send(raw);
    await raw.refused(h2.ENHANCE_YOUR_CALM);
  });

  test('a client that asks and gives back 4 KiB at a time, as Go does, floods nobody', async () => {
    const bytes = 24 * 1024 * 1024;
    const body = Buffer.alloc(64 * 1024);
    const { gateway } = await scene((peer) => {
      peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n`);
      for (let sent = 0; sent < bytes; sent += body.length) peer.socket.write(body);
    });
    const raw = await client(gateway, [[h2.SETTINGS_INITIAL_WINDOW_SIZE, 2 ** 30]]);
    raw.windowUpdate(0, 2 ** 30);
    raw.request(1, GET);
    let seen = 0;
    raw.socket.on('data', () => {
      for (; seen < raw.frames.length; seen++) {
        if (raw.frames[seen]?.type !== h2.DATA) continue;
        raw.send(h2.PING, 0, 0, Buffer.alloc(8));
        for (let i = 0; i < 4; i++) {
          raw.windowUpdate(0, 4096);
          raw.windowUpdate(1, 4096);
        }
      }
    });
    await eventually(() => raw.bytesOf(1) === bytes || raw.goaway() !== undefined);
    expect(raw.goaway()).toBeUndefined();
  });

  test('answers that are not read are bounded', async () => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    raw.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(h2.PING, 0, 0, Buffer.alloc(8))));
    for (let i = 0; i < 40; i++) raw.socket.write(pings);
    await eventually(() => gateway.listener.stats.refused > 0);
  });
});

describe('limits', () => {
  test('streams at a time: one more is refused, and may be tried again', async () => {
    const { gateway } = await scene(undefined, { handler: () => {} });
    const raw = await client(gateway);
    for (let i = 0; i <= 250; i++) raw.request(1 + i * 2, GET);
    await eventually(() => raw.resetOf(501) !== undefined);
    expect(raw.resetOf(501)).toBe(h2.REFUSED_STREAM);
    expect(gateway.exchanges).toHaveLength(250);
  });

  test('header fields: too many or too large are 431, and the table of the connection stays right', async () => {
    const { gateway } = await scene(answering(OK));
    const raw = await client(gateway);
    const fields = Array.from({ length: 3 }, (_, i) => [`x-${i}`, 'v'.repeat(15_000)]).flat();
    raw.send(h2.HEADERS, h2.END_STREAM, 1, block([...GET, ...fields.slice(0, 2)]));
    raw.send(h2.CONTINUATION, 0, 1, block(fields.slice(2, 4)));
    raw.send(h2.CONTINUATION, h2.END_HEADERS, 1, block(fields.slice(4)));
    expect(await raw.head(1)).toMatchObject({ ':status': '431' });
    raw.request(3, [...GET, ...Array.from({ length: 110 }, (_, i) => [`x-${i}`, '']).flat()]);
    expect(await raw.head(3)).toMatchObject({ ':status': '431' });
    raw.request(5, GET);
    expect(await raw.head(5)).toMatchObject({ ':status': '200' });
  });

  test('a body beyond its bound is 413, also where nobody reads it', async () => {
    const { gateway } = await scene(undefined, { listener: { limits: { bodyBytes: 1000 } } });
    const raw = await client(gateway);
    raw.request(1, POST, false);
    raw.send(h2.DATA, 0, 1, Buffer.alloc(2000));
    expect(await raw.head(1)).toMatchObject({ ':status': '413' });
    raw.request(3, [...POST, 'content-length', '2000'], false);
    expect(await raw.head(3)).toMatchObject({ ':status': '413' });
  });

  test('requests of a connection: GOAWAY with the last, and the connection ends after its answer', async () => {
    const { gateway } = await scene(answering(OK), { listener: { limits: { maxRequestsPerConnection: 2 } } });
    const raw = await client(gateway);
    raw.request(1, GET);
    await raw.head(1);
    raw.request(3, GET);
    await raw.head(3);
    await raw.refused(h2.NO_ERROR);
  });

  test('connections of an address', async () => {
    const { gateway } = await scene(undefined, { listener: { limits: { maxConnectionsPerAddress: 1 } } });
    await client(gateway);
    await eventually(() => gateway.listener.stats.connections === 1);
    const raw = await client(gateway);
    await eventually(() => raw.closed);
    expect(gateway.listener.stats.overflow).toBe(1);
  });
});

describe('flow control', () => {
  const MIB = 1024 * 1024;

  test('no byte more than the windows allow, and all once they open', async () => {
    const body = 'x'.repeat(MIB);
    const { gateway } = await scene(answering(`HTTP/1.1 200 OK\r\ncontent-length: ${MIB}\r\n\r\n${body}`));
    const raw = await client(gateway, [[h2.SETTINGS_INITIAL_WINDOW_SIZE, 1000]]);
    raw.request(1, GET);
    await eventually(() => raw.bytesOf(1) === 1000);
    raw.windowUpdate(1, MIB);
    await eventually(() => raw.bytesOf(1) === h2.DEFAULT_WINDOW);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(raw.bytesOf(1)).toBe(h2.DEFAULT_WINDOW);
    raw.windowUpdate(0, MIB);
    await eventually(() => raw.bytesOf(1) === MIB);
  });

  test('a window that becomes smaller than what was sent', async () => {
    const { gateway } = await scene(answering(`HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n${'x'.repeat(3000)}`));
    const raw = await client(gateway, [[h2.SETTINGS_INITIAL_WINDOW_SIZE, 1000]]);
    raw.request(1, GET);
    await eventually(() => raw.bytesOf(1) === 1000);
    raw.settings([[h2.SETTINGS_INITIAL_WINDOW_SIZE, 10]]);
    raw.windowUpdate(1, 990);
    raw.windowUpdate(1, 5);
    await eventually(() => raw.bytesOf(1) === 1005);
    raw.settings([[h2.SETTINGS_INITIAL_WINDOW_SIZE, 10_000]]);
    await eventually(() => raw.bytesOf(1) === 3000);
  });

  test('a stalled window with bytes waiting: reset after the write time-out', async () => {
    const { gateway } = await scene(answering(`HTTP/1.1 200 OK\r\ncontent-length: ${MIB}\r\n\r\n${'x'.repeat(MIB)}`), {
      listener: { timeouts: { writeMs: 5_000 } },
    });
    const raw = await client(gateway, [[h2.SETTINGS_INITIAL_WINDOW_SIZE, 0]]);
    raw.request(1, GET);
    await raw.head(1);
    gateway.advance(5_200);
    await eventually(() => raw.resetOf(1) !== undefined);
    expect(gateway.finished).toMatchObject([{ code: 'client-closed' }]);
  });

  test('a client that sends beyond the window it was given', async () => {
    const { gateway } = await scene((peer) => peer.socket.pause());
    const raw = await client(gateway);
    raw.request(1, POST, false);
    for (let i = 0; i < 2000; i++) raw.send(h2.DATA, 0, 1, Buffer.alloc(16_384));
    await eventually(() => raw.resetOf(1) === h2.FLOW_CONTROL_ERROR || raw.goaway() === h2.FLOW_CONTROL_ERROR);
  });

  test('a body that the backend does not take stops the credit', async () => {
    const { gateway, upstream } = await scene((peer) => peer.socket.pause());
    const raw = await client(gateway);
    raw.request(1, POST, false);
    let sent = 0;
    let window = 256 * 1024;
    const credit = (stream: number): number =>
      raw.frames.reduce(
        (sum, { type, stream: of, payload }) =>
          type === h2.WINDOW_UPDATE && of === stream ? sum + payload.readUInt32BE() : sum,
        0,
      );
    for (let still = 0; still < 20; ) {
      if (sent + 16_384 <= window) {
        raw.send(h2.DATA, 0, 1, Buffer.alloc(16_384));
        sent += 16_384;
      } else {
        still++;
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (256 * 1024 + credit(1) > window) still = 0;
        window = 256 * 1024 + credit(1);
      }
    }
    expect(sent).toBeLessThan(32 * MIB);
    expect(sent - credit(1)).toBeGreaterThan(128 * 1024);
    const peer = await upstream.connection();
    peer.socket.resume();
    await eventually(() => 256 * 1024 + credit(1) > window);
  });
});

describe('the connection', () => {
  test.each<[string, string]>([
    ['HTTP/1.1', 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['a wrong preface', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'],
  ])('%s: refused', async (_name, text) => {
    const { gateway } = await scene();
    const raw = await client(gateway, null);
    raw.socket.write(text);
    await raw.refused(h2.PROTOCOL_ERROR);
  });

  test('nothing at all: closed after the header time-out; idle after a request: GOAWAY', async () => {
    const { gateway } = await scene(answering(OK), { listener: { timeouts: { headerMs: 5_000, idleMs: 20_000 } } });
    const silent = await client(gateway, null);
    await eventually(() => gateway.listener.stats.connections === 1);
    const raw = await client(gateway);
    raw.request(1, GET);
    await raw.head(1);
    gateway.advance(5_200);
    await eventually(() => silent.closed);
    expect(raw.goaway()).toBeUndefined();
    gateway.advance(20_200);
    await raw.refused(h2.NO_ERROR);
  });

  test('byte by byte it is the same', async () => {
    const { gateway, upstream } = await scene((peer) => {
      peer.socket.on('data', () => peer.received.endsWith('0\r\n\r\n') && peer.send(OK));
    });
    const raw = await client(gateway, null);
    const bytes = Buffer.concat([
      Buffer.from(h2.PREFACE),
      frame(h2.SETTINGS, 0, 0, new Uint8Array()),
      frame(h2.HEADERS, h2.END_HEADERS, 1, block(POST)),
      frame(h2.DATA, h2.PADDED, 1, Buffer.from([2, 97, 98, 0, 0])),
      frame(h2.DATA, h2.END_STREAM, 1, Buffer.from('cd')),
    ]);
    for (const byte of bytes) {
      raw.socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await raw.head(1)).toMatchObject({ ':status': '200' });
    const { received } = await upstream.connection();
    expect(received.slice(received.indexOf('\r\n\r\n')).replaceAll(/[0-9]?\r\n/g, '')).toBe('abcd');
  });
});

describe('requests', () => {
  const without = (name: string): string[] =>
    GET.flatMap((part, i) => (i % 2 === 0 && part !== name ? [part, GET[i + 1] as string] : []));

  test.each<[string, readonly string[]]>([
    ['no :method', without(':method')],
    ['no :path', without(':path')],
    ['no :scheme', without(':scheme')],
    ['a pseudo-field twice', [...GET, ':path', '/x']],
    ['an unknown pseudo-field', [...GET, ':x', '1']],
    ['a pseudo-field after the others', [...without(':path'), 'x-a', '1', ':path', '/']],
    ['connection', [...GET, 'connection', 'close']],
    ['transfer-encoding', [...GET, 'transfer-encoding', 'chunked']],
    ['upgrade', [...GET, 'upgrade', 'h2c']],
    ['te: gzip', [...GET, 'te', 'gzip']],
    ['an upper-case name', [...GET, 'X-A', '1']],
    ['a line break in a value', [...GET, 'x-a', 'a\r\nb: c']],
    ['a NUL in a value', [...GET, 'x-a', 'a\0']],
    ['a space before a value', [...GET, 'x-a', ' a']],
    ['a space in a name', [...GET, 'x a', '1']],
    ['a length twice', [...GET, 'content-length', '0', 'content-length', '0']],
    ['a length that is none', [...GET, 'content-length', '+1']],
    ['a length without a body', [...GET, 'content-length', '1']],
    ['a method with a space', [':method', 'G ET', ...without(':method')]],
    ['CONNECT with a path', [':method', 'CONNECT', ...without(':method')]],
    ['a protocol without CONNECT', [...GET, ':protocol', 'websocket']],
  ])('%s is malformed', async (_name, fields) => {
    const { gateway } = await scene(answering(OK));
    const raw = await client(gateway);
    raw.request(1, fields);
    await eventually(() => raw.resetOf(1) !== undefined);
    expect(raw.resetOf(1)).toBe(h2.PROTOCOL_ERROR);
    expect(gateway.exchanges).toHaveLength(0);
    // The connection goes on.
    raw.request(3, GET);
    expect(await raw.head(3)).toMatchObject({ ':status': '200' });
  });

  test('CONNECT is refused; so is what extended CONNECT does not know', async () => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    raw.request(1, [':method', 'CONNECT', ':authority', 'a:443'], false);
    expect(await raw.head(1)).toMatchObject({ ':status': '405' });
    raw.request(3, [...GET.slice(2), ':method', 'CONNECT', ':protocol', 'connect-udp'], false);
    expect(await raw.head(3)).toMatchObject({ ':status': '501' });
  });

  test.each<[string, number, string]>([
    ['shorter', 2, 'x'],
    ['longer', 2, 'xyz'],
  ])('a body %s than its length is malformed', async (_name, length, body) => {
    const { gateway } = await scene();
    const raw = await client(gateway);
    raw.request(1, [...POST, 'content-length', String(length)], false);
    raw.send(h2.DATA, h2.END_STREAM, 1, Buffer.from(body));
    await eventually(() => raw.resetOf(1) === h2.PROTOCOL_ERROR);
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished).toMatchObject([{ status: 499 }]);
  });

  test('a 100 is sent when the body is wanted, and not when the request is refused', async () => {
    const { gateway } = await scene((peer) => {
      peer.socket.on('data', (bytes) => {
        if (bytes.includes('expect')) peer.send('HTTP/1.1 100 Continue\r\n\r\n');
        if (bytes.includes('abc')) peer.send(OK);
      });
    });
    const raw = await client(gateway);
    raw.request(1, [...POST, 'expect', '100-continue', 'content-length', '3'], false);
    expect(await raw.head(1)).toMatchObject({ ':status': '100' });
    raw.send(h2.DATA, h2.END_STREAM, 1, Buffer.from('abc'));
    await eventually(() => raw.bytesOf(1) === 2);
    raw.request(3, [...POST.slice(0, 4), ':path', '/../x', ':authority', 'a', 'expect', '100-continue'], false);
    expect(await raw.head(3)).toMatchObject({ ':status': '400' });
    raw.request(5, [...POST, 'expect', 'tea'], false);
    expect(await raw.head(5)).toMatchObject({ ':status': '417' });
  });
});

describe('drain', () => {
  test('GOAWAY of 2^31-1 first, then the last stream; what comes later is for elsewhere', async () => {
    const { gateway, upstream } = await scene();
    const raw = await client(gateway);
    raw.request(1, GET);
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    gateway.listener.beginDrain();
    const goaways = () =>
      raw.frames.filter(({ type }) => type === h2.GOAWAY).map(({ payload }) => payload.readUInt32BE());
    await eventually(() => goaways().length === 1);
    raw.request(3, GET);
    await upstream.connection(1);
    const closing = gateway.listener.close(10_000);
    await eventually(() => goaways().at(-1) === 3);
    raw.request(5, GET);
    for (const { received } of upstream.connections) expect(received).toContain('GET');
    for (const connected of upstream.connections) connected.send(OK);
    await closing;
    await eventually(() => raw.closed);
    expect(goaways()[0]).toBe(h2.MAX_WINDOW);
    expect(gateway.finished.map(({ status }) => status)).toEqual([200, 200]);
    expect(upstream.connections).toHaveLength(2);
  });

  test('who connects during the drain is told once, and served', async () => {
    const { gateway, upstream } = await scene();
    gateway.listener.beginDrain();
    const raw = await client(gateway);
    const goaways = () =>
      raw.frames.filter(({ type }) => type === h2.GOAWAY).map(({ payload }) => payload.readUInt32BE());
    for (const [i, id] of [1, 3].entries()) {
      raw.request(id, GET);
      const peer = await upstream.connection(i);
      await peer.until('\r\n\r\n');
    }
    expect(goaways()).toEqual([h2.MAX_WINDOW]);
    for (const connected of upstream.connections) connected.send(OK);
    await eventually(() => gateway.finished.length === 2);
    await gateway.listener.close(10_000);
    expect(gateway.finished.map(({ status }) => status)).toEqual([200, 200]);
  });
});
