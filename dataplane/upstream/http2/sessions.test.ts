/** Sessions: how many, what becomes of requests when one goes away, liveness, time-outs, tunnels. Real sockets, the test's own clock. */
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  eventually,
  type Peer,
  ScriptedBackend,
  type TestProxy,
  type TestProxySettings,
} from '../../engine.fixture.ts';
import { answeringText, Http2Backend, proxyTo, type Seen } from './http2.fixture.ts';

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_NO_ERROR, NGHTTP2_ENHANCE_YOUR_CALM } = http2.constants;
const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

async function backend(script: (seen: Seen, n: number) => void, options?: http2.ServerOptions): Promise<Http2Backend> {
  const started = await new Http2Backend(script, options).listen();
  running.push(started);
  return started;
}

async function gatewayTo(to: readonly { port: number }[], settings?: TestProxySettings): Promise<TestProxy> {
  const started = await proxyTo(
    to.map(({ port }) => port),
    settings,
  );
  running.unshift(started);
  return started;
}

async function ask(gateway: TestProxy, path = '/', more = '', method = 'GET'): Promise<Peer> {
  const client = await gateway.client();
  client.send(`${method} ${path} HTTP/1.1\r\nhost: a\r\n${more}\r\n`);
  return client;
}

const answer = ({ stream }: Seen): void => stream.respond({ ':status': 204 }, { endStream: true });
const ANSWERED = '204 No Content';

describe('how many', () => {
  test('streams share a session up to the bound of the backend; then another one is opened; then they wait; then 503', async () => {
    const server = await backend(() => {});
    const gateway = await gatewayTo([server], { pool: { maxConcurrentStreams: 2, maxConnections: 2, maxPending: 1 } });
    for (let i = 0; i < 5; i++) {
      await ask(gateway, `/${i}`);
      await eventually(() => gateway.exchanges.length === i + 1);
    }
    await eventually(() => server.seen.length === 4);
    expect(server.sessions).toHaveLength(2);
    expect(gateway.upstream.stats).toMatchObject({ connections: 2, active: 5, pending: 1 });
    expect(await (await ask(gateway, '/6')).until('overflow')).toContain('HTTP/1.1 503 ');
    for (const seen of [...server.seen]) answer(seen);
    await eventually(() => server.seen.length === 5);
    answer(server.seen[4] as Seen);
    await eventually(() => gateway.upstream.stats.active === 0);
  });

  test('the endpoint allows fewer streams than thought: who is too many goes over another session', async () => {
    const server = await backend(() => {}, { settings: { maxConcurrentStreams: 1 } });
    const gateway = await gatewayTo([server], { pool: { maxConnections: 2, maxPending: 5 } });
    for (let i = 0; i < 3; i++) await ask(gateway, `/${i}`);
    await eventually(() => server.seen.length === 2 && gateway.upstream.stats.pending === 1);
    expect(server.sessions).toHaveLength(2);
    for (const seen of [...server.seen]) answer(seen);
    await eventually(() => server.seen.length === 3);
    answer(server.seen[2] as Seen);
    await eventually(() => gateway.finished.length === 3);
  });

  test('one that waits and whose client leaves is taken out of the queue', async () => {
    const server = await backend(() => {}, { settings: { maxConcurrentStreams: 1 } });
    const gateway = await gatewayTo([server], { pool: { maxConnections: 1 } });
    await ask(gateway, '/0');
    await server.stream();
    const gone = await ask(gateway, '/gone');
    await eventually(() => gateway.upstream.stats.pending === 1);
    gone.socket.resetAndDestroy();
    await eventually(() => gateway.upstream.stats.pending === 0);
  });

  test('a client that leaves: RST_STREAM(CANCEL), and the session serves on', async () => {
    const server = await backend((seen, n) => {
      if (n > 0) answer(seen);
    });
    const gateway = await gatewayTo([server]);
    const gone = await ask(gateway, '/gone');
    const { stream } = await server.stream();
    gone.socket.resetAndDestroy();
    await eventually(() => stream.closed);
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
    await (await ask(gateway)).until(ANSWERED);
    expect(server.sessions).toHaveLength(1);
    expect(gateway.upstream.stats).toMatchObject({ active: 0, connections: 1 });
  });
});

describe('a session that goes away', () => {
  test('GOAWAY: what is under way ends over it, what comes goes over another one', async () => {
    const server = await backend(({ stream, session }, n) => {
      if (n > 0) answer({ stream } as Seen);
      else session.goaway(NGHTTP2_NO_ERROR);
    });
    const gateway = await gatewayTo([server], { pool: { maxConnections: 1 } });
    const first = await ask(gateway, '/first');
    await server.stream();
    await eventually(async () => {
      const client = await ask(gateway, '/second');
      await client.until(ANSWERED);
      return server.sessions.length === 2;
    });
    answer(server.seen[0] as Seen);
    await first.until(ANSWERED);
    await eventually(() => gateway.upstream.stats.connections === 1);
    expect(gateway.finished.every(({ code }) => code === '')).toBe(true);
  });

  test.each(['GET', 'POST'])(
    'a %s above the last stream of a GOAWAY is sent once more, without a policy',
    async (method) => {
      const bodies: string[] = [];
      const server = await backend(({ stream, session }, n) => {
        stream.on('data', (bytes) => bodies.push(`${n} ${bytes}`));
        // As nginx does: it has not looked at this one.
        if (n === 1) session.goaway(NGHTTP2_NO_ERROR, 1);
        else answer({ stream } as Seen);
      });
      const gateway = await gatewayTo([server]);
      await (await ask(gateway)).until(ANSWERED);
      const client = await ask(gateway, '/', method === 'POST' ? 'content-length: 4\r\n' : '', method);
      if (method === 'POST') client.send('body');
      await client.until(ANSWERED);
      expect(server.seen).toHaveLength(3);
      expect(server.sessions).toHaveLength(2);
      expect(gateway.finished[1]?.attempts).toBe(1);
      if (method === 'POST') await eventually(() => bodies.includes('2 body'));
    },
  );

  test('a refused stream is sent once more to the endpoint, then to another one', async () => {
    let refused = 0;
    const refusing = await backend(({ stream }) => {
      refused++;
      stream.close(NGHTTP2_REFUSED_STREAM);
    });
    const serving = await backend(answer);
    const gateway = await gatewayTo([refusing, serving]);
    await (await ask(gateway, '/', 'content-length: 0\r\n', 'POST')).until(ANSWERED);
    expect(refused).toBe(2);
    expect(gateway.finished[0]?.attempts).toBe(2);
  });

  test('a session that refuses what it said it would take: the repeat goes over another one, until a stream has ended', async () => {
    const server = await backend((seen, n) => {
      if (n === 0) return;
      if (n === 1) seen.stream.close(NGHTTP2_REFUSED_STREAM);
      else answer(seen);
    });
    const gateway = await gatewayTo([server]);
    const first = await ask(gateway);
    await server.stream();
    await (await ask(gateway)).until(ANSWERED);
    expect(server.sessions).toHaveLength(2);
    expect(gateway.finished[0]?.attempts).toBe(1);
    answer(server.seen[0] as Seen);
    await first.until(ANSWERED);
    await (await ask(gateway)).until(ANSWERED);
    expect(server.seen[3]?.session).toBe(server.sessions[0]);
  });

  test('all refuse: 503', async () => {
    const server = await backend(({ stream }) => stream.close(NGHTTP2_REFUSED_STREAM));
    const gateway = await gatewayTo([server]);
    expect(await (await ask(gateway)).until('upstream-overflow')).toContain('HTTP/1.1 503 ');
    expect(server.seen).toHaveLength(2);
  });

  test('a body that is not kept is not sent again', async () => {
    const server = await backend(({ stream }) => {
      stream.resume();
      setTimeout(() => stream.close(NGHTTP2_REFUSED_STREAM), 50);
    });
    const gateway = await gatewayTo([server]);
    const client = await ask(gateway, '/', 'content-length: 100000\r\n', 'POST');
    client.send('x'.repeat(70_000));
    expect(await client.until('upstream-overflow')).toContain('HTTP/1.1 503 ');
    expect(server.seen).toHaveLength(1);
  });

  test('GOAWAY with an error: what was not looked at is sent again, the rest is lost', async () => {
    const server = await backend(({ session }, n) => {
      if (n === 1) {
        session.goaway(NGHTTP2_ENHANCE_YOUR_CALM, 1);
        setTimeout(() => session.destroy(), 20);
      }
      if (n > 1) answer(server.seen[n] as Seen);
    });
    const gateway = await gatewayTo([server]);
    const first = await ask(gateway, '/first', 'content-length: 0\r\n', 'POST');
    await server.stream();
    const second = await ask(gateway, '/second', 'content-length: 0\r\n', 'POST');
    expect(await first.until('upstream-reset')).toContain('HTTP/1.1 502 ');
    await second.until(ANSWERED);
  });

  test('a session that breaks off after it has served: what may be repeated is, over a new one', async () => {
    const server = await backend((seen, n) => {
      if (n === 1 || n === 2) seen.session.destroy();
      else answer(seen);
    });
    const gateway = await gatewayTo([server]);
    await (await ask(gateway)).until(ANSWERED);
    await (await ask(gateway)).until('upstream-reset');
    expect(server.seen).toHaveLength(3);
    await (await ask(gateway)).until(ANSWERED);
    expect(server.sessions).toHaveLength(3);
  });
});

describe('liveness and time-outs', () => {
  test('an idle session is closed after its time', async () => {
    const server = await backend(answer);
    const gateway = await gatewayTo([server], { pool: { idleTimeoutMs: 5000 } });
    await (await ask(gateway)).until(ANSWERED);
    expect(gateway.upstream.stats.connections).toBe(1);
    gateway.advance(6000);
    await eventually(() => gateway.upstream.stats.connections === 0);
    await eventually(() => server.sessions[0]?.destroyed === true);
    await (await ask(gateway)).until(ANSWERED);
    expect(server.sessions).toHaveLength(2);
  });

  test('a silent session is pinged; one that answers lives on, and is not asked again soon', async () => {
    let pings = 0;
    const server = await backend(() => {});
    server.server.on('session', (session) => session.on('ping', () => pings++));
    const gateway = await gatewayTo([server]);
    await ask(gateway);
    await server.stream();
    gateway.advance(16_000);
    await eventually(() => pings === 1);
    // The pong is on its way.
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (let i = 0; i < 12; i++) gateway.advance(20_000);
    expect(gateway.upstream.stats.connections).toBe(1);
    expect(pings).toBe(1);
    gateway.advance(100_000);
    await eventually(() => pings === 2);
    expect(gateway.upstream.stats.connections).toBe(1);
  });

  test('one that does not answer is closed, and its requests fail', async () => {
    const server = await backend(() => {});
    // Between the gateway and the backend: from then on nothing passes.
    let deaf = false;
    const between = net.createServer((socket) => {
      const to = net.connect(server.port, '127.0.0.1');
      for (const [from, other] of [
        [socket, to],
        [to, socket],
      ] as const) {
        from.on('data', (bytes) => {
          if (!deaf) other.write(bytes);
        });
        from.on('error', () => {});
        from.on('close', () => other.destroy());
      }
    });
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
    running.push({
      close: async () => {
        between.close();
      },
    });
    const gateway = await gatewayTo([{ port: (between.address() as net.AddressInfo).port }]);
    const client = await ask(gateway);
    await server.stream();
    deaf = true;
    gateway.advance(16_000);
    gateway.advance(11_000);
    expect(await client.until('upstream-reset')).toContain('HTTP/1.1 502 ');
    await eventually(() => gateway.upstream.stats.connections === 0);
  });

  test('nobody listens: 503; who speaks HTTP/1.1 only, or nothing at all: no connection either', async () => {
    const dead = await new ScriptedBackend().listen();
    await dead.close();
    const gateway = await gatewayTo([dead]);
    expect(await (await ask(gateway)).until('upstream-connect-failed')).toContain('HTTP/1.1 503 ');
    const old = await new ScriptedBackend((peer) => peer.send('HTTP/1.1 400 Bad Request\r\n\r\n')).listen();
    running.push(old);
    const second = await gatewayTo([old]);
    expect(await (await ask(second)).until('upstream-connect-failed')).toContain('HTTP/1.1 503 ');
    const mute = await new ScriptedBackend().listen();
    running.push(mute);
    const third = await gatewayTo([mute]);
    const client = await ask(third);
    await mute.connection();
    third.advance(6000);
    expect(await client.until('upstream-connect-timeout')).toContain('HTTP/1.1 504 ');
    expect(third.upstream.stats).toMatchObject({ connections: 0, active: 0 });
  });

  test('a backend that is late: 504, the stream is reset, the session stays', async () => {
    const server = await backend(() => {});
    const gateway = await gatewayTo([server], { forward: { backendTimeoutMs: 3000 } });
    const client = await ask(gateway);
    const { stream } = await server.stream();
    gateway.advance(3200);
    expect(await client.until('upstream-timeout')).toContain('HTTP/1.1 504 ');
    await eventually(() => stream.closed);
    expect(gateway.upstream.stats.connections).toBe(1);
  });

  test('an endpoint that leaves: what is under way is finished, then its session closes', async () => {
    const old = await backend(() => {});
    const next = await backend(answer);
    const gateway = await gatewayTo([old]);
    const client = await ask(gateway);
    const seen = await old.stream();
    gateway.update([next.port]);
    await (await ask(gateway)).until(ANSWERED);
    expect(gateway.upstream.stats.connections).toBe(2);
    answer(seen);
    await client.until(ANSWERED);
    await eventually(() => gateway.upstream.stats.connections === 1);
    await eventually(() => old.sessions[0]?.destroyed === true);
  });
});

describe('WebSocket', () => {
  const HANDSHAKE =
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

  test('an upgrade becomes an extended CONNECT, and its answer the 101', async () => {
    const server = await backend(
      ({ stream }) => {
        stream.respond({ ':status': 200 });
        stream.on('data', (bytes) => stream.write(`echo ${bytes}`));
        stream.on('end', () => stream.end('bye'));
      },
      { settings: { enableConnectProtocol: true } },
    );
    const gateway = await gatewayTo([server]);
    const client = await ask(gateway, '/chat?x=1', HANDSHAKE);
    const head = await client.until('\r\n\r\n');
    expect(head).toContain('HTTP/1.1 101 Switching Protocols\r\n');
    // RFC 6455 section 1.3.
    expect(head.toLowerCase()).toContain('sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=');
    const { fields } = await server.stream();
    expect(fields).toMatchObject({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat?x=1' });
    expect(fields['sec-websocket-version']).toBe('13');
    expect(fields['sec-websocket-key']).toBeUndefined();
    client.send('hello');
    await client.until('echo hello');
    client.socket.end();
    await client.until('bye');
    await client.end();
    await eventually(() => gateway.upstream.stats.active === 0);
  });

  test('an extended CONNECT of an HTTP/2 client', async () => {
    const server = await backend(
      ({ stream }) => {
        stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' });
        stream.on('data', (bytes) => stream.write(`echo ${bytes}`));
        stream.on('end', () => stream.end('bye'));
      },
      { settings: { enableConnectProtocol: true } },
    );
    const gateway = await gatewayTo([server], { protocol: 'h2c' });
    const client = http2.connect(`http://127.0.0.1:${gateway.port}`);
    running.unshift({
      close: async () => {
        client.destroy();
      },
    });
    await new Promise((resolve) => client.once('remoteSettings', resolve));
    const stream = client.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': '/chat',
      ':authority': 'a',
      'sec-websocket-version': '13',
    });
    let text = '';
    stream.on('data', (bytes) => {
      text += bytes;
    });
    const [fields] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    expect(fields[':status']).toBe(200);
    expect(fields['sec-websocket-protocol']).toBe('chat');
    expect((await server.stream()).fields).toMatchObject({ ':method': 'CONNECT', ':protocol': 'websocket' });
    stream.write('hello');
    await eventually(() => text === 'echo hello');
    stream.end();
    await once(stream, 'close');
    expect(text).toBe('echo hellobye');
    await eventually(() => gateway.upstream.stats.active === 0);
  });

  test('a backend that does not allow it: 502, and it is not the endpoint that is blamed', async () => {
    const server = await backend(answeringText('plain'));
    const gateway = await gatewayTo([server]);
    const text = await (await ask(gateway, '/', HANDSHAKE)).until('WebSocket');
    expect(text).toContain('HTTP/1.1 502 ');
    expect(text).toContain('upstream-protocol');
    expect(server.seen).toHaveLength(0);
    await (await ask(gateway)).until('plain');
  });

  test('a backend that refuses it: its answer', async () => {
    const server = await backend(
      ({ stream }) => {
        stream.respond({ ':status': 403 });
        stream.end('no');
      },
      { settings: { enableConnectProtocol: true } },
    );
    const gateway = await gatewayTo([server]);
    expect(await (await ask(gateway, '/', HANDSHAKE)).until('no')).toContain('HTTP/1.1 403 ');
  });
});
