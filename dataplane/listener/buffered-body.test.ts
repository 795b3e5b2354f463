/** Bodies that a stage reads first, over real sockets: what the backend and the client see. */
import http2 from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { answering, eventually, OK, ScriptedBackend, TestProxy, type TestProxySettings } from '../engine.fixture.ts';
import { bufferBody } from '../pipeline/buffered-body.ts';
import { Headers } from '../pipeline/headers.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Reads up to `maxBytes`, then forwards; what it read is kept in `seen`. */
async function scene(settings: TestProxySettings = {}, maxBytes = 1_000_000) {
  const backend = await new ScriptedBackend(answering(OK)).listen();
  const seen: string[] = [];
  const proxy = await new TestProxy([backend.port], {
    ...settings,
    handler: (exchange, forwardIt) => {
      void bufferBody(exchange, maxBytes).then((read) => {
        seen.push(read.kind === 'body' ? read.bytes.toString() : read.kind);
        if (read.kind === 'body') forwardIt();
        else if (read.kind === 'too-large') {
          exchange.downstream.writeHead(413, new Headers(), 0);
          exchange.downstream.end(null);
        }
      });
    },
  }).listen();
  cleanups.push(
    () => backend.close(),
    () => proxy.close(),
  );
  return { backend, proxy, seen };
}

describe.each(['onread', 'data'] as const)('read through %s', (readMode) => {
  test('with a length, chunked, and none: the backend gets a length, the connection goes on', async () => {
    const { backend, proxy, seen } = await scene({ readMode });
    const client = await proxy.client();
    client.send('POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe');
    await eventually(() => proxy.exchanges.length === 1);
    client.send('llo');
    await client.until('\r\n\r\nok');
    client.send(
      'POST /b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n',
    );
    await client.until('\r\n\r\nok', client.received.length);
    client.send('GET /c HTTP/1.1\r\nhost: x\r\n\r\n');
    await eventually(() => client.received.split('\r\n\r\nok').length === 4);
    expect(seen).toEqual(['hello', 'abcde', '']);
    const all = (await backend.connection()).received;
    expect(all).toMatch(/POST \/a HTTP\/1\.1\r\n.*content-length: 5\r\n\r\nhelloPOST \/b/s);
    expect(all).toMatch(/POST \/b .*content-length: 5\r\n\r\nabcdeGET \/c/s);
    expect(all).not.toMatch(/transfer-encoding|x-t/);
    expect(backend.connections).toHaveLength(1);
  });

  test('who waits to be told to go on is told, and the backend is not asked', async () => {
    const { backend, proxy, seen } = await scene({ readMode });
    const client = await proxy.client();
    client.send('POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
    await client.until('HTTP/1.1 100 ');
    client.send('hi');
    await client.until('\r\n\r\nok');
    expect(seen).toEqual(['hi']);
    expect((await backend.connection()).received).not.toContain('expect');
  });

  test('a long one, larger than any buffer between', async () => {
    const { backend, proxy, seen } = await scene({ readMode }, 4_000_000);
    const body = 'x'.repeat(3_000_000);
    const client = await proxy.client();
    client.send(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await eventually(() => seen.length === 1);
    expect(seen[0] === body).toBe(true);
    const connection = await backend.connection();
    await eventually(() => connection.received.length > 3_000_000);
    expect(connection.received.endsWith(body)).toBe(true);
  });

  test('too long is answered before it is all there, and nothing reaches the backend', async () => {
    const { backend, proxy, seen } = await scene({ readMode }, 10);
    const announced = await proxy.client();
    announced.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\nhello');
    await announced.until('HTTP/1.1 413 ');
    const chunked = await proxy.client();
    chunked.send('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nghijkl\r\n');
    await chunked.until('HTTP/1.1 413 ');
    expect(seen).toEqual(['too-large', 'too-large']);
    expect(backend.connections).toHaveLength(0);
  });

  test('a client that leaves in the middle, or sends what is no body', async () => {
    const { backend, proxy, seen } = await scene({ readMode });
    const leaving = await proxy.client();
    leaving.send('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe');
    await eventually(() => proxy.exchanges.length === 1);
    leaving.destroy();
    const broken = await proxy.client();
    broken.send('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n');
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(['aborted', 'aborted']);
    expect(backend.connections).toHaveLength(0);
  });
});

test('over HTTP/2', async () => {
  const { backend, proxy, seen } = await scene({ protocol: 'h2c' }, 10);
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
  cleanups.push(() => session.destroy());
  const send = async (body: string): Promise<number> => {
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    stream.end(body);
    const status = await new Promise<number>((resolve, reject) => {
      stream.on('response', (headers) => resolve(Number(headers[':status'])));
      stream.on('error', reject);
    });
    stream.resume();
    return status;
  };
  expect(await send('hello')).toBe(200);
  expect(await send('hello again')).toBe(413);
  expect(await send('bye')).toBe(200);
  expect(seen).toEqual(['hello', 'too-large', 'bye']);
  expect((await backend.connection()).received).toContain('content-length: 5');
});
