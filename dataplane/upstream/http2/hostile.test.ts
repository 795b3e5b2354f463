/** What an endpoint may send that is no HTTP/2, or no message: frames written by hand. The gateway answers 502 or 503, and never passes it on. */
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeField } from '../../codec/hpack/encoder.ts';
import * as h2 from '../../codec/http2/frames.ts';
import { eventually, type Peer, type TestProxy } from '../../engine.fixture.ts';
import { proxyTo } from './http2.fixture.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(h2.FRAME_HEADER_BYTES + payload.length);
  h2.writeFrameHeader(out, 0, payload.length, type, flags, stream);
  out.set(payload, h2.FRAME_HEADER_BYTES);
  return out;
}

function block(...fields: readonly string[]): Buffer {
  const out = Buffer.alloc(fields.join('').length + fields.length * 8);
  let at = 0;
  for (let i = 0; i < fields.length; i += 2) at = encodeField(out, at, fields[i] as string, fields[i + 1] as string);
  return out.subarray(0, at);
}

function word(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

const many = (one: Buffer): Buffer => Buffer.concat(Array.from({ length: 3000 }, () => one));
const SETTINGS = frame(h2.SETTINGS, 0, 0);
const ENDS = h2.END_HEADERS | h2.END_STREAM;
const headers = (flags: number, ...fields: string[]): Buffer => frame(h2.HEADERS, flags, 1, block(...fields));
const data = (flags: number, text: string): Buffer => frame(h2.DATA, flags, 1, Buffer.from(text));

/** Frames as they came from the gateway: type, flags, stream, payload. */
interface Received {
  readonly type: number;
  readonly stream: number;
  readonly payload: Buffer;
}

class RawBackend {
  readonly sockets: net.Socket[] = [];
  readonly received: Received[] = [];
  readonly server: net.Server;
  port = 0;

  /** `first`: in place of SETTINGS. `answer`: to the first request, in pieces of `step` bytes. */
  constructor(answer: Buffer, first = SETTINGS, step = Number.POSITIVE_INFINITY) {
    this.server = net.createServer((socket) => {
      this.sockets.push(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.write(first);
      let bytes = Buffer.alloc(0);
      let preface = true;
      socket.on('data', (more) => {
        bytes = Buffer.concat([bytes, more as Buffer]);
        if (preface && bytes.length >= 24) {
          preface = false;
          bytes = bytes.subarray(24);
        }
        while (!preface && bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
          const end = 9 + bytes.readUIntBE(0, 3);
          const one = { type: bytes[3] as number, stream: h2.readWord31(bytes, 5), payload: bytes.subarray(9, end) };
          this.received.push(one);
          bytes = bytes.subarray(end);
          if (one.type === h2.HEADERS && one.stream === 1) void send(socket, answer, step);
        }
      });
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function send(socket: net.Socket, bytes: Buffer, step: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += step) {
    socket.write(bytes.subarray(at, Math.min(bytes.length, at + step)));
    if (step < bytes.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function scene(answer: Buffer, first?: Buffer, step?: number): Promise<[RawBackend, TestProxy]> {
  const server = await new RawBackend(answer, first, step).listen();
  running.push(server);
  const gateway = await proxyTo([server.port]);
  running.unshift(gateway);
  return [server, gateway];
}

async function ask(gateway: TestProxy, method = 'GET'): Promise<Peer> {
  const client = await gateway.client();
  client.send(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`);
  return client;
}

describe('malformed messages: 502, the stream is reset, the session stays', () => {
  test.each<[string, Buffer]>([
    ['no :status', headers(ENDS, 'x-a', '1')],
    ['a status that is none', headers(ENDS, ':status', '0200')],
    ['a status twice', headers(ENDS, ':status', '200', ':status', '204')],
    ['101', headers(ENDS, ':status', '101')],
    ['a pseudo-field behind others', headers(ENDS, 'x-a', '1', ':status', '200')],
    ['a pseudo-field of requests', headers(ENDS, ':status', '200', ':path', '/')],
    ['connection', headers(ENDS, ':status', '200', 'connection', 'close')],
    ['transfer-encoding', headers(h2.END_HEADERS, ':status', '200', 'transfer-encoding', 'chunked')],
    ['upgrade', headers(ENDS, ':status', '200', 'upgrade', 'x')],
    ['a name in upper case', headers(ENDS, ':status', '200', 'X-Upper', '1')],
    ['a line break in a value', headers(ENDS, ':status', '200', 'x-a', '1\r\nx-b: 2')],
    ['NUL in a value', headers(ENDS, ':status', '200', 'x-a', '1\0')],
    ['two lengths', headers(h2.END_HEADERS, ':status', '200', 'content-length', '1', 'content-length', '1')],
    ['a length that is none', headers(h2.END_HEADERS, ':status', '200', 'content-length', '+1')],
    ['a length and no body', headers(ENDS, ':status', '200', 'content-length', '5')],
    ['an informational head that ends', headers(ENDS, ':status', '103')],
    ['DATA before the head', data(h2.END_STREAM, 'x')],
    ['a window update of nothing', frame(h2.WINDOW_UPDATE, 0, 1, word(0))],
    [
      'too many fields',
      headers(ENDS, ':status', '200', ...Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? `x-${i}` : '1'))),
    ],
    [
      'many informational heads',
      Buffer.concat(Array.from({ length: 20 }, () => headers(h2.END_HEADERS, ':status', '103'))),
    ],
  ])('%s', async (_name, answer) => {
    const [server, gateway] = await scene(answer);
    const text = await (await ask(gateway)).until('upstream-protocol');
    expect(text).toContain('HTTP/1.1 502 ');
    await eventually(() => server.received.some(({ type, stream }) => type === h2.RST_STREAM && stream === 1));
    expect(gateway.upstream.stats).toMatchObject({ active: 0, connections: 1 });
  });

  test.each<[string, Buffer]>([
    [
      'less than its length',
      Buffer.concat([headers(h2.END_HEADERS, ':status', '200', 'content-length', '5'), data(h2.END_STREAM, 'abc')]),
    ],
    [
      'more than its length',
      Buffer.concat([headers(h2.END_HEADERS, ':status', '200', 'content-length', '2'), data(0, 'abc')]),
    ],
    [
      'pseudo-fields in trailers',
      Buffer.concat([headers(h2.END_HEADERS, ':status', '200'), data(0, 'abc'), headers(ENDS, ':status', '200')]),
    ],
    [
      'trailers that do not end it',
      Buffer.concat([headers(h2.END_HEADERS, ':status', '200'), data(0, 'abc'), headers(h2.END_HEADERS, 'x', '1')]),
    ],
  ])('a body with %s: the client sees a broken message', async (_name, answer) => {
    const [, gateway] = await scene(answer);
    const text = await (await ask(gateway)).close();
    expect(text).not.toContain('\r\n0\r\n');
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]?.code).toBe('upstream-protocol');
    expect(gateway.upstream.stats.active).toBe(0);
  });

  test('a body where there is none, to HEAD', async () => {
    const [server, gateway] = await scene(
      Buffer.concat([headers(h2.END_HEADERS, ':status', '200'), data(h2.END_STREAM, 'x')]),
    );
    await ask(gateway, 'HEAD');
    await eventually(() => server.received.some(({ type }) => type === h2.RST_STREAM));
  });
});

describe('what is no HTTP/2: GOAWAY with the error, the session is closed, its requests fail', () => {
  const settings = (id: number, value: number): Buffer => {
    const payload = Buffer.alloc(6);
    payload.writeUInt16BE(id);
    payload.writeUInt32BE(value, 2);
    return frame(h2.SETTINGS, 0, 0, payload);
  };
  test.each<[string, Buffer, number]>([
    [
      'a broken header block',
      frame(h2.HEADERS, ENDS, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
      h2.COMPRESSION_ERROR,
    ],
    ['an index that is not there', frame(h2.HEADERS, ENDS, 1, Buffer.from([0xbf])), h2.COMPRESSION_ERROR],
    ['a frame that is too large', Buffer.from([0, 0x80, 0, 0, 0, 0, 0, 0, 1]), h2.FRAME_SIZE_ERROR],
    [
      'PUSH_PROMISE',
      frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, Buffer.concat([word(2), block(':method', 'GET')])),
      h2.PROTOCOL_ERROR,
    ],
    ['HEADERS of a stream that was not begun', frame(h2.HEADERS, ENDS, 7, block(':status', '200')), h2.PROTOCOL_ERROR],
    ['DATA of stream 0', frame(h2.DATA, 0, 0, Buffer.from('x')), h2.PROTOCOL_ERROR],
    [
      'CONTINUATION without HEADERS',
      frame(h2.CONTINUATION, h2.END_HEADERS, 1, block(':status', '200')),
      h2.PROTOCOL_ERROR,
    ],
    [
      'another frame within a header block',
      Buffer.concat([headers(0, ':status', '200'), frame(h2.PING, 0, 0, Buffer.alloc(8))]),
      h2.PROTOCOL_ERROR,
    ],
    [
      'a flood of CONTINUATION',
      Buffer.concat([
        headers(0, ':status', '200'),
        ...Array.from({ length: 100 }, () => frame(h2.CONTINUATION, 0, 1, block('x', 'y'))),
      ]),
      h2.ENHANCE_YOUR_CALM,
    ],
    ['a flood of PING', many(frame(h2.PING, 0, 0, Buffer.alloc(8))), h2.ENHANCE_YOUR_CALM],
    ['a flood of SETTINGS', many(SETTINGS), h2.ENHANCE_YOUR_CALM],
    ['a flood of WINDOW_UPDATE', many(frame(h2.WINDOW_UPDATE, 0, 0, word(1))), h2.ENHANCE_YOUR_CALM],
    ['a flood of unknown frames', many(frame(99, 0, 0)), h2.ENHANCE_YOUR_CALM],
    ['padding longer than the frame', frame(h2.DATA, h2.PADDED, 1, Buffer.from([9, 1, 2])), h2.PROTOCOL_ERROR],
    ['a window beyond what there can be', frame(h2.WINDOW_UPDATE, 0, 0, word(0x7fffffff)), h2.FLOW_CONTROL_ERROR],
    ['a window update of nothing', frame(h2.WINDOW_UPDATE, 0, 0, word(0)), h2.PROTOCOL_ERROR],
    ['a PING that is too short', frame(h2.PING, 0, 0, Buffer.alloc(7)), h2.FRAME_SIZE_ERROR],
    ['RST_STREAM that is too long', frame(h2.RST_STREAM, 0, 1, Buffer.alloc(5)), h2.FRAME_SIZE_ERROR],
    ['SETTINGS of a stream', frame(h2.SETTINGS, 0, 1), h2.PROTOCOL_ERROR],
    ['a window size that is too large', settings(h2.SETTINGS_INITIAL_WINDOW_SIZE, 0x80000000), h2.FLOW_CONTROL_ERROR],
    ['ENABLE_PUSH from a server', settings(h2.SETTINGS_ENABLE_PUSH, 1), h2.PROTOCOL_ERROR],
    [
      'more than its window',
      Buffer.concat([
        headers(h2.END_HEADERS, ':status', '200'),
        ...Array.from({ length: 300 }, () => data(0, 'x'.repeat(16_384))),
      ]),
      h2.FLOW_CONTROL_ERROR,
    ],
  ])('%s', async (name, answer, error) => {
    const [server, gateway] = await scene(answer);
    const client = await ask(gateway);
    if (name === 'more than its window') {
      // The client takes nothing, so that the window of the stream is used up: the stream's error, not the connection's.
      client.socket.pause();
      await eventually(() =>
        server.received.some(({ type, payload }) => type === h2.RST_STREAM && payload.readUInt32BE() === error),
      );
      return;
    }
    expect(await client.until('upstream-protocol')).toContain('HTTP/1.1 502 ');
    await eventually(() =>
      server.received.some(({ type, payload }) => type === h2.GOAWAY && payload.readUInt32BE(4) === error),
    );
    await eventually(() => gateway.upstream.stats.connections === 0);
    expect(gateway.upstream.stats.active).toBe(0);
  });

  test('a first frame that is not SETTINGS: no connection was had', async () => {
    const [, gateway] = await scene(Buffer.alloc(0), frame(h2.PING, 0, 0, Buffer.alloc(8)));
    expect(await (await ask(gateway)).until('upstream-connect-failed')).toContain('HTTP/1.1 503 ');
  });

  test('PING without end, and no answer is read: closed, with what is held bounded', async () => {
    const pings = Buffer.concat(Array.from({ length: 4000 }, () => frame(h2.PING, 0, 0, Buffer.alloc(8))));
    const [server, gateway] = await scene(Buffer.alloc(0));
    const client = await ask(gateway);
    await eventually(() => server.received.some(({ type }) => type === h2.HEADERS));
    const socket = server.sockets[0] as net.Socket;
    socket.pause();
    const flood = setInterval(() => socket.write(pings), 1);
    try {
      expect(await client.until('upstream-')).toContain('HTTP/1.1 502 ');
    } finally {
      clearInterval(flood);
    }
  });
});

test('property: however what comes is split, the client gets the same', async () => {
  const answer = Buffer.concat([
    headers(h2.END_HEADERS, ':status', '103', 'link', '</a>'),
    headers(0, ':status', '200', 'x-long', 'v'.repeat(300)),
    frame(h2.CONTINUATION, h2.END_HEADERS, 1, block('x-more', '1')),
    frame(h2.PING, 0, 0, Buffer.alloc(8)),
    frame(h2.DATA, h2.PADDED, 1, Buffer.concat([Buffer.from([3]), Buffer.from('hello '), Buffer.alloc(3)])),
    frame(99, 0, 1, Buffer.from('unknown')),
    data(0, ''),
    data(0, 'world'),
    headers(ENDS, 'x-sum', '11'),
  ]);
  const texts = new Set<string>();
  for (const step of [1, 2, 3, 5, 8, 9, 10, 17, 64, 1000]) {
    const [, gateway] = await scene(answer, SETTINGS, step);
    const text = await (await ask(gateway)).until('x-sum: 11\r\n\r\n');
    // The body's parts are as they came; what they hold is not.
    const body = text.slice(text.indexOf('chunked'));
    texts.add(text.slice(0, text.indexOf('chunked')) + body.replace(/[0-9a-f]+\r\n(.*?)\r\n/gs, '$1'));
  }
  expect([...texts]).toHaveLength(1);
  expect([...texts][0]).toContain('hello world');
});
