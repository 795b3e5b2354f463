/** HTTP/1.1 and HTTP/2 clients to an HTTP/2 backend: what is mapped to what (RFC 9113 section 8), on real sockets. */
import { createHash, randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, type Peer, type TestProxy, type TestProxySettings } from '../../engine.fixture.ts';
import { answeringText, Http2Backend, proxyTo, type Seen } from './http2.fixture.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function backend(script: (seen: Seen, n: number) => void, options?: http2.ServerOptions): Promise<Http2Backend> {
  const started = await new Http2Backend(script, options).listen();
  running.push(started);
  return started;
}

async function gatewayTo(to: Http2Backend, settings?: TestProxySettings): Promise<TestProxy> {
  const started = await proxyTo([to.port], settings);
  running.unshift(started);
  return started;
}

async function ask(gateway: TestProxy, text: string): Promise<Peer> {
  const client = await gateway.client();
  client.send(text);
  return client;
}

describe('requests', () => {
  test('pseudo-fields, and fields without those of the connection', async () => {
    const server = await backend(answeringText('hello'));
    const gateway = await gatewayTo(server, { forward: { via: 'gw' } });
    const client = await ask(
      gateway,
      'GET /a/b?c=d HTTP/1.1\r\nHost: shop.test:8080\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nX-Both: one\r\nKeep-Alive: 5\r\nTE: trailers\r\nx-both: two\r\nCookie: a=1; b=2\r\nForwarded: for=evil\r\nX-Forwarded-For: 6.6.6.6\r\nProxy-Authorization: basic x\r\n\r\n',
    );
    const answer = await client.until('hello');
    expect(answer).toContain('HTTP/1.1 200 OK\r\n');
    expect(answer).toContain('content-length: 5\r\n');
    expect(answer).toContain('via: 2.0 gw\r\n');
    expect(answer).not.toContain('transfer-encoding');
    const { raw } = await server.stream();
    expect(raw).toEqual([
      ':method',
      'GET',
      ':scheme',
      'http',
      ':path',
      '/a/b?c=d',
      ':authority',
      'shop.test:8080',
      'x-both',
      'one',
      'te',
      'trailers',
      'x-both',
      'two',
      'cookie',
      'a=1; b=2',
      'x-forwarded-for',
      '127.0.0.1',
      'x-forwarded-proto',
      'http',
      'x-forwarded-host',
      'shop.test:8080',
      'via',
      '1.1 gw',
    ]);
  });

  test('a host and a path that the rule rewrites', async () => {
    const server = await backend(answeringText('hello'));
    const gateway = await gatewayTo(server, { forward: { rewrite: { host: 'inner.test' } } });
    await (await ask(gateway, 'GET / HTTP/1.1\r\nhost: outer.test\r\n\r\n')).until('hello');
    const { fields } = await server.stream();
    expect(fields[':authority']).toBe('inner.test');
    expect(fields['x-forwarded-host']).toBe('outer.test');
  });

  test('a body with its length, one in chunks with trailers', async () => {
    const bodies: string[] = [];
    const trailers: unknown[] = [];
    const server = await backend(({ stream }) => {
      let body = '';
      stream.on('data', (bytes) => {
        body += bytes;
      });
      stream.on('trailers', (_fields, _flags, raw) => trailers.push(raw));
      stream.on('end', () => {
        bodies.push(body);
        stream.respond({ ':status': 200 }, { endStream: true });
      });
    });
    const gateway = await gatewayTo(server);
    const client = await ask(gateway, 'POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello');
    await client.until('\r\n\r\n');
    client.send(
      'POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 12\r\n\r\n',
    );
    client.send('POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
    client.send('POST /4 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n');
    await eventually(() => gateway.finished.length === 4);
    expect(bodies).toEqual(['hello', 'hello', 'abc', '']);
    expect(trailers).toEqual([['x-sum', '12']]);
    expect(server.seen.map(({ fields }) => fields['content-length'])).toEqual(['5', undefined, undefined, '0']);
    expect(server.sessions).toHaveLength(1);
  });

  test('Expect: 100-continue is asked of the backend, and its answer passed on', async () => {
    const server = await backend(() => {});
    server.server.on('checkContinue', () => {});
    const gateway = await gatewayTo(server);
    const client = await ask(
      gateway,
      'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n',
    );
    const { stream, fields } = await server.stream();
    expect(fields.expect).toBe('100-continue');
    stream.additionalHeaders({ ':status': 100 });
    await client.until('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('ok');
    stream.once('data', (bytes) => {
      stream.respond({ ':status': 200 });
      stream.end(bytes);
    });
    await client.until('ok');
  });
});

test('a head below 400 in place of a 100 (Continue): the body is sent all the same', async () => {
  const server = await backend(({ stream }) => {
    stream.respond({ ':status': 200 });
    stream.on('data', (bytes) => stream.write(bytes));
    stream.on('end', () => stream.end());
  });
  const gateway = await gatewayTo(server);
  const client = await ask(gateway, 'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n');
  await client.until('200 OK');
  client.send('body');
  expect(await client.until('0\r\n\r\n')).toContain('4\r\nbody\r\n');
});

describe('responses', () => {
  test('informational heads, then the final one; a body without length goes out in chunks', async () => {
    const server = await backend(({ stream }) => {
      stream.additionalHeaders({ ':status': 103, link: '</a.css>; rel=preload' });
      stream.respond({ ':status': 200, 'x-a': '1', 'set-cookie': ['a=1', 'b=2'] });
      stream.end('body');
    });
    const gateway = await gatewayTo(server);
    const text = await (await ask(gateway, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n')).until('0\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1.1 103 Early Hints\r\nlink: <\/a.css>; rel=preload\r\n\r\nHTTP\/1.1 200 OK\r\n/);
    expect(text).toContain('set-cookie: a=1\r\nset-cookie: b=2\r\n');
    expect(text).toContain('transfer-encoding: chunked');
    expect(text).toMatch(/4\r\nbody\r\n0\r\n\r\n$/);
  });

  test('trailers', async () => {
    const server = await backend(({ stream }) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }));
      stream.end('body');
    });
    const gateway = await gatewayTo(server);
    const text = await (await ask(gateway, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n')).until('x-sum');
    expect(text).toMatch(/4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n$/);
  });

  test.each([
    ['HEAD', 200, 'content-length: 1234'],
    ['GET', 204, ''],
    ['GET', 304, ''],
  ])('%s answered %i: no body, and the connection serves on', async (method, status, field) => {
    const server = await backend(({ stream }) => {
      const length = method === 'HEAD' ? { 'content-length': 1234 } : {};
      stream.respond({ ':status': status, ...length }, { endStream: true });
    });
    const gateway = await gatewayTo(server);
    const client = await ask(gateway, `${method} / HTTP/1.1\r\nhost: a\r\n\r\n`);
    const text = await client.until('\r\n\r\n');
    expect(text).toContain(`HTTP/1.1 ${status} `);
    expect(text).toContain(field);
    client.send(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`);
    await eventually(() => gateway.finished.length === 2);
    expect(gateway.upstream.stats).toMatchObject({ active: 0, connections: 1 });
  });

  test.each([
    ['CANCEL', http2.constants.NGHTTP2_CANCEL],
    ['INTERNAL_ERROR', http2.constants.NGHTTP2_INTERNAL_ERROR],
    ['NO_ERROR', http2.constants.NGHTTP2_NO_ERROR],
  ])('reset with %s after its head: the client sees a broken message', async (_name, code) => {
    const server = await backend(({ stream }) => {
      stream.respond({ ':status': 200 });
      stream.write('part');
    });
    const gateway = await gatewayTo(server);
    const client = await ask(gateway, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await client.until('part');
    resetNow((await server.stream()).stream, code);
    const text = await client.close();
    expect(text).not.toContain('0\r\n\r\n');
    expect(gateway.finished[0]?.code).toBe('upstream-aborted');
    expect(gateway.upstream.stats.active).toBe(0);
  });

  test('reset before its head: 502; the session serves on', async () => {
    const server = await backend(({ stream }, n) => {
      if (n === 0) stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      else stream.respond({ ':status': 204 }, { endStream: true });
    });
    const gateway = await gatewayTo(server);
    const client = await ask(gateway, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    expect(await client.until('upstream-reset')).toContain('HTTP/1.1 502 ');
    client.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await client.until('204 No Content');
    expect(server.sessions).toHaveLength(1);
  });

  test('an answer while the body still uploads, then RST_STREAM(NO_ERROR): complete', async () => {
    const server = await backend(({ stream }) => {
      stream.respond({ ':status': 200, 'content-length': 5 });
      stream.end('early');
      stream.once('finish', () => resetNow(stream, http2.constants.NGHTTP2_NO_ERROR));
    });
    const gateway = await gatewayTo(server);
    const client = await ask(gateway, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\npart');
    expect(await client.until('early')).toContain('HTTP/1.1 200 OK\r\n');
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]?.code).toBe('');
    expect(gateway.upstream.stats.active).toBe(0);
  });
});

describe('both ends HTTP/2', () => {
  test('bodies and trailers both ways', async () => {
    const server = await backend(({ stream }) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      let length = 0;
      stream.on('data', (bytes) => {
        length += bytes.length;
        stream.write(bytes);
      });
      stream.on('end', () => stream.end());
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-length': String(length) }));
    });
    const gateway = await gatewayTo(server, { protocol: 'h2c' });
    const client = http2.connect(`http://127.0.0.1:${gateway.port}`);
    running.unshift({
      close: async () => {
        client.destroy();
      },
    });
    const body = randomBytes(3 * 1024 * 1024);
    const stream = client.request({ ':method': 'POST', ':path': '/', te: 'trailers' });
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.end(body);
    const hash = createHash('sha256');
    for await (const chunk of stream) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(body).digest('hex'));
    expect(trailers['x-length']).toBe(String(body.length));
    expect((await server.stream()).fields.te).toBe('trailers');
  });
});

/** An RST_STREAM at once; `close` waits for what is written. */
function resetNow(stream: http2.ServerHttp2Stream, code: number): void {
  const handle = Object.getOwnPropertySymbols(stream).find((symbol) => symbol.description === 'kHandle');
  const native =
    handle === undefined ? null : (stream as unknown as Record<symbol, { rstStream(code: number): void }>)[handle];
  if (native === null || native === undefined) stream.close(code);
  else native.rstStream(code);
}
