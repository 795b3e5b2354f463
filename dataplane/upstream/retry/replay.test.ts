/** Request bodies that are sent again, on real sockets. */
import { randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, OK, type Peer, type ScriptedBackend } from '../../engine.fixture.ts';
import { ask, heads, over, Scene, UNAVAILABLE } from './retry.fixture.ts';

const scene = new Scene();
afterEach(() => scene.close());

/** The body of the n-th connection's request, as it came. */
const bodyAt = (backend: ScriptedBackend, n: number): string => {
  const received = backend.connections[n]?.received ?? '';
  return received.slice(received.indexOf('\r\n\r\n') + 4);
};

/** What chunks say, and the trailers behind them. */
function decoded(chunked: string): { body: string; trailers: string } {
  let at = 0;
  let body = '';
  for (;;) {
    const end = chunked.indexOf('\r\n', at);
    const length = Number.parseInt(chunked.slice(at, end), 16);
    at = end + 2;
    if (length === 0) return { body, trailers: chunked.slice(at) };
    body += chunked.slice(at, at + length);
    at += length + 2;
  }
}

/** Once `bytes` of a connection's stream were received, the n-th one does the n-th of these. */
function onceReceived(test: (received: string) => boolean, ...list: ((peer: Peer) => void)[]): (peer: Peer) => void {
  let count = 0;
  return (peer) => {
    const act = list[Math.min(count++, list.length - 1)] as (peer: Peer) => void;
    let done = false;
    peer.socket.on('data', () => {
      if (done || !test(peer.received)) return;
      done = true;
      act(peer);
    });
  };
}

const reset = (peer: Peer): void => void peer.socket.resetAndDestroy();
const ok = (peer: Peer): void => peer.send(OK);
const binary = (bytes: number): string => randomBytes(bytes).toString('latin1');

describe.each([100, 5_000, 60_000])('a body of %d bytes', (length) => {
  test('with its length: the same bytes again', async () => {
    const body = binary(length);
    const whole = (received: string): boolean => received.length >= received.indexOf('\r\n\r\n') + 4 + length;
    const backend = await scene.scripted(onceReceived(whole, reset, (peer) => peer.send(UNAVAILABLE), ok));
    const gateway = await scene.gateway([backend], { attempts: 2 });
    const client = await ask(gateway, 'PUT', `content-length: ${length}\r\n`, body);
    // The connection that answered 503 may serve again.
    await eventually(() => {
      gateway.advance(50);
      const second = backend.connections[1];
      if (second !== undefined && second.received.split('PUT /x').length === 3 && gateway.finished.length === 0)
        second.send(OK);
      return gateway.finished.length === 1;
    });
    await client.until('ok');
    const [, again, third = ''] = (backend.connections[1]?.received ?? '').split('PUT /x');
    for (const one of [bodyAt(backend, 0), again ?? '', third || (again ?? '')]) expect(one.endsWith(body)).toBe(true);
    expect(gateway.finished[0]).toMatchObject({ status: 200, attempts: 3, bytesIn: length });
  });

  test('in chunks, with trailers: the same bytes again', async () => {
    const body = binary(length);
    const whole = (received: string): boolean => received.endsWith('\r\nx-sum: 1\r\n\r\n');
    const backend = await scene.scripted(onceReceived(whole, reset, ok));
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway, 'PUT', 'transfer-encoding: chunked\r\n');
    for (let at = 0; at < length; at += 1000) {
      const part = body.slice(at, at + 1000);
      client.send(`${part.length.toString(16)}\r\n${part}\r\n`);
    }
    client.send('0\r\nx-sum: 1\r\n\r\n');
    await over(gateway);
    await client.until('ok');
    for (const n of [0, 1]) expect(decoded(bodyAt(backend, n))).toEqual({ body, trailers: 'x-sum: 1\r\n\r\n' });
  });

  test('that is on its way when the attempt fails: from its start, and then on', async () => {
    const body = binary(length);
    const half = length / 2;
    const backend = await scene.scripted(
      onceReceived(
        (received) => received.length > received.indexOf('\r\n\r\n') + 4,
        reset,
        () => {},
      ),
    );
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway, 'PUT', `content-length: ${length}\r\n`, body.slice(0, half));
    await eventually(() => {
      gateway.advance(50);
      return backend.connections.length === 2;
    });
    await eventually(() => bodyAt(backend, 1).length === half);
    client.send(body.slice(half));
    await eventually(() => bodyAt(backend, 1).length === length);
    expect(bodyAt(backend, 1)).toBe(body);
    backend.connections[1]?.send(OK);
    await client.until('ok');
  });
});

describe('what comes between two attempts', () => {
  test('is kept, and the client held back', async () => {
    const body = binary(2_000);
    const backend = await scene.scripted(
      onceReceived(
        (received) => received.includes('\r\n\r\n'),
        (peer) => peer.send(UNAVAILABLE),
        () => {},
      ),
    );
    // The answer comes before the body, so that its connection is closed.
    const gateway = await scene.gateway([backend], { backoff: { baseMs: 25, maxMs: 250 } });
    const client = await ask(gateway, 'PUT', 'content-length: 2000\r\n', body.slice(0, 10));
    await backend.connections[0]?.end();
    await eventually(() => backend.connections[0]?.ended === true);
    client.send(body.slice(10, 1_000));
    await eventually(() => gateway.exchanges[0]?.bytesIn === 1_000);
    expect(backend.connections).toHaveLength(1);
    await eventually(() => {
      gateway.advance(50);
      return backend.connections.length === 2;
    });
    client.send(body.slice(1_000));
    await eventually(() => bodyAt(backend, 1).length === 2_000);
    expect(bodyAt(backend, 1)).toBe(body);
    backend.connections[1]?.send(OK);
    await client.until('ok');
  });
});

describe('a body that is too large', () => {
  test.each([
    ['with its length', 'content-length: 3000\r\n', 'x'.repeat(3_000)],
    ['in chunks', 'transfer-encoding: chunked\r\n', `bb8\r\n${'x'.repeat(3_000)}\r\n0\r\n\r\n`],
  ])('%s: no retry once sending it has begun', async (_name, more, body) => {
    const backend = await scene.scripted(
      onceReceived(
        (received) => received.length > 3_000,
        (peer) => peer.send(UNAVAILABLE),
        ok,
      ),
    );
    const gateway = await scene.gateway([backend], { bodyBytes: 2_999 });
    const client = await ask(gateway, 'PUT', more, body);
    await over(gateway);
    expect(await client.until('busy')).toContain('503');
    expect(gateway.finished[0]).toMatchObject({ attempts: 1 });
    expect(heads(backend)).toBe(1);
  });

  test('but it may go elsewhere where no connection was had', async () => {
    const backend = await scene.scripted((peer) => {
      peer.socket.on('data', () => {
        if (peer.received.endsWith('xxx')) peer.send(OK);
      });
    });
    const gateway = await scene.gateway([await scene.dead(), backend], { bodyBytes: 0 });
    for (let i = 0; i < 2; i++) {
      await (await ask(gateway, 'POST', 'content-length: 3\r\n', 'xxx')).until('ok');
    }
    expect(gateway.finished.map(({ status }) => status)).toEqual([200, 200]);
    expect(gateway.finished.some(({ attempts }) => attempts === 2)).toBe(true);
  });
});

describe('expect: 100-continue', () => {
  test('refused before the body was asked for: the next attempt asks again, and the body is read once', async () => {
    const backend = await scene.scripted(
      onceReceived(
        (received) => received.includes('\r\n\r\n'),
        (peer) => peer.socket.end(UNAVAILABLE),
        (peer) => peer.send('HTTP/1.1 100 Continue\r\n\r\n'),
      ),
    );
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway, 'PUT', 'expect: 100-continue\r\ncontent-length: 4\r\n');
    await eventually(() => {
      gateway.advance(50);
      return client.received.includes('100 Continue');
    });
    client.send('body');
    await backend.connections[1]?.until('body');
    expect(backend.connections.map(({ received }) => received.includes('expect: 100-continue'))).toEqual([true, true]);
    backend.connections[1]?.send(OK);
    await client.until('ok');
    expect(bodyAt(backend, 1)).toBe('body');
  });

  test('failed after the body was asked for: it is sent again unasked', async () => {
    const backend = await scene.scripted(
      onceReceived(
        (received) => received.includes('\r\n\r\n'),
        (peer) => {
          peer.send('HTTP/1.1 100 Continue\r\n\r\n');
          peer.socket.on('data', () => {
            if (peer.received.endsWith('body')) peer.socket.resetAndDestroy();
          });
        },
        () => {},
      ),
    );
    const gateway = await scene.gateway([backend]);
    const client = await ask(gateway, 'PUT', 'expect: 100-continue\r\ncontent-length: 4\r\n');
    await client.until('100 Continue');
    client.send('body');
    await eventually(() => {
      gateway.advance(50);
      return backend.connections.length === 2 && bodyAt(backend, 1) === 'body';
    });
    expect(backend.connections[1]?.received).not.toContain('expect');
    backend.connections[1]?.send(OK);
    await client.until('ok');
    expect(client.received.split('100 Continue')).toHaveLength(2);
  });
});

describe('a reused connection that was closed', () => {
  test.each([
    ['PUT with a body that was kept is repeated', 'PUT', 200],
    ['POST is not', 'POST', 502],
  ])('%s', async (_name, method, status) => {
    const backend = await scene.scripted((peer) => {
      let answered = false;
      peer.socket.on('data', () => {
        if (!peer.received.endsWith('body')) return;
        if (answered) peer.destroy();
        else peer.send(OK);
        answered = true;
      });
    });
    const gateway = await scene.gateway([backend], { on: ['status'], bodyBytes: 100 });
    const client = await ask(gateway, method, 'content-length: 4\r\n', 'body');
    await client.until('ok');
    client.send(`${method} /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody`);
    await eventually(() => gateway.finished.length === 2);
    expect(gateway.finished[1]).toMatchObject({ status, attempts: 1 });
  });
});

test('over HTTP/2: body and trailers are sent again', async () => {
  const body = binary(20_000);
  const whole = (received: string): boolean => received.endsWith('x-sum: 1\r\n\r\n');
  const backend = await scene.scripted(onceReceived(whole, reset, ok));
  const gateway = await scene.gateway([backend], {}, { protocol: 'h2c' });
  const session = http2.connect(`http://127.0.0.1:${gateway.port}`);
  try {
    const stream = session.request({ ':method': 'PUT', ':path': '/x' }, { waitForTrailers: true, endStream: false });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
    let answer = '';
    stream.on('data', (chunk: Buffer) => {
      answer += chunk;
    });
    stream.end(Buffer.from(body, 'latin1'));
    await over(gateway);
    await eventually(() => answer === 'ok');
  } finally {
    session.destroy();
  }
  for (const n of [0, 1]) expect(decoded(bodyAt(backend, n))).toEqual({ body, trailers: 'x-sum: 1\r\n\r\n' });
});
