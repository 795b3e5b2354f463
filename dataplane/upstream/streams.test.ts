/** Streams that last, over real sockets: WebSocket of a real client and server, server-sent events, their time-outs, and their end when the gateway goes. */
import { createHash } from 'node:crypto';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocketServer, WebSocket as WsClient } from 'ws';
import { eventually, Peer, ScriptedBackend, TestProxy, type TestProxySettings } from '../engine.fixture.ts';
import { startWheel, type TimerWheel } from '../io/wheel.ts';
import { isEventStream, LongStreams } from './streams.ts';

const cleanUp: (() => unknown)[] = [];
let wheel: TimerWheel;
let streams: LongStreams;
const timers: { run: () => void; delayMs: number }[] = [];
beforeEach(() => {
  wheel = startWheel({ tickMs: 10 });
  timers.length = 0;
  let drawn = 0;
  streams = new LongStreams({
    random: () => (drawn++ % 4) / 4,
    setTimer: (run, delayMs) => timers.push({ run, delayMs }),
  });
});
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
  wheel.stop();
});

/** The gateway before a WebSocket server that sends everything back, and sends what it is told on `/send/<count>/<bytes>`. */
async function echo(settings: TestProxySettings = {}) {
  const server = http.createServer((_request, response) => response.writeHead(404).end('no such page'));
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true, maxPayload: 64 * 1024 * 1024 });
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/no') {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\nx-why: no\r\n\r\nno way');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (one) => {
      one.on('message', (data, binary) => one.send(data, { binary }));
      const [, , count = '0', bytes = '0'] = (request.url ?? '').split('/');
      for (let i = 0; i < Number(count); i++) one.send(Buffer.alloc(Number(bytes), i));
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanUp.push(() => server.close());
  cleanUp.push(() => {
    for (const one of sockets.clients) one.terminate();
  });
  const { port } = server.address() as AddressInfo;
  const proxy = await throughGateway(port, settings);
  return { server, sockets, ...proxy };
}

async function throughGateway(port: number, settings: TestProxySettings = {}) {
  const forward = { streams, streamIdleTimeoutMs: 60_000, ...settings.forward };
  const gateway = await new TestProxy([port], { wheel, ...settings, forward }).listen();
  cleanUp.push(() => gateway.close());
  return { gateway, url: `127.0.0.1:${gateway.port}` };
}

function opened(url: string, protocols: string[] = []): Promise<WsClient> {
  const client = new WsClient(`ws://${url}`, protocols);
  cleanUp.push(() => client.terminate());
  return new Promise((resolve, reject) => client.once('open', () => resolve(client)).once('error', reject));
}

function message(client: WsClient): Promise<Buffer> {
  return new Promise((resolve) => client.once('message', (data) => resolve(data as Buffer)));
}

describe('WebSocket', () => {
  test('messages of all sizes go both ways, compressed ones too; close codes arrive as they were sent', async () => {
    const { url, gateway, sockets } = await echo();
    const client = await opened(url);
    for (const bytes of [0, 1, 125, 126, 65_535, 65_536, 5_000_000, 20_000_000]) {
      const sent = Buffer.alloc(bytes, 'tidegate');
      const back = message(client);
      client.send(sent);
      expect(
        createHash('sha1')
          .update(await back)
          .digest('hex'),
      ).toBe(createHash('sha1').update(sent).digest('hex'));
    }
    expect(streams.counts).toEqual({ upgrade: 1, events: 0, grpc: 0 });
    const byServer = new Promise((resolve) => client.once('close', (code, why) => resolve([code, String(why)])));
    for (const one of sockets.clients) one.close(4001, 'enough');
    expect(await byServer).toEqual([4001, 'enough']);
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]).toMatchObject({ status: 101, code: '' });
    expect(gateway.finished[0]?.bytesIn).toBeGreaterThan(10_000);

    const second = await opened(url);
    const seen = new Promise((resolve) => {
      for (const one of sockets.clients) one.once('close', (code) => resolve(code));
    });
    second.close(4002);
    expect(await seen).toBe(4002);
    await eventually(() => gateway.finished.length === 2);
    expect(streams.counts.upgrade).toBe(0);
  });

  test("the client of the runtime itself (undici's), with subprotocols, extensions and keys passed on", async () => {
    const { url, sockets } = await echo();
    sockets.options.handleProtocols = (offered) => [...offered].at(-1) ?? false;
    const client = new WebSocket(`ws://${url}/a?b=c`, ['one', 'two']);
    cleanUp.push(() => client.close());
    await new Promise((resolve, reject) => {
      client.onopen = resolve;
      client.onerror = reject;
    });
    expect([client.protocol, client.extensions]).toEqual(['two', 'permessage-deflate']);
    const back = new Promise((resolve) => {
      client.onmessage = ({ data }) => resolve(data);
    });
    client.send('hi');
    expect(await back).toBe('hi');
  });

  test('an upgrade that is refused, and one to a server that knows none, are plain answers', async () => {
    const { url, gateway } = await echo();
    const refused = new WsClient(`ws://${url}/no`);
    const response = await new Promise<http.IncomingMessage>((resolve) =>
      refused.once('unexpected-response', (_request, answer) => resolve(answer)),
    );
    let body = '';
    for await (const chunk of response) body += chunk;
    expect([response.statusCode, response.headers['x-why'], body]).toEqual([403, 'no', 'no way']);
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]).toMatchObject({ status: 403, code: '' });
    expect(streams.counts.upgrade).toBe(0);
  });

  test('a client that does not read holds its server back, and gets everything once it does', async () => {
    const { url, sockets } = await echo();
    const client = new WsClient(`ws://${url}/send/64/1000000`, { perMessageDeflate: false });
    cleanUp.push(() => client.terminate());
    let received = 0;
    client.on('message', (data) => {
      received += (data as Buffer).length;
    });
    await new Promise((resolve) => client.once('open', resolve));
    client.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [server] = sockets.clients;
    // Both ends' kernels and the gateway hold some; most of it waits in the server.
    expect(server?.bufferedAmount).toBeGreaterThan(30_000_000);
    client.resume();
    await eventually(() => received === 64_000_000, '64 MB');
  });
});

function eventStream(more: (response: http.ServerResponse, request: http.IncomingMessage) => void) {
  const server = http.createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.flushHeaders();
    more(response, request);
  });
  server.listen(0, '127.0.0.1');
  cleanUp.push(() => server.close());
  cleanUp.push(() => server.closeAllConnections());
  return new Promise<number>((resolve) =>
    server.once('listening', () => resolve((server.address() as AddressInfo).port)),
  );
}

function listen(url: string): Peer {
  const [, port] = url.split(':');
  const client = new Peer(net.connect(Number(port), '127.0.0.1'));
  cleanUp.push(() => client.destroy());
  client.send('GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n');
  return client;
}

describe('server-sent events', () => {
  test('the head and each event arrive at once, whatever is still to come', async () => {
    let send: http.ServerResponse | undefined;
    const port = await eventStream((response) => {
      send = response;
    });
    const { url } = await throughGateway(port);
    const client = listen(url);
    await client.until('text/event-stream');
    expect(streams.counts.events).toBe(1);
    for (let i = 0; i < 5; i++) {
      send?.write(`id: ${i}\ndata: x\n\n`);
      await client.until(`id: ${i}\ndata: x\n\n`);
    }
    send?.end();
    await client.until('0\r\n\r\n');
    await eventually(() => streams.counts.events === 0);
  });

  test('neither the time-out of requests nor that of bodies ends them; their own does', async () => {
    const port = await eventStream((response) => response.write('data: 1\n\n'));
    const forward = { requestTimeoutMs: 100, idleTimeoutMs: 50, backendTimeoutMs: 1000, streamIdleTimeoutMs: 600 };
    const { url, gateway } = await throughGateway(port, { forward });
    const client = listen(url);
    await client.until('data: 1');
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(client.ended || client.closed).toBe(false);
    expect(await client.end()).not.toContain('0\r\n\r\n');
    expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'upstream-idle-timeout' });
  });

  test('what only looks like one is not', () => {
    expect(isEventStream(['content-type', 'Text/Event-Stream; charset=utf-8'])).toBe(true);
    for (const type of ['text/event-streams', 'text/plain', '', 'application/json; a=text/event-stream'])
      expect(isEventStream(['content-type', type])).toBe(false);
    expect(isEventStream(['x-type', 'text/event-stream'])).toBe(false);
  });
});

test('an upgraded connection that is quiet ends by the time-out of streams alone; traffic of either side keeps it', async () => {
  const upstream = await new ScriptedBackend((peer) => {
    void peer
      .until('\r\n\r\n')
      .then(() => peer.send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'));
  }).listen();
  cleanUp.push(() => upstream.close());
  const { url, gateway } = await throughGateway(upstream.port, {
    forward: { requestTimeoutMs: 100, idleTimeoutMs: 50, streamIdleTimeoutMs: 400 },
  });
  const client = new Peer(net.connect(Number(url.split(':')[1]), '127.0.0.1'));
  client.send('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
  await client.until(' 101 ');
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    client.send('.');
  }
  expect(client.closed).toBe(false);
  await client.end();
  expect(gateway.finished[0]).toMatchObject({ status: 101, code: 'upstream-idle-timeout', bytesIn: 3 });
  client.destroy();
});

describe('when the gateway goes', () => {
  test('each stream ends at a moment of its own within the window: events in good order, WebSockets by 1001', async () => {
    const events = await throughGateway(await eventStream((response) => response.write('data: 1\n\n')));
    const sockets = await echo();
    const listening = [listen(events.url), listen(events.url)];
    for (const client of listening) await client.until('data: 1');
    const talking = [await opened(sockets.url), await opened(sockets.url)];
    expect(streams.counts).toEqual({ upgrade: 2, events: 2, grpc: 0 });
    streams.drain(8000);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([0, 2000, 4000, 6000]);
    const closes = talking.map((client) => new Promise((resolve) => client.once('close', (code) => resolve(code))));
    timers[0]?.run();
    expect(await listening[0]?.until('0\r\n\r\n')).toContain('data: 1');
    expect(listening[1]?.ended).toBe(false);
    timers[1]?.run();
    await listening[1]?.until('0\r\n\r\n');
    timers[2]?.run();
    expect(await closes[0]).toBe(1001);
    expect(talking[1]?.readyState).toBe(WsClient.OPEN);
    timers[3]?.run();
    expect(await closes[1]).toBe(1001);
    await eventually(() => events.gateway.finished.length + sockets.gateway.finished.length === 4);
    for (const { code } of [...events.gateway.finished, ...sockets.gateway.finished]) expect(code).toBe('drained');
    expect(streams.counts).toEqual({ upgrade: 0, events: 0, grpc: 0 });
  });

  test("the runtime's own client sees 1001, and so does the server, after all that the client had sent", async () => {
    const { url, sockets, gateway } = await echo();
    const client = new WebSocket(`ws://${url}/`);
    const closed = new Promise<CloseEvent>((resolve) => {
      client.onclose = resolve;
    });
    await new Promise((resolve, reject) => {
      client.onopen = resolve;
      client.onerror = reject;
    });
    const [server] = sockets.clients;
    const seen: unknown[] = [];
    server?.on('message', (data) => seen.push((data as Buffer).length));
    const code = new Promise((resolve) => server?.once('close', resolve));
    for (let i = 0; i < 20; i++) client.send(new Uint8Array(100_000 + i));
    streams.drain(0);
    timers[0]?.run();
    const { code: ofClient, wasClean } = await closed;
    expect([ofClient, wasClean, await code]).toEqual([1001, true, 1001]);
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => 100_000 + i));
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]).toMatchObject({ status: 101, code: 'drained' });
  });

  test('a message that is under way arrives whole before the client is told; what follows it does not', async () => {
    const { url } = await echo();
    const client = new WsClient(`ws://${url}/send/3/20000000`, { perMessageDeflate: false });
    cleanUp.push(() => client.terminate());
    const sizes: number[] = [];
    const closed = new Promise((resolve) => client.once('close', resolve));
    await new Promise((resolve) => client.once('open', resolve));
    client.pause();
    client.on('message', (data) => {
      const bytes = data as Buffer;
      sizes.push(bytes.length);
      expect(bytes.every((byte) => byte === sizes.length - 1)).toBe(true);
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    streams.drain(0);
    timers[0]?.run();
    client.resume();
    expect(await closed).toBe(1001);
    expect(sizes).toEqual([20_000_000]);
  });

  test('a message that does not end is cut off after 2 s, and so is a client that does not answer', async () => {
    const said = ['\x01\x03abc\x00\x02de', '\x81\x02hi'];
    for (const words of said) {
      const upstream = await new ScriptedBackend((peer) => {
        void peer
          .until('\r\n\r\n')
          .then(() =>
            peer.send(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n\r\n${words}`),
          );
      }).listen();
      cleanUp.push(() => upstream.close());
      const { url, gateway } = await throughGateway(upstream.port);
      const client = new Peer(net.connect({ port: Number(url.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true }));
      client.send('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
      await client.until(words);
      const beganAt = performance.now();
      streams.drain(0);
      timers.pop()?.run();
      await eventually(() => client.closed || client.ended);
      expect(performance.now() - beganAt).toBeGreaterThan(1900);
      expect(client.received.endsWith(words === said[0] ? words : `${words}\x88\x02\x03\xe9`)).toBe(true);
      expect(gateway.finished[0]?.code).toBe('drained');
      client.destroy();
    }
  });

  test('what is under way when a tunnel is told to end still arrives; who does not close is cut', async () => {
    const upstream = await new ScriptedBackend((peer) => {
      void peer
        .until('\r\n\r\n')
        .then(() => peer.send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'));
    }).listen();
    cleanUp.push(() => upstream.close());
    const { url, gateway } = await throughGateway(upstream.port);
    const client = new Peer(net.connect({ port: Number(url.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true }));
    client.send('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
    await client.until(' 101 ');
    (await upstream.connection()).send('last words');
    await client.until('last words');
    streams.drain(0);
    timers[0]?.run();
    await client.end();
    expect(gateway.finished).toHaveLength(0);
    await eventually(() => gateway.finished.length === 1);
    expect(gateway.finished[0]?.code).toBe('drained');
    client.destroy();
  });

  test('a stream that ended by itself is left alone', async () => {
    const { url } = await echo();
    const client = await opened(url);
    streams.drain(1000);
    client.close();
    await eventually(() => streams.counts.upgrade === 0);
    timers[0]?.run();
  });
});
