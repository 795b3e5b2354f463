/** What behaviour.test.ts asks of HTTP/1.1, asked of cleartext HTTP/2 where it applies. */
import http2 from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import {
  answerEmpty,
  answering,
  eventually,
  OK,
  type Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';
import { buffersInUse } from '../io/buffers.ts';
import { Headers } from '../pipeline/headers.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
  await eventually(() => buffersInUse() === 0, 'every pooled buffer is given back');
});

async function backend(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
  const started = await new ScriptedBackend(script).listen();
  running.push(started);
  return started;
}

async function gatewayTo(to: readonly ScriptedBackend[], settings: TestProxySettings = {}): Promise<TestProxy> {
  const started = await new TestProxy(
    to.map(({ port }) => port),
    { protocol: 'h2c', ...settings },
  ).listen();
  running.unshift(started);
  return started;
}

/** A client's session and what became of one request on it. */
class Call {
  headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
  readonly informational: number[] = [];
  trailers: http2.IncomingHttpHeaders | null = null;
  body = '';
  ended = false;
  closed = false;
  readonly stream: http2.ClientHttp2Stream;

  constructor(stream: http2.ClientHttp2Stream) {
    this.stream = stream;
    stream.setEncoding('latin1');
    stream.on('headers', (headers) => this.informational.push(Number(headers[':status'])));
    stream.on('response', (headers) => {
      this.headers = headers;
    });
    stream.on('trailers', (trailers) => {
      this.trailers = trailers;
    });
    stream.on('data', (text: string) => {
      this.body += text;
    });
    stream.on('end', () => {
      this.ended = true;
    });
    stream.on('error', () => {});
    stream.on('close', () => {
      this.closed = true;
    });
  }

  get status(): number {
    return Number(this.headers[':status'] ?? 0);
  }

  async over(): Promise<this> {
    await eventually(() => this.closed, 'end of the stream');
    return this;
  }
}

function connect(gateway: TestProxy, options: http2.ClientSessionOptions = {}): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${gateway.port}`, options);
  session.on('error', () => {});
  running.unshift({
    close: async () => {
      session.destroy();
    },
  });
  return session;
}

function call(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: string): Call {
  const stream = session.request({ ':authority': 'a', ...headers }, { endStream: body === undefined });
  if (body !== undefined && body !== '') stream.end(body, 'latin1');
  return new Call(stream);
}

test('a request goes through and its head is translated', async () => {
  const upstream = await backend(answering(OK));
  const gateway = await gatewayTo([upstream], { forward: { via: 'tidegate' } });
  const session = connect(gateway);
  const { status, headers, body } = await call(session, {
    ':path': '/a/./b?x=1',
    ':authority': 'A.example:80',
    cookie: ['a=1', 'b=2'],
    'x-forwarded-for': '6.6.6.6',
    te: 'trailers',
    'x-a': '1',
  }).over();
  expect([status, body, headers['content-length'], headers.via]).toEqual([200, 'ok', '2', '1.1 tidegate']);
  expect((await upstream.connection()).received).toBe(
    'GET /a/b?x=1 HTTP/1.1\r\nhost: A.example:80\r\ncookie: a=1; b=2\r\nx-a: 1\r\nx-forwarded-for: 127.0.0.1\r\n' +
      'x-forwarded-proto: http\r\nx-forwarded-host: A.example:80\r\nvia: 2.0 tidegate\r\n\r\n',
  );
  expect(gateway.exchanges[0]).toMatchObject({ protocol: 'HTTP/2', host: 'a.example', path: '/a/b', query: 'x=1' });
  expect(gateway.finished[0]).toMatchObject({ status: 200, bytesOut: 2, code: '' });
  expect(gateway.listener.stats).toMatchObject({ connections: 1, inFlight: 0, requests: 1 });
});

test('streams run side by side', async () => {
  const upstream = await backend();
  const gateway = await gatewayTo([upstream]);
  const session = connect(gateway);
  const calls = ['/0', '/1', '/2'].map((path) => call(session, { ':path': path }));
  await upstream.connection(2);
  await eventually(() => upstream.connections.every(({ received }) => received.includes('\r\n\r\n')));
  const last = upstream.connections.find(({ received }) => received.includes('GET /2')) as Peer;
  last.send(OK);
  expect((await (calls[2] as Call).over()).body).toBe('ok');
  expect(calls[0]?.status).toBe(0);
});

describe('bodies', () => {
  test.each([
    ['without length', {}],
    ['with length', { 'content-length': '3145745' }],
  ])('megabytes both ways (%s)', async (_name, fields) => {
    const size = 3 * 1024 * 1024 + 17;
    const body = 'abcdefghijklmnopq'.repeat(size / 17 + 1).slice(0, size);
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':method': 'POST', ':path': '/', ...fields }, body);
    const peer = await upstream.connection();
    const chunked = !('content-length' in fields);
    await eventually(() => (chunked ? peer.received.endsWith('0\r\n\r\n') : peer.received.endsWith(body)));
    expect(peer.received.includes('transfer-encoding: chunked')).toBe(chunked);
    peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n${body}`);
    expect((await sent.over()).body === body).toBe(true);
    expect(gateway.finished[0]).toMatchObject({ bytesIn: size, bytesOut: size, code: '' });
  });

  test('trailers both ways', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const stream = connect(gateway).request(
      { ':method': 'POST', ':path': '/', ':authority': 'a' },
      { waitForTrailers: true },
    );
    const sent = new Call(stream);
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1', authorization: 'x' }));
    stream.end('abc');
    const peer = await upstream.connection();
    await peer.until('3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n');
    await sent.over();
    expect([sent.body, sent.trailers?.['grpc-status']]).toEqual(['ok', '0']);
  });

  test('HEAD, 204 and 304 end with their head', async () => {
    const answers = [
      'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n',
      'HTTP/1.1 204 No Content\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n',
    ];
    const upstream = await backend((peer) => {
      peer.socket.on('data', () => peer.send(answers.shift() ?? ''));
    });
    const session = connect(await gatewayTo([upstream]));
    const head = await call(session, { ':method': 'HEAD', ':path': '/' }).over();
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '100', '']);
    expect((await call(session, { ':path': '/' }).over()).status).toBe(204);
    const cached = await call(session, { ':path': '/' }).over();
    expect([cached.status, cached.headers.etag]).toEqual([304, '"a"']);
    expect(upstream.connections).toHaveLength(1);
  });

  test('informational responses are passed on', async () => {
    const upstream = await backend(answering(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}`));
    const answer = await call(connect(await gatewayTo([upstream])), { ':path': '/' }).over();
    expect([answer.informational, answer.status]).toEqual([[103], 200]);
  });

  test('an early response stops the upload', async () => {
    const upstream = await backend((peer) => {
      peer.socket.once('data', () => peer.send('HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n'));
    });
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':method': 'POST', ':path': '/' }, '');
    sent.stream.write('x'.repeat(100_000));
    await sent.over();
    expect(sent.status).toBe(413);
    expect(sent.stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
    expect(gateway.finished[0]).toMatchObject({ status: 413, code: '' });
  });
});

describe('flow control', () => {
  const MIB = 1024 * 1024;

  test('a client that does not read stops the backend', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':path': '/' });
    sent.stream.pause();
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    const size = 64 * MIB;
    peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
    for (let i = 0; i < size; i += MIB) peer.send('x'.repeat(MIB));
    let last = -1;
    await eventually(async () => {
      const moved = peer.socket.bytesWritten - peer.socket.writableLength;
      const stalled = moved === last;
      last = moved;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return stalled;
    });
    expect(last).toBeLessThan(32 * MIB);
    expect(buffersInUse()).toBeLessThanOrEqual(6);
    sent.stream.resume();
    await sent.over();
    expect(sent.body.length).toBe(size);
  });

  test('a backend that does not read stops the client', async () => {
    const upstream = await backend((peer) => peer.socket.pause());
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':method': 'POST', ':path': '/' }, '');
    const size = 64 * MIB;
    let done = 0;
    for (let i = 0; i < size; i += MIB) {
      sent.stream.write('x'.repeat(MIB), () => {
        done += MIB;
      });
    }
    sent.stream.end();
    let last = -1;
    await eventually(async () => {
      const stalled = done === last;
      last = done;
      await new Promise((resolve) => setTimeout(resolve, 40));
      return stalled;
    });
    expect(last).toBeLessThan(32 * MIB);
    const peer = await upstream.connection();
    peer.socket.resume();
    await eventually(() => peer.received.endsWith('0\r\n\r\n'));
    expect(gateway.exchanges[0]).toMatchObject({ bytesIn: size });
    peer.send(OK);
    await sent.over();
    expect(sent.body).toBe('ok');
  });
});

describe('endings', () => {
  test('the client resets: the backend connection is closed', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':path': '/' });
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    sent.stream.close(http2.constants.NGHTTP2_CANCEL);
    await peer.end();
    expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[499, 'client-closed']]);
    expect(gateway.listener.stats.inFlight).toBe(0);
  });

  test('the client is gone in the middle of its body', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const session = connect(gateway);
    const sent = call(session, { ':method': 'POST', ':path': '/' }, '');
    sent.stream.write('abc');
    const peer = await upstream.connection();
    await peer.until('abc');
    session.destroy();
    await peer.end();
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]).toMatchObject({ status: 499, code: 'client-closed' });
  });

  test('the backend breaks off mid-body: the stream is reset', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':path': '/' });
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await eventually(() => sent.body === 'abc');
    peer.destroy();
    await sent.over();
    expect(sent.stream.rstCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'upstream-aborted' });
  });

  test('a body shorter or longer than its length resets; a handler that throws as well', async () => {
    const gateway = await gatewayTo([], {
      handler: ({ downstream, path }) => {
        if (path === '/throw') throw new Error('boom');
        downstream.writeHead(200, new Headers(), 5);
        downstream.write(Buffer.from(path === '/long' ? 'toolong' : 'abc'), null);
        downstream.end(null);
      },
    });
    const session = connect(gateway);
    for (const path of ['/short', '/long', '/throw']) {
      const { stream } = await call(session, { ':path': path }).over();
      expect(stream.rstCode).not.toBe(0);
    }
    expect(gateway.listener.stats.inFlight).toBe(0);
    expect(session.destroyed).toBe(false);
  });
});

describe('refusals', () => {
  test.each<[http2.OutgoingHttpHeaders, number, string]>([
    [{ ':path': '/../x' }, 400, 'bad-path'],
    [{ ':path': '/a%00' }, 400, 'bad-path'],
    [{ ':path': '/a\\b' }, 400, 'bad-target'],
    [{ ':path': '/a#b' }, 400, 'bad-target'],
    [{ ':path': '/', ':authority': 'a..b' }, 400, 'bad-host'],
    [{ ':path': '/', ':authority': 'a:99999' }, 400, 'bad-host'],
    [{ ':path': '/', host: 'other' }, 400, 'bad-host'],
    [
      { ':path': '/', ...Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`x-${i}`, 'y'])) },
      431,
      'headers-too-large',
    ],
  ])('%j: %i %s', async (headers, status, code) => {
    const gateway = await gatewayTo([], { handler: (exchange) => answerEmpty(exchange, 200) });
    const answer = await call(connect(gateway), headers).over();
    expect([answer.status, answer.headers['x-code']]).toEqual([status, code]);
    expect(gateway.exchanges).toHaveLength(0);
    expect(gateway.listener.stats).toMatchObject({ refused: 1, inFlight: 0 });
  });
});

describe('time-outs', () => {
  test('a body that stops: 408', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { listener: { timeouts: { bodyMs: 5_000 } } });
    const sent = call(connect(gateway), { ':method': 'POST', ':path': '/' }, '');
    sent.stream.write('abc');
    await (await upstream.connection()).until('abc');
    gateway.advance(5_200);
    await sent.over();
    expect(sent.status).toBe(408);
    expect(gateway.finished[0]).toMatchObject({ status: 408, code: 'body-timeout' });
  });

  test('a client that reads nothing is cut off', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { listener: { timeouts: { writeMs: 5_000 } } });
    const sent = call(connect(gateway), { ':path': '/' });
    sent.stream.pause();
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    const size = 64 * 1024 * 1024;
    peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n${'x'.repeat(size)}`);
    await eventually(() => gateway.exchanges[0]?.bytesOut !== 0 && gateway.wheel.size > 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.advance(5_200);
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'client-closed' });
  });
});

describe('drain', () => {
  test('GOAWAY first, what is in flight finishes, then the connection ends', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const session = connect(gateway);
    const goaways: number[] = [];
    session.on('goaway', (code) => goaways.push(code));
    const first = call(session, { ':path': '/0' });
    const peer = await upstream.connection();
    await peer.until('/0');
    gateway.listener.beginDrain();
    await eventually(() => goaways.length > 0);
    const late = connect(gateway);
    const second = call(late, { ':path': '/1' });
    const other = await upstream.connection(1);
    await other.until('/1');
    other.send(OK);
    expect((await second.over()).body).toBe('ok');

    let done = false;
    const closing = gateway.listener.close(60_000).then(() => {
      done = true;
    });
    await eventually(() => late.destroyed);
    expect(done).toBe(false);
    peer.send(OK);
    expect((await first.over()).body).toBe('ok');
    await closing;
    expect(goaways[0]).toBe(http2.constants.NGHTTP2_NO_ERROR);
  });

  test('what is not finished by the deadline is broken off', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const sent = call(connect(gateway), { ':path': '/' });
    await (await upstream.connection()).until('\r\n\r\n');
    await gateway.listener.close(10);
    await sent.over();
    expect(gateway.finished[0]).toMatchObject({ status: 499 });
  });
});
