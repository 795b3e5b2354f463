import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { OutboundRequest } from './message.ts';
import { Outbound } from './outbound.ts';
import { OutboundError } from './outbound-error.ts';
import { MAX_IN_FLIGHT } from './transport.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function outbound(restMs = 60_000): Outbound {
  const made = new Outbound({ restMs });
  cleanups.push(() => made.close());
  return made;
}

async function listen<S extends net.Server>(server: S, port = 0): Promise<string> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serve = (handler: http.RequestListener): Promise<string> => listen(http.createServer(handler));

const get = (url: string, more: Partial<OutboundRequest> = {}): OutboundRequest => ({
  method: 'GET',
  url,
  timeoutMs: 5_000,
  maxBytes: 1_000,
  ...more,
});

async function failure(request: Promise<unknown>): Promise<OutboundError> {
  const error = await request.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OutboundError);
  return error as OutboundError;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('method, headers and body go out; status, headers and body come back; redirects are answers', async () => {
  const url = await serve(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    response.writeHead(302, { location: '/elsewhere', 'set-cookie': ['a=1', 'b=2'] });
    response.end(`${request.method} ${request.url} ${request.headers.authorization} ${body}`);
  });
  const answer = await outbound().request(
    get(`${url}/x?y=1`, { method: 'POST', headers: { authorization: 'Basic abc' }, body: 'token=t' }),
  );
  expect(answer.status).toBe(302);
  expect(answer.headers.location).toBe('/elsewhere');
  expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
  expect(answer.body.toString()).toBe('POST /x?y=1 Basic abc token=t');
});

test('a body that is too long is cut off, whether or not its length is told; the server is not taken for dead', async () => {
  const url = await serve((request, response) => {
    if (request.url === '/told') response.setHeader('content-length', 5_000);
    response.write('x'.repeat(2_500));
    response.end('x'.repeat(2_500));
  });
  const client = outbound();
  for (let i = 0; i < 10; i++) {
    const error = await failure(client.request(get(`${url}/${i % 2 ? 'told' : ''}`)));
    expect([error.code, error.retryable]).toEqual(['too-large', false]);
  }
});

test('a server that is not there is unreachable, then not asked, and asked again once it had its rest', async () => {
  const port = await freePort();
  const client = outbound(50);
  const url = `http://127.0.0.1:${port}/secret-path?token=hidden`;
  const codes: string[] = [];
  for (let i = 0; i < 8; i++) {
    const error = await failure(client.request(get(url)));
    codes.push(error.code);
    expect(error.message).toContain(`GET http://127.0.0.1:${port}/secret-path: `);
    expect(error.message).not.toContain('hidden');
    expect(error.retryable).toBe(true);
  }
  expect(codes.slice(0, 4)).toEqual(Array(4).fill('unreachable'));
  expect(codes.at(-1)).toBe('circuit-open');
  await listen(
    http.createServer((_request, response) => response.end('back')),
    port,
  );
  for (;;) {
    const answer = await client.request(get(url)).catch((error: OutboundError) => error.code);
    if (typeof answer !== 'string') {
      expect(answer.body.toString()).toBe('back');
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

test('one that never answers costs its time-out, whatever it holds back, and later requests nothing', async () => {
  const silent = await listen(net.createServer(() => {}));
  const slowBody = await serve((_request, response) => void response.write('a'));
  for (const url of [silent, slowBody]) {
    const client = outbound();
    const first = Array.from({ length: 6 }, () => failure(client.request(get(url, { timeoutMs: 50 }))));
    expect((await Promise.all(first)).map(({ code }) => code)).toEqual(Array(6).fill('timeout'));
    // It would wait for an hour.
    expect((await failure(client.request(get(url, { timeoutMs: 3_600_000 })))).code).toBe('circuit-open');
  }
});

test('a request from before a recovery that fails after it does not take the server for dead again', async () => {
  let silent = true;
  const url = await serve((_request, response) => {
    if (!silent) response.end('ok');
  });
  const client = outbound(20);
  const old = failure(client.request(get(url, { timeoutMs: 1_000 })));
  await Promise.all(Array.from({ length: 6 }, () => failure(client.request(get(url, { timeoutMs: 50 })))));
  silent = false;
  while ((await client.request(get(url)).catch(() => null)) === null) await new Promise((r) => setTimeout(r, 5));
  expect((await old).code).toBe('timeout');
  expect((await client.request(get(url))).body.toString()).toBe('ok');
});

test('what waits for a free connection is bounded in time and number', async () => {
  const silent = await listen(net.createServer(() => {}));
  const client = outbound();
  const waiting = Array.from({ length: MAX_IN_FLIGHT }, () => failure(client.request(get(silent, { timeoutMs: 200 }))));
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect((await failure(client.request(get(silent)))).code).toBe('overloaded');
  expect(new Set((await Promise.all(waiting)).map(({ code }) => code))).toEqual(new Set(['timeout']));
});

test.each([
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['an end within the head', 'HTTP/1.1 200 OK\r\ncontent-'],
  ['an end within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'],
  ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, 'too-large'],
])('%s', async (_what, text, code = 'unreachable') => {
  const url = await listen(net.createServer((socket) => socket.on('error', () => {}).end(text)));
  expect((await failure(outbound().request(get(url)))).code).toBe(code);
});

test('a kept-alive connection that ends when it is used again: what may be done twice is sent once more', async () => {
  const url = await listen(
    net.createServer((socket) => {
      let requests = 0;
      socket.on('error', () => {});
      socket.on('data', () => {
        if (requests++ === 0) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        else socket.destroy();
      });
    }),
  );
  const client = outbound();
  for (let i = 0; i < 6; i++) expect((await client.request(get(url))).body.toString()).toBe('ok');
  const post = get(url, { method: 'POST', body: 'x' });
  const outcomes = [];
  for (let i = 0; i < 4; i++)
    outcomes.push(
      await client.request(post).then(
        () => 'ok',
        ({ code }) => code,
      ),
    );
  expect(outcomes).toContain('unreachable');
  for (let i = 0; i < 4; i++) await client.request({ ...post, repeatable: true });
});

test('one origin that is dead does not keep others from being asked, however many there are', async () => {
  const client = outbound();
  const dead = `http://127.0.0.1:${await freePort()}`;
  for (let i = 0; i < 8; i++) await failure(client.request(get(dead)));
  const alive = await serve((_request, response) => response.end('ok'));
  expect((await client.request(get(alive))).body.toString()).toBe('ok');
  const { port } = new URL(alive);
  for (let i = 1; i < 300; i++) {
    const error = await failure(
      client
        .request(get(`http://127.0.0.${1 + (i % 250)}:${port}`, { timeoutMs: 1 }))
        .then(() => Promise.reject(new OutboundError('timeout', 'answered'))),
    );
    expect(error).toBeInstanceOf(OutboundError);
  }
});

test('after close nothing is sent', async () => {
  const client = new Outbound();
  await client.close();
  await expect(client.request(get('http://127.0.0.1:1'))).rejects.toThrow('over');
});
