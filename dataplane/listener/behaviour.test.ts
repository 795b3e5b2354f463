/**
 * What a client sees, through the whole engine with real sockets: once with reads through `onread`, once with plain 'data' events.
 * What holds for HTTP/2 as well is in h2c.test.ts.
 */
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
import type { ReadMode } from '../io/wire.ts';
import { type BodySink, LENGTH_UNKNOWN } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { PendingResponse } from '../upstream/seam.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
  await eventually(() => buffersInUse() === 0, 'every pooled buffer is given back');
});

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

describe.each<ReadMode>(['onread', 'data'])('reads through %s', (readMode) => {
  async function backend(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
    const started = await new ScriptedBackend(script).listen();
    running.push(started);
    return started;
  }

  async function proxy(to: readonly ScriptedBackend[], settings: TestProxySettings = {}): Promise<TestProxy> {
    const started = await new TestProxy(
      to.map(({ port }) => port),
      { readMode, ...settings },
    ).listen();
    running.unshift(started);
    return started;
  }

  test('a request goes through, keep-alive on both sides', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy([upstream]);
    const client = await gateway.client();
    for (let i = 1; i <= 3; i++) {
      client.send(GET);
      await eventually(() => client.received.split('ok').length === i + 1);
    }
    expect(client.received.slice(0, client.received.length / 3)).toBe(
      'HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 2\r\n\r\nok',
    );
    expect(upstream.connections).toHaveLength(1);
    expect(gateway.upstream.stats).toEqual({ endpoints: 1, connections: 1, active: 0, pending: 0 });
    expect(gateway.listener.stats).toMatchObject({ connections: 1, inFlight: 0, requests: 3, refused: 0 });
    expect(gateway.finished.map(({ status, code, bytesOut, backend: name }) => [status, code, bytesOut, name])).toEqual(
      Array(3).fill([200, '', 2, 'test/plain']),
    );
  });

  test('the request head as the backend gets it', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy([upstream], { forward: { via: 'tidegate' } });
    const client = await gateway.client();
    client.send(
      'GET /a/./b//c%2e/../d%2fe?x=//../y HTTP/1.1\r\nHost: A.example:80\r\nConnection: keep-alive, x-drop\r\nKeep-Alive: 5\r\nX-Drop: 1\r\n' +
        'TE: trailers\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Forwarded-For: 6.6.6.6\r\n' +
        'X-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nAccept: a\r\nAccept:  b \r\n\r\n',
    );
    await client.until('ok');
    expect((await upstream.connection()).received).toBe(
      'GET /a/b/d%2Fe?x=//../y HTTP/1.1\r\nhost: A.example:80\r\naccept: a\r\naccept: b\r\nx-forwarded-for: 127.0.0.1\r\n' +
        'x-forwarded-proto: http\r\nx-forwarded-host: A.example:80\r\nvia: 1.1 tidegate\r\n\r\n',
    );
    expect(client.received).toContain('\r\nvia: 1.1 tidegate\r\n');
  });

  test('behind trusted hops X-Forwarded-* is believed and added to', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy([upstream], { forward: { trustedHops: 2 }, listener: { trustedHops: 2 } });
    const client = await gateway.client();
    client.send(
      'GET / HTTP/1.1\r\nhost: a\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: pub\r\n\r\n',
    );
    await client.until('ok');
    expect((await upstream.connection()).received).toContain(
      'x-forwarded-for: 6.6.6.6, 192.0.2.7, 10.0.0.1, 127.0.0.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: pub\r\n',
    );
    expect(gateway.exchanges[0]).toMatchObject({ clientAddress: '192.0.2.7', scheme: 'https' });
  });

  test('rewrites of host and path', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await proxy([upstream], {
      forward: { rewrite: { host: 'inner.example', path: { kind: 'prefix', value: '/v2' } } },
      handler: (exchange, go) => {
        exchange.matchedPrefix = '/api';
        exchange.requestId = 'id-1';
        go();
      },
    });
    const client = await gateway.client();
    client.send('GET /api/x?q=1 HTTP/1.1\r\nhost: outer\r\nx-request-id: theirs\r\n\r\n');
    await client.until('ok');
    const { received } = await upstream.connection();
    expect(received).toMatch(/^GET \/v2\/x\?q=1 HTTP\/1.1\r\nhost: inner.example\r\n/);
    expect(received).toContain('x-forwarded-host: outer\r\nx-request-id: id-1\r\n');
    expect(received).not.toContain('theirs');
  });

  describe('bodies', () => {
    test('a request body with a length, in pieces', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nab');
      const peer = await upstream.connection();
      await peer.until('\r\n\r\nab');
      expect(peer.received).toContain('content-length: 6\r\n');
      client.send('cdef');
      await peer.until('abcdef');
      peer.send(OK);
      await client.until('ok');
      expect(gateway.finished[0]).toMatchObject({ bytesIn: 6, bytesOut: 2 });
    });

    test('head and small body leave in one write', async () => {
      const reads: number[] = [];
      const upstream = await backend((peer) => {
        peer.socket.on('data', (bytes) => {
          reads.push(bytes.length);
          peer.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
        });
      });
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc');
      await client.until('\r\n\r\n');
      expect(reads).toEqual([(await upstream.connection()).received.length]);
    });

    test('chunked request with trailers and extensions', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(
        'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n',
      );
      const peer = await upstream.connection();
      await peer.until('x-sum');
      expect(peer.received).toMatch(/transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n$/);
      peer.send(OK);
      await client.until('ok');
      expect(gateway.finished[0]).toMatchObject({ bytesIn: 3 });
    });

    test('chunked response with trailers', async () => {
      const upstream = await backend(
        answering(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n',
        ),
      );
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(GET);
      await client.until('x-sum: 1\r\n\r\n');
      expect(client.received).toMatch(
        /\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx-sum: 1\r\n\r\n$/,
      );
      client.send(GET);
      await eventually(() => client.received.split('x-sum').length === 3);
      expect(upstream.connections).toHaveLength(1);
    });

    test('a response until the close becomes chunked, and for HTTP/1.0 a close', async () => {
      const upstream = await backend((peer) => {
        peer.socket.on('data', () => peer.socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
      });
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(GET);
      expect(await client.until('0\r\n\r\n')).toMatch(/chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n$/);
      const old = await gateway.client();
      old.send('GET / HTTP/1.0\r\n\r\n');
      expect(await old.end()).toMatch(/\r\nconnection: close\r\n\r\nall of it$/);
      expect(old.received).not.toContain('chunked');
    });

    test.each([
      ['length', (size: number) => [`content-length: ${size}`, (body: string) => body]],
      [
        'chunks',
        () => ['transfer-encoding: chunked', (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`],
      ],
    ] as [string, (size: number) => [string, (body: string) => string]][])(
      'megabytes both ways arrive byte for byte (%s)',
      async (_name, frame) => {
        const size = 3 * 1024 * 1024 + 17;
        const body = Array.from({ length: size / 16 + 1 }, (_, i) => i.toString(16).padStart(16, '.'))
          .join('')
          .slice(0, size);
        const [field, encode] = frame(size);
        const upstream = await backend();
        const gateway = await proxy([upstream]);
        const client = await gateway.client();
        client.send(`POST / HTTP/1.1\r\nhost: a\r\n${field}\r\n\r\n${encode(body)}`);
        const peer = await upstream.connection();
        await eventually(() => peer.received.length >= size);
        await eventually(() => decoded(peer.received).length >= size);
        expect(decoded(peer.received) === body).toBe(true);
        peer.send(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n${encode(body)}`);
        await eventually(() => gateway.finished.length === 1);
        await eventually(() => decoded(client.received).length >= size);
        expect(decoded(client.received) === body).toBe(true);
        expect(gateway.finished[0]).toMatchObject({ bytesIn: size, bytesOut: size, code: '' });
      },
    );

    test('HEAD, 204 and 304 have no body and keep the connection', async () => {
      const answers = [
        'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n',
        'HTTP/1.1 204 No Content\r\n\r\n',
        'HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n',
        'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
        OK,
      ];
      const upstream = await backend((peer) => {
        peer.socket.on('data', () => peer.send(answers.shift() ?? ''));
      });
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      const seen: string[] = [];
      for (const method of ['HEAD', 'GET', 'GET', 'HEAD', 'GET']) {
        const before = client.received.length;
        client.send(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`);
        await client.until(method === 'GET' && answers.length === 1 ? 'ok' : '\r\n\r\n', before);
        seen.push(client.received.slice(before));
      }
      const date = 'date: Thu, 01 Jan 1970 00:00:00 GMT\r\n';
      expect(seen).toEqual([
        `HTTP/1.1 200 OK\r\n${date}content-length: 100\r\n\r\n`,
        `HTTP/1.1 204 No Content\r\n${date}\r\n`,
        `HTTP/1.1 304 Not Modified\r\netag: "a"\r\n${date}\r\n`,
        `HTTP/1.1 200 OK\r\n${date}\r\n`,
        `HTTP/1.1 200 OK\r\n${date}content-length: 2\r\n\r\nok`,
      ]);
      expect(upstream.connections).toHaveLength(1);
    });

    test('an early response ends the upload: the rest is dropped within bounds and the connection closes', async () => {
      const upstream = await backend((peer) => {
        peer.socket.once('data', () => peer.send('HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n'));
      });
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nabc');
      expect(await client.end()).toMatch(/^HTTP\/1.1 413 .*connection: close\r\n\r\n$/s);
      client.send('x'.repeat(1000));
      await eventually(() => gateway.upstream.stats.connections === 0);
      gateway.advance(10_000);
      await client.close();
      expect(gateway.finished[0]).toMatchObject({ status: 413, code: '' });
    });

    test('an early response before a short rest of the body keeps the connection', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc');
      const first = await upstream.connection();
      await first.until('abc');
      first.send('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno');
      await client.until('no');
      await first.end();
      client.send('defghij');
      client.send('GET /next HTTP/1.1\r\nhost: a\r\n\r\n');
      const peer = await upstream.connection(1);
      await peer.until('GET /next');
      peer.send(OK);
      await client.until('ok');
    });

    test('Expect: 100-continue waits for the backend', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nExpect: 100-Continue\r\n\r\n');
      const peer = await upstream.connection();
      await peer.until('expect: 100-continue\r\n');
      expect(client.received).toBe('');
      peer.send('HTTP/1.1 100 Continue\r\n\r\n');
      expect(await client.until('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
      client.send('abc');
      await peer.until('\r\n\r\nabc');
      peer.send(OK);
      await client.until('ok');
    });

    test('Expect: 100-continue with a backend that keeps silent goes on after a second', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nExpect: 100-continue\r\n\r\n');
      await (await upstream.connection()).until('\r\n\r\n');
      gateway.advance(1_200);
      expect(await client.until('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    });

    test('Expect: 100-continue with a final answer closes, as the body may or may not come', async () => {
      const upstream = await backend(answering('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n'));
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nExpect: 100-continue\r\n\r\n');
      expect(await client.end()).toMatch(/^HTTP\/1.1 401 .*connection: close\r\n\r\n$/s);
    });

    test('other informational responses are passed on, not to HTTP/1.0', async () => {
      const hints = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';
      const upstream = await backend(answering(`HTTP/1.1 100 Continue\r\n\r\n${hints}${OK}`));
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(GET);
      expect(await client.until('ok')).toMatch(/^HTTP\/1.1 103 Early Hints\r\nlink: <\/a>\r\n\r\nHTTP\/1.1 200 OK\r\n/);
      const old = await gateway.client();
      old.send('GET / HTTP/1.0\r\n\r\n');
      expect(await old.end()).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    });

    test('a malformed chunk is answered 400, and nothing after it is read', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(
        'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n',
      );
      expect(await client.end()).toMatch(/^HTTP\/1.1 400 .*connection: close\r\n.*malformed/s);
      expect(gateway.exchanges).toHaveLength(1);
      expect(gateway.finished).toHaveLength(1);
      expect((await upstream.connection()).received).not.toContain('smuggled');
      await eventually(() => gateway.upstream.stats.connections === 0);
    });
  });

  describe('pipelining', () => {
    test('answers come in order, one request at a time', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(
        'GET /1 HTTP/1.1\r\nhost: a\r\n\r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nhost: a\r\n\r\n',
      );
      const peer = await upstream.connection();
      await peer.until('GET /1');
      expect(peer.received).not.toContain('/2');
      peer.send('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none');
      await peer.until('POST /2');
      await peer.until('\r\n\r\nhi');
      peer.send('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo');
      await peer.until('GET /3');
      peer.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthree');
      await client.until('three');
      expect(client.received.replaceAll(/HTTP.*?\r\n\r\n/gs, '|')).toBe('|one|two|three');
    });

    test('answered at once, they are all answered', async () => {
      const gateway = await proxy([], { handler: (exchange) => answerEmpty(exchange, 200) });
      const client = await gateway.client();
      client.send(GET.repeat(500));
      await eventually(() => client.received.split('HTTP/1.1 200').length === 501);
      expect(gateway.listener.stats).toMatchObject({ requests: 500, inFlight: 0 });
    });

    test('what is held is bounded', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream], { listener: { limits: { pipelineBytes: 4096 } } });
      const client = await gateway.client();
      client.send(GET);
      await (await upstream.connection()).until('GET /');
      client.send(GET.repeat(1_000_000));
      await eventually(() => client.socket.writableLength > 1_000_000 && client.socket.writableNeedDrain);
      const before = client.socket.bytesWritten - client.socket.writableLength;
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
      expect(gateway.exchanges).toHaveLength(1);
      expect(client.socket.bytesWritten - client.socket.writableLength).toBe(before);
    });
  });

  describe('backpressure', () => {
    const MIB = 1024 * 1024;

    test('a client that does not read stops the backend', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.socket.pause();
      client.send(GET);
      const peer = await upstream.connection();
      await peer.until('GET /');
      const size = 256 * MIB;
      const piece = 'x'.repeat(MIB);
      peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
      let sent = 0;
      const more = (): void => {
        while (sent < size && peer.socket.writableLength < 4 * MIB) {
          peer.send(piece);
          sent += MIB;
        }
      };
      peer.socket.on('drain', more);
      more();
      // Stalled: nothing has moved in many turns of the loop.
      let last = -1;
      await eventually(async () => {
        const moved = peer.socket.bytesWritten - peer.socket.writableLength;
        const stalled = moved === last;
        last = moved;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return stalled;
      });
      expect(last).toBeLessThan(64 * MIB);
      expect(buffersInUse()).toBeLessThanOrEqual(6);
      client.socket.resume();
      await eventually(() => gateway.finished.length === 1);
      expect(gateway.finished[0]).toMatchObject({ bytesOut: size, code: '' });
    });

    test('a backend that does not read stops the client', async () => {
      const upstream = await backend((peer) => peer.socket.pause());
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      const size = 128 * MIB;
      client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${size}\r\n\r\n`);
      const piece = 'x'.repeat(MIB);
      for (let sent = 0; sent < size; sent += MIB) client.send(piece);
      let last = -1;
      await eventually(async () => {
        const moved = client.socket.bytesWritten - client.socket.writableLength;
        const stalled = moved === last && moved > 0;
        last = moved;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return stalled;
      });
      expect(last).toBeLessThan(64 * MIB);
      expect(buffersInUse()).toBeLessThanOrEqual(6);
      const peer = await upstream.connection();
      peer.socket.removeAllListeners('data');
      let got = 0;
      peer.socket.on('data', (bytes) => {
        got += bytes.length;
      });
      peer.socket.resume();
      await eventually(() => got >= size);
      peer.send(OK);
      await client.until('ok');
      expect(gateway.finished[0]).toMatchObject({ bytesIn: size });
    });

    test('an asynchronous response stage holds the body back, complete', async () => {
      const held: PendingResponse[] = [];
      const upstream = await backend();
      const gateway = await proxy([upstream], { respond: (_exchange, response) => held.push(response) });
      const client = await gateway.client();
      client.send(GET);
      const peer = await upstream.connection();
      await peer.until('GET /');
      const body = 'y'.repeat(300_000);
      peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      await eventually(() => held.length === 1);
      expect(client.received).toBe('');
      held[0]?.proceed();
      await eventually(() => client.received.endsWith(body));
      expect(gateway.finished).toHaveLength(1);
      held[0]?.proceed();
      held[0]?.discard();
      expect(gateway.finished).toHaveLength(1);
    });

    test('a body is held while an asynchronous stage decides', async () => {
      const upstream = await backend();
      const waiting: (() => void)[] = [];
      const gateway = await proxy([upstream], { handler: (_exchange, go) => waiting.push(go) });
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab');
      await eventually(() => waiting.length === 1);
      client.send('cdeGET /next HTTP/1.1\r\nhost: a\r\n\r\n');
      waiting[0]?.();
      const peer = await upstream.connection();
      await peer.until('\r\n\r\nabcde');
      peer.send(OK);
      await eventually(() => waiting.length === 2);
      waiting[1]?.();
      await peer.until('GET /next');
      peer.send(OK);
      await eventually(() => gateway.finished.length === 2);
    });
  });

  describe('endings', () => {
    test('the client goes away: the backend connection is closed', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(GET);
      const peer = await upstream.connection();
      await peer.until('GET /');
      client.socket.resetAndDestroy();
      await peer.end();
      expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[499, 'client-closed']]);
      expect(gateway.upstream.stats).toMatchObject({ active: 0 });
      await eventually(() => gateway.upstream.stats.connections === 0);
    });

    test('the client goes away in the middle of its body', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nabc');
      const peer = await upstream.connection();
      await peer.until('abc');
      client.socket.end();
      await peer.end();
      expect(gateway.finished).toHaveLength(1);
      expect(gateway.finished[0]).toMatchObject({ status: 499, code: 'client-closed' });
    });

    test('whoever reads the body hears that it broke, and then that the client is gone', async () => {
      const heard: string[] = [];
      const gateway = await proxy([], {
        handler: ({ downstream }) => {
          downstream.onClose = () => heard.push('close');
          downstream.readBody({
            onData: (chunk) => heard.push(Buffer.from(chunk).toString()) > 0,
            onEnd: () => heard.push('end'),
            onAbort: (reason) => heard.push(reason),
          });
        },
      });
      const client = await gateway.client();
      client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nabc');
      await eventually(() => heard.length === 1);
      client.socket.resetAndDestroy();
      await eventually(() => heard.length === 3);
      expect(heard).toEqual(['abc', 'client-closed', 'close']);
    });

    test('the client goes away in the middle of the response', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(GET);
      const peer = await upstream.connection();
      await peer.until('GET /');
      peer.send('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc');
      await client.until('abc');
      client.socket.resetAndDestroy();
      await peer.end();
      expect(gateway.finished.map(({ status, code, bytesOut }) => [status, code, bytesOut])).toEqual([
        [200, 'client-closed', 3],
      ]);
    });

    test('a half-closed client gets its answer, also to what it pipelined', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.socket.end(GET + GET.replace('/', '/2'));
      const peer = await upstream.connection();
      await peer.until('GET /');
      peer.send(OK);
      await peer.until('GET /2');
      peer.send(OK);
      const text = await client.end();
      expect(text.split('ok')).toHaveLength(3);
      await client.close();
      await eventually(() => gateway.listener.stats.connections === 0);
    });

    test('a half-closed client is taken for gone after a while', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream], { listener: { timeouts: { halfCloseMs: 5_000 } } });
      const client = await gateway.client();
      client.socket.end(GET);
      const peer = await upstream.connection();
      await peer.until('GET /');
      await eventually(() => {
        gateway.advance(1_000);
        return gateway.finished.length === 1;
      });
      expect(gateway.finished[0]).toMatchObject({ status: 499, code: 'client-closed' });
      await peer.end();
    });

    test.each([
      ['length', 'HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nabc'],
      ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ])('the backend breaks off mid-body (%s): the client sees an incomplete response', async (_name, part) => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(GET);
      const peer = await upstream.connection();
      await peer.until('GET /');
      peer.send(part);
      await client.until('abc');
      peer.destroy();
      const text = await client.close();
      expect(text).toMatch(/abc(\r\n)?$/);
      expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[200, 'upstream-aborted']]);
    });

    test('a response that broke off is a reset where a close would look complete', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send('GET / HTTP/1.0\r\n\r\n');
      const peer = await upstream.connection();
      await peer.until('GET /');
      peer.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
      await client.until('abc');
      peer.destroy();
      await client.close();
      expect(client.error?.code).toBe('ECONNRESET');
    });

    test('a body shorter or longer than its announced length never looks complete', async () => {
      const gateway = await proxy([], {
        handler: ({ downstream, path }) => {
          downstream.writeHead(200, new Headers(), 5);
          downstream.write(Buffer.from(path === '/long' ? 'toolong' : 'abc'), null);
          downstream.end(null);
        },
      });
      for (const path of ['/short', '/long']) {
        const client = await gateway.client();
        client.send(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
        const text = await client.close();
        expect(text).not.toMatch(/\r\n\r\n.{5}/s);
      }
      expect(gateway.listener.stats.inFlight).toBe(0);
    });

    test('a handler that throws breaks its exchange off, nothing else', async () => {
      const gateway = await proxy([], {
        handler: (exchange) => {
          if (exchange.path === '/throw') throw new Error('boom');
          answerEmpty(exchange, 200);
        },
      });
      const good = await gateway.client();
      const bad = await gateway.client();
      bad.send('GET /throw HTTP/1.1\r\nhost: a\r\n\r\n');
      await bad.close();
      good.send(GET);
      await good.until('200 OK');
      expect(gateway.errors.map(String)).toEqual(['Error: boom']);
      expect(gateway.listener.stats.inFlight).toBe(0);
    });

    test('calls after the end of an exchange do nothing to the next one', async () => {
      const sink: BodySink = { onData: () => true, onEnd: () => {}, onAbort: () => {} };
      const gateway = await proxy([], { handler: (exchange) => answerEmpty(exchange, 200) });
      const client = await gateway.client();
      client.send(GET);
      await client.until('200 OK');
      const downstream = gateway.exchanges[0]?.downstream;
      downstream?.writeHead(500, new Headers(), LENGTH_UNKNOWN);
      downstream?.write(Buffer.from('bad'), null);
      downstream?.end(null);
      downstream?.abort();
      downstream?.readBody(sink);
      client.send(GET);
      await eventually(() => client.received.split('200 OK').length === 3);
      expect(client.received).not.toContain('bad');
    });
  });

  describe('upgrade', () => {
    const ASK = 'GET /chat HTTP/1.1\r\nhost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n';

    test('after a 101 bytes flow raw both ways, and half-closes pass through', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream], { forward: { idleTimeoutMs: 60_000 } });
      const client = await gateway.client();
      client.send(`${ASK}early`);
      const peer = await upstream.connection();
      await peer.until('connection: upgrade\r\n');
      expect(peer.received).toContain('upgrade: websocket\r\n');
      expect(peer.received).not.toContain('early');
      peer.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello');
      expect(await client.until('hello')).toMatch(
        /^HTTP\/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\nhello$/,
      );
      await peer.until('early');
      const big = 'z'.repeat(400_000);
      client.send(big);
      await peer.until(big);
      peer.send(big);
      await client.until(big);
      client.socket.end('bye');
      await peer.until('bye');
      await peer.end();
      peer.socket.end('last');
      await client.until('last');
      await eventually(() => gateway.finished.length === 1);
      expect(gateway.finished[0]).toMatchObject({ status: 101, code: '', bytesIn: 5 + big.length + 3 });
      expect(gateway.listener.stats.inFlight).toBe(0);
      await eventually(() => gateway.upstream.stats.connections === 0);
    });

    test.each(['client', 'backend'])('the %s breaks the tunnel: the other side ends', async (who) => {
      const upstream = await backend();
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(ASK);
      const peer = await upstream.connection();
      await peer.until('\r\n\r\n');
      peer.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      await client.until('101');
      (who === 'client' ? client : peer).socket.resetAndDestroy();
      await (who === 'client' ? peer : client).end();
      await eventually(() => gateway.finished.length === 1);
      expect(gateway.upstream.stats.active).toBe(0);
    });

    test('an idle tunnel is closed', async () => {
      const upstream = await backend();
      const gateway = await proxy([upstream], { forward: { idleTimeoutMs: 10_000 } });
      const client = await gateway.client();
      client.send(ASK);
      const peer = await upstream.connection();
      await peer.until('\r\n\r\n');
      peer.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      await client.until('101');
      gateway.advance(9_000);
      client.send('still here');
      await peer.until('still here');
      gateway.advance(9_000);
      expect(client.closed).toBe(false);
      gateway.advance(2_000);
      await client.close();
      expect(gateway.finished[0]).toMatchObject({ code: 'upstream-idle-timeout' });
    });

    test('a backend that declines answers as ever; one that switches unasked is refused', async () => {
      const upstream = await backend(answering(OK));
      const gateway = await proxy([upstream]);
      const client = await gateway.client();
      client.send(ASK);
      await client.until('ok');
      const rude = await backend(
        answering('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
      );
      gateway.update([rude.port]);
      client.send(GET);
      await client.until('502 Bad Gateway');
      expect(gateway.finished.at(-1)).toMatchObject({ code: 'upstream-protocol' });
    });
  });
});

/** The body of a message in either framing. */
function decoded(message: string): string {
  const start = message.indexOf('\r\n\r\n') + 4;
  if (!message.slice(0, start).includes('chunked')) return message.slice(start);
  let out = '';
  let at = start;
  for (;;) {
    const line = message.indexOf('\r\n', at);
    if (line < 0) return out;
    const size = Number.parseInt(message.slice(at, line), 16);
    if (!(size > 0)) return out;
    out += message.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}
