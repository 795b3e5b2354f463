/** Pools, failures, repeats and time-outs towards backends, on real sockets with the test's own clock. */
import { afterEach, describe, expect, test } from 'vitest';
import {
  answering,
  deafPort,
  eventually,
  OK,
  type Peer,
  ScriptedBackend,
  TestProxy,
  type TestProxySettings,
} from '../engine.fixture.ts';
import type { PendingResponse } from './seam.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function backend(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
  const started = await new ScriptedBackend(script).listen();
  running.push(started);
  return started;
}

async function gatewayTo(to: readonly ScriptedBackend[], settings: TestProxySettings = {}): Promise<TestProxy> {
  const started = await new TestProxy(
    to.map(({ port }) => port),
    settings,
  ).listen();
  running.unshift(started);
  return started;
}

/** A port that nobody listens on. */
async function deadPort(): Promise<number> {
  const server = await new ScriptedBackend().listen();
  await server.close();
  return server.port;
}

const request = (path: string, method = 'GET', more = ''): string =>
  `${method} ${path} HTTP/1.1\r\nhost: a\r\n${more}\r\n`;

/** One request over a new client connection. */
async function ask(gateway: TestProxy, path: string, method = 'GET', more = ''): Promise<Peer> {
  const client = await gateway.client();
  client.send(request(path, method, more));
  return client;
}

describe('pool', () => {
  test('the connection used last is used first', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const clients = [await ask(gateway, '/0'), await ask(gateway, '/1')];
    const peers = [await upstream.connection(0), await upstream.connection(1)];
    await eventually(() => peers.every((peer) => peer.received.includes('\r\n\r\n')));
    for (const peer of peers.toReversed()) {
      peer.send(OK);
      await eventually(() => gateway.finished.length === (peer === peers[1] ? 1 : 2));
    }
    clients[0]?.send(request('/again'));
    await peers[0]?.until('/again');
    expect(upstream.connections).toHaveLength(2);
  });

  test('bounded: waiting ones are served in order as connections become free, more are answered 503 at once', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { pool: { maxConnections: 1, maxPending: 2 } });
    const clients: Peer[] = [];
    for (const path of ['/0', '/1', '/2', '/3']) {
      clients.push(await ask(gateway, path));
      await eventually(() => gateway.exchanges.length === clients.length);
    }
    expect(await clients[3]?.until('overflow')).toContain('HTTP/1.1 503 ');
    expect(gateway.upstream.stats).toEqual({ endpoints: 1, connections: 1, active: 3, pending: 2 });
    const peer = await upstream.connection();
    for (const path of ['/0', '/1', '/2']) {
      await peer.until(`GET ${path} `);
      peer.send(OK);
    }
    await eventually(() => gateway.finished.length === 4);
    expect(upstream.connections).toHaveLength(1);
    expect(gateway.upstream.stats).toEqual({ endpoints: 1, connections: 1, active: 0, pending: 0 });
  });

  test('one that waits and whose client leaves is taken out of the queue', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { pool: { maxConnections: 1, maxPending: 2 } });
    await ask(gateway, '/0');
    const peer = await upstream.connection();
    await peer.until('/0');
    const gone = await ask(gateway, '/gone');
    await eventually(() => gateway.upstream.stats.pending === 1);
    gone.socket.resetAndDestroy();
    await eventually(() => gateway.upstream.stats.pending === 0);
    peer.send(OK);
    await eventually(() => gateway.finished.length === 2);
    expect(peer.received).not.toContain('/gone');
  });

  test('waiting too long for a connection: 503', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], {
      pool: { maxConnections: 1 },
      backend: { connectTimeoutMs: 3_000 },
    });
    await ask(gateway, '/0');
    await (await upstream.connection()).until('/0');
    const second = await ask(gateway, '/1');
    await eventually(() => gateway.upstream.stats.pending === 1);
    gateway.advance(3_200);
    expect(await second.until('\r\n\r\n')).toMatch(/503 .*x-code: upstream-overflow/s);
    expect(gateway.upstream.stats).toMatchObject({ pending: 0, active: 1 });
  });

  test('a slot that breaks goes to the next that waits', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { pool: { maxConnections: 1 } });
    const first = await ask(gateway, '/0');
    const peer = await upstream.connection();
    await peer.until('/0');
    await ask(gateway, '/1');
    await eventually(() => gateway.upstream.stats.pending === 1);
    peer.destroy();
    await first.until('502');
    await (await upstream.connection(1)).until('/1');
  });

  test('idle connections are closed after their time', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await gatewayTo([upstream], { pool: { idleTimeoutMs: 30_000 } });
    const client = await ask(gateway, '/0');
    await client.until('ok');
    gateway.advance(20_000);
    client.send(request('/1'));
    await eventually(() => gateway.finished.length === 2);
    gateway.advance(20_000);
    expect(gateway.upstream.stats.connections).toBe(1);
    gateway.advance(10_200);
    await upstream.connections[0]?.end();
    await eventually(() => gateway.upstream.stats.connections === 0);
  });

  test('bytes on an idle connection make it unusable', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    await client.until('ok');
    upstream.connections[0]?.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong');
    await eventually(() => gateway.upstream.stats.connections === 0);
    client.send(request('/1'));
    await (await upstream.connection(1)).until('/1');
  });

  test.each([
    ['a body longer than its length', `${OK}more`],
    ['a body to a response without one', 'HTTP/1.1 204 No Content\r\n\r\nbody'],
    ['a second response', OK + OK],
    [
      'bytes behind the last chunk',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n',
    ],
  ])('after %s the connection is not used again', async (_name, answer) => {
    const upstream = await backend(answering(answer));
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]?.code).toBe('');
    await upstream.connections[0]?.end();
    const heads = (): number => client.received.split('HTTP/1.1').length - 1;
    await eventually(() => heads() === 1);
    client.send(request('/1'));
    await upstream.connection(1);
    await eventually(() => heads() === 2);
  });

  test('a second response is never taken for the answer to the request that waits', async () => {
    const upstream = await backend((peer) => {
      const stolen = OK.replace('ok', 'no');
      peer.socket.once('data', () => peer.send(upstream.connections.length === 1 ? OK + stolen : OK));
    });
    const waiting: (() => void)[] = [];
    const gateway = await gatewayTo([upstream], {
      pool: { maxConnections: 1 },
      handler: (_exchange, go) => waiting.push(go),
    });
    const clients = [await ask(gateway, '/0'), await ask(gateway, '/1')];
    await eventually(() => waiting.length === 2);
    for (const go of waiting) go();
    for (const client of clients) expect(await client.until(/(ok|no)$/)).toMatch(/ok$/);
    expect(upstream.connections).toHaveLength(2);
  });

  test.each([
    ['Connection: close', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok'],
  ])('nor after %s', async (_name, answer) => {
    const upstream = await backend(answering(answer));
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    await client.until('ok');
    await upstream.connections[0]?.end();
    client.send(request('/1'));
    await upstream.connection(1);
  });
});

describe('endpoints', () => {
  test('an update keeps pools that stay, drains those that go, and uses new ones', async () => {
    const [a, b, c] = [await backend(), await backend(), await backend()];
    const gateway = await gatewayTo([a, b]);
    const clients = [await ask(gateway, '/0'), await ask(gateway, '/1')];
    const [onA, onB] = [await a.connection(), await b.connection()];
    await onB.until('\r\n\r\n');
    await onA.until('\r\n\r\n');
    onA.send(OK);
    await eventually(() => gateway.finished.length === 1);

    gateway.update([a.port, c.port]);
    expect(gateway.upstream.stats).toMatchObject({ endpoints: 2, connections: 2, active: 1 });
    onB.send(OK);
    await eventually(() => gateway.finished.length === 2);
    await onB.end();
    expect(onA.ended).toBe(false);
    for (const client of clients) client.send(request('/next'));
    await onA.until('/next');
    await (await c.connection()).until('/next');
    expect(a.connections).toHaveLength(1);
  });

  test('close lets what is in flight finish', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    const peer = await upstream.connection();
    await peer.until('/0');
    gateway.upstream.close();
    peer.send(OK);
    await client.until('ok');
    await peer.end();
    client.send(request('/1'));
    expect(await client.until('no-endpoint')).toContain('HTTP/1.1 503 ');
  });

  test('a refused connection is tried elsewhere, whatever the method', async () => {
    const upstream = await backend(answering(OK));
    const dead = await deadPort();
    const gateway = await gatewayTo([upstream]);
    gateway.update([dead, upstream.port]);
    for (let i = 0; i < 4; i++) await (await ask(gateway, '/x', 'POST', 'content-length: 0\r\n')).until('ok');
    expect(gateway.finished.map(({ status, endpoint }) => [status, endpoint])).toEqual(
      Array(4).fill([200, `127.0.0.1:${upstream.port}`]),
    );
    expect(gateway.upstream.stats.active).toBe(0);
  });

  test('nobody listens anywhere: 503', async () => {
    const gateway = await gatewayTo([]);
    expect(await (await ask(gateway, '/')).until('\r\n\r\n')).toContain('x-code: no-endpoint');
    gateway.update([await deadPort(), await deadPort()]);
    expect(await (await ask(gateway, '/')).until('\r\n\r\n')).toMatch(/503 .*x-code: upstream-connect-failed/s);
    expect(gateway.upstream.stats).toMatchObject({ active: 0, connections: 0 });
  });

  test('an address can be a name', async () => {
    const upstream = await backend(answering(OK));
    const gateway = await gatewayTo([]);
    gateway.upstream.update(gateway.backendResource(), {
      kind: 'endpoints',
      id: 'endpoints/test/plain',
      endpoints: [{ address: 'localhost', port: upstream.port, weight: 1 }],
      names: { minTtlMs: 1000, maxTtlMs: 1000, allowLocal: true },
    });
    await (await ask(gateway, '/')).until('ok');
    expect(gateway.finished[0]?.endpoint).toBe(`localhost:${upstream.port}`);
  });
});

describe('a reused connection that was closed', () => {
  /** Answers the first request of each connection and closes on the second, before answering. */
  const closing = (peer: Peer): void => {
    let count = 0;
    peer.socket.on('data', () => {
      if (count++ === 0) peer.send(OK);
      else peer.destroy();
    });
  };

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])(
    '%s without a body is repeated on a fresh one',
    async (method) => {
      const upstream = await backend(closing);
      const gateway = await gatewayTo([upstream]);
      const client = await ask(gateway, '/0');
      await client.until('ok');
      const before = client.received.length;
      client.send(request('/1', method));
      await client.until('200 OK', before);
      expect((await upstream.connection(1)).received).toMatch(new RegExp(`^${method} /1 `));
      expect(gateway.finished.at(-1)).toMatchObject({ status: 200, code: '' });
      expect(gateway.upstream.stats.active).toBe(0);
    },
  );

  test.each([
    ['POST', ''],
    ['PATCH', ''],
    ['PUT', 'content-length: 1\r\n'],
  ])('%s (%j) is not', async (method, more) => {
    const upstream = await backend(closing);
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    await client.until('ok');
    client.send(`${request('/1', method, more)}${more === '' ? '' : 'x'}`);
    expect(await client.until('upstream-reset')).toContain('HTTP/1.1 502 ');
    expect(upstream.connections).toHaveLength(1);
  });

  test('the repeat fails as well: 502, not a third time', async () => {
    const upstream = await backend((peer) => {
      if (upstream.connections.length === 1) closing(peer);
      else peer.socket.once('data', () => peer.destroy());
    });
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    await client.until('ok');
    client.send(request('/1'));
    await client.until('upstream-reset');
    expect(upstream.connections).toHaveLength(2);
  });

  test('not when a byte of the response has come, nor on a first use', async () => {
    const upstream = await backend((peer) => {
      let count = 0;
      peer.socket.on('data', () => {
        if (count++ === 0) peer.send(OK);
        else peer.socket.end('H');
      });
    });
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/0');
    await client.until('ok');
    client.send(request('/1'));
    await client.until('upstream-reset');
    const rude = await backend((peer) => peer.socket.once('data', () => peer.destroy()));
    gateway.update([rude.port]);
    client.send(request('/2'));
    await eventually(() => gateway.finished.length === 3);
    expect(gateway.finished[2]?.code).toBe('upstream-reset');
    expect([upstream.connections.length, rude.connections.length]).toEqual([1, 1]);
  });
});

describe('time-outs', () => {
  test('no response head in time: 504, from the request on', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { forward: { backendTimeoutMs: 5_000 } });
    const client = await ask(gateway, '/');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    gateway.advance(4_900);
    expect(client.received).toBe('');
    gateway.advance(300);
    expect(await client.until('\r\n\r\n')).toMatch(/504 .*x-code: upstream-timeout/s);
    await peer.end();
    expect(gateway.finished[0]).toMatchObject({ status: 504, backend: 'test/plain', upstreamMs: -1 });
  });

  test('an upload that takes long is not late, the answer to it can be', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { forward: { backendTimeoutMs: 5_000 } });
    const client = await ask(gateway, '/', 'POST', 'content-length: 3\r\n');
    const peer = await upstream.connection();
    for (const byte of 'abc') {
      client.send(byte);
      await peer.until(byte, peer.received.indexOf('\r\n\r\n'));
      gateway.advance(4_000);
    }
    expect(client.received).toBe('');
    gateway.advance(1_200);
    expect(await client.until('\r\n\r\n')).toContain('x-code: upstream-timeout');
  });

  test('the whole request: before the head 504, after it broken off', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { forward: { requestTimeoutMs: 5_000, backendTimeoutMs: 60_000 } });
    const first = await ask(gateway, '/0');
    const second = await ask(gateway, '/1');
    const peer = await upstream.connection(1);
    await peer.until('\r\n\r\n');
    await (await upstream.connection(0)).until('\r\n\r\n');
    const heads = [upstream.connections[0]?.received, upstream.connections[1]?.received];
    const [waiting, begun] = heads[0]?.includes('/0') ? [first, second] : [second, first];
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
    await begun.until('abc');
    gateway.advance(5_200);
    expect(await waiting.until('\r\n\r\n')).toMatch(/504 .*x-code: request-timeout/s);
    await begun.close();
    expect(gateway.finished.map(({ code, status }) => `${status} ${code}`).toSorted()).toEqual([
      '200 request-timeout',
      '504 request-timeout',
    ]);
  });

  test('a body that stalls', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { forward: { idleTimeoutMs: 5_000 } });
    const client = await ask(gateway, '/');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
    await client.until('abc');
    gateway.advance(4_000);
    peer.send('d');
    await client.until('abcd');
    gateway.advance(4_000);
    expect(client.ended).toBe(false);
    gateway.advance(1_200);
    await client.close();
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'upstream-idle-timeout' });
  });

  test('a body that stalls for less than the backend has for its head', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { forward: { idleTimeoutMs: 5_000, backendTimeoutMs: 60_000 } });
    const client = await ask(gateway, '/');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
    await client.until('abc');
    gateway.advance(5_200);
    await client.close();
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'upstream-idle-timeout' });
  });

  test('0 switches all of them off', async () => {
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], {
      forward: { requestTimeoutMs: 0, backendTimeoutMs: 0, idleTimeoutMs: 0 },
    });
    const client = await ask(gateway, '/');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    gateway.advance(86_400_000);
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc');
    await client.until('abc');
    gateway.advance(86_400_000);
    peer.send('def');
    await client.until('abcdef');
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: '' });
  });

  test('connecting', async () => {
    const deaf = await deafPort();
    running.push(deaf);
    const gateway = await gatewayTo([], { backend: { connectTimeoutMs: 2_000 } });
    gateway.update([deaf.port]);
    const client = await ask(gateway, '/');
    await eventually(() => gateway.exchanges.length === 1);
    gateway.advance(1_900);
    expect(client.received).toBe('');
    gateway.advance(300);
    expect(await client.until('\r\n\r\n')).toMatch(/504 .*x-code: upstream-connect-timeout/s);
    await eventually(() => gateway.upstream.stats.connections === 0);
    expect(gateway.upstream.stats).toMatchObject({ active: 0 });
  });

  test('connecting counts towards the whole request', async () => {
    const deaf = await deafPort();
    running.push(deaf);
    const gateway = await gatewayTo([], {
      backend: { connectTimeoutMs: 60_000 },
      forward: { requestTimeoutMs: 2_000 },
    });
    gateway.update([deaf.port]);
    const client = await ask(gateway, '/');
    await eventually(() => gateway.exchanges.length === 1);
    gateway.advance(2_200);
    expect(await client.until('\r\n\r\n')).toMatch(/504 .*x-code: request-timeout/s);
    expect(gateway.upstream.stats).toMatchObject({ active: 0 });
  });
});

describe('responses that are none', () => {
  test.each([
    ['garbage', 'hello\r\n\r\n'],
    ['bare LF', 'HTTP/1.1 200 OK\n\n'],
    ['length and chunked', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['a head too large', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(70_000)}\r\n\r\n`],
    ['informational without end', 'HTTP/1.1 103 x\r\n\r\n'.repeat(50)],
  ])('%s: 502', async (_name, answer) => {
    const upstream = await backend((peer) => peer.socket.once('data', () => peer.send(answer)));
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/');
    expect(await client.until('x-code')).toMatch(/HTTP\/1.1 502 .*x-code: upstream-protocol/s);
    await upstream.connections[0]?.end();
    await eventually(() => gateway.upstream.stats.connections === 0);
  });

  test('a malformed chunk breaks the response off', async () => {
    const upstream = await backend(
      answering('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n'),
    );
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/');
    expect(await client.close()).not.toContain('\r\n0\r\n');
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'upstream-protocol' });
  });

  test('a head in pieces of one byte', async () => {
    const upstream = await backend((peer) =>
      peer.socket.once('data', async () => {
        for (const byte of 'HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nt: 1\r\n\r\n') {
          peer.send(byte);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    const gateway = await gatewayTo([upstream]);
    const client = await ask(gateway, '/');
    expect(await client.until('t: 1\r\n\r\n')).toMatch(/x: y\r\n.*chunked\r\n\r\n/s);
    expect(gateway.finished[0]).toMatchObject({ status: 200, bytesOut: 2, code: '' });
  });
});

describe('response stages that wait', () => {
  test('discard: the backend is dropped, the pipeline answers', async () => {
    const held: PendingResponse[] = [];
    const upstream = await backend(answering(OK));
    const gateway = await gatewayTo([upstream], { respond: (_exchange, response) => held.push(response) });
    await ask(gateway, '/');
    await eventually(() => held.length === 1);
    held[0]?.discard();
    await upstream.connections[0]?.end();
    expect(gateway.upstream.stats.active).toBe(0);
    expect(gateway.finished).toHaveLength(0);
  });

  test('the client leaves meanwhile: finish, and proceed does nothing', async () => {
    const held: PendingResponse[] = [];
    const upstream = await backend(answering(OK));
    const gateway = await gatewayTo([upstream], { respond: (_exchange, response) => held.push(response) });
    const client = await ask(gateway, '/');
    await eventually(() => held.length === 1);
    client.socket.resetAndDestroy();
    await eventually(() => gateway.finished.length === 1);
    held[0]?.proceed();
    held[0]?.discard();
    expect(gateway.finished.map(({ status, code }) => [status, code])).toEqual([[499, 'client-closed']]);
  });

  test('the backend breaks meanwhile: 502 where its response is not complete', async () => {
    const held: PendingResponse[] = [];
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { respond: (_exchange, response) => held.push(response) });
    const client = await ask(gateway, '/');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n');
    await eventually(() => held.length === 1);
    peer.socket.resetAndDestroy();
    await eventually(() => gateway.upstream.stats.connections === 0);
    held[0]?.proceed();
    expect(await client.until('\r\n\r\n')).toMatch(/502 .*x-code: upstream-reset/s);
    expect(gateway.finished).toHaveLength(1);
  });

  test('the backend ends meanwhile, its response complete', async () => {
    const held: PendingResponse[] = [];
    const upstream = await backend();
    const gateway = await gatewayTo([upstream], { respond: (_exchange, response) => held.push(response) });
    const client = await ask(gateway, '/');
    const peer = await upstream.connection();
    await peer.until('\r\n\r\n');
    peer.socket.end(OK);
    await eventually(() => held.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    held[0]?.proceed();
    await client.until('ok');
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: '' });
  });
});
