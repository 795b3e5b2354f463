/** Probes at real servers that really fail. */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { silentLog } from '../../log.ts';
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import { backendFixture, endpointsFixture } from '../../snapshot/fixtures.ts';
import type { BackendResource } from '../../snapshot/resources.ts';
import { TestCertificates } from '../../upstream/dial/certificates.fixture.ts';
import { type Materials, NO_MATERIALS } from '../../upstream/dial/tls-settings.ts';
import { HealthChecker } from './checker.ts';
import { healthService } from './grpc-probe.ts';
import type { ProbeOutcome, ProbeResult } from './probe.ts';

const ID = 'backend/shop/api';
const PATIENCE = { timeout: 20_000, interval: 10 };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const HTTP: ActiveHealth['probe'] = {
  kind: 'http',
  method: 'GET',
  path: '/healthz',
  headers: [],
  statuses: [{ from: 200, to: 299 }],
};

function activeHealth(probe: ActiveHealth['probe'], more: Partial<ActiveHealth> = {}): ActiveHealth {
  return {
    probe,
    intervalMs: 20,
    jitterPercent: 20,
    timeoutMs: 5_000,
    healthyThreshold: 2,
    unhealthyThreshold: 3,
    ...more,
  };
}

/** A checker and what it said last of the one backend. */
class Scene {
  readonly told: string[][] = [];
  readonly checker: HealthChecker;

  constructor(limits?: { maxEndpoints: number; maxConcurrent: number }) {
    this.checker = new HealthChecker({
      setUnhealthy: (id, unhealthy) => {
        if (id === ID) this.told.push([...unhealthy]);
      },
      log: silentLog,
      ...(limits === undefined ? {} : { limits }),
    });
    cleanups.push(() => this.checker.close());
  }

  watch(
    active: ActiveHealth | undefined,
    addresses: string[],
    id = ID,
    more: Partial<BackendResource> = {},
    materials: Materials = NO_MATERIALS,
  ): void {
    const health = active === undefined ? {} : { health: { active, panicPercent: 50 } };
    const { endpoints } = endpointsFixture('shop/api', ...addresses);
    const resource = { ...backendFixture('shop/api', health), ...more, id };
    this.checker.backend(id, { resource, sent: endpoints, endpoints, materials });
  }

  get unhealthy(): string[] {
    return this.told.at(-1) ?? [];
  }

  count(result: ProbeResult): number {
    for (const [id, counted, count] of this.checker.counts()) if (id === ID && counted === result) return count;
    return 0;
  }

  lastOf(name: string): Partial<ProbeOutcome> & { healthy?: boolean } {
    const checked = this.checker.endpointsOf(ID)?.get(name);
    return checked === undefined
      ? {}
      : {
          healthy: checked.healthy,
          ...(checked.result === null ? {} : { result: checked.result }),
          detail: checked.detail,
        };
  }
}

async function listen(server: net.Server, port = 0): Promise<string> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serve = (handler: http.RequestListener): Promise<string> => listen(http.createServer(handler));

test('HTTP: 500s make an endpoint unhealthy after the threshold, 200s healthy again', async () => {
  let status = 200;
  let probes = 0;
  const address = await serve((_request, response) => {
    probes++;
    response.writeHead(status).end('fine');
  });
  const scene = new Scene();
  scene.watch(activeHealth(HTTP), [address]);
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(2);
  expect(scene.told).toEqual([]);
  status = 500;
  const before = probes;
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
  expect(probes - before).toBeGreaterThanOrEqual(3);
  expect(scene.lastOf(address)).toMatchObject({ healthy: false, result: 'status', detail: '500' });
  status = 204;
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([]);
  expect(scene.told).toEqual([[address], []]);
});

test('HTTP: method, path, host and headers arrive; only expected statuses are healthy; redirects are not followed', async () => {
  const seen: string[] = [];
  let status = 418;
  const address = await serve((request, response) => {
    const { host, 'x-probe': probe, connection, 'user-agent': agent } = request.headers;
    seen.push([request.method, request.url, host, probe, connection, agent?.split('/')[0]].join(' '));
    response.writeHead(status, { location: '/elsewhere' }).end();
  });
  const scene = new Scene();
  const probe: ActiveHealth['probe'] = {
    ...HTTP,
    method: 'HEAD',
    path: '/deep?x=1',
    host: 'orders.internal:8080',
    headers: [{ name: 'x-probe', value: 'yes' }],
    statuses: [
      { from: 200, to: 200 },
      { from: 418, to: 420 },
    ],
  };
  scene.watch(activeHealth(probe), [address]);
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(0);
  status = 302;
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
  expect(new Set(seen)).toEqual(new Set(['HEAD /deep?x=1 orders.internal:8080 yes close Tidegate-Health']));
});

test('HTTP: without a host of its own the endpoint is named; another port is probed where told', async () => {
  const hosts = new Set<string | undefined>();
  const address = await serve((request, response) => {
    hosts.add(request.headers.host);
    response.end();
  });
  const port = Number(address.split(':')[1]);
  const scene = new Scene();
  // Nothing listens at the endpoint's own port 1.
  scene.watch(activeHealth(HTTP, { port }), ['127.0.0.1:1']);
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(1);
  expect(hosts).toEqual(new Set([address]));
  expect(scene.told).toEqual([]);
});

test.each<[string, (socket: net.Socket) => void, ProbeOutcome['result']]>([
  ['accepts and never answers', () => {}, 'timeout'],
  ['answers slowly', (socket) => setTimeout(() => socket.end('HTTP/1.1 200 OK\r\n\r\n'), 10_000).unref(), 'timeout'],
  ['holds back its body', (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'), 'timeout'],
  ['breaks off its body', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'), 'protocol'],
  ['speaks no HTTP', (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'), 'protocol'],
  ['closes', (socket) => socket.end(), 'protocol'],
  ['resets', (socket) => socket.resetAndDestroy(), 'protocol'],
  [
    'switches protocols',
    (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    'protocol',
  ],
  ['sends a head without end', (socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}`), 'protocol'],
])('HTTP: a server that %s is unhealthy', async (_name, behave, result) => {
  const address = await listen(
    net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => behave(socket));
    }),
  );
  const scene = new Scene();
  // Where the outcome is no time-out, it must not become one on a busy machine.
  scene.watch(activeHealth(HTTP, { timeoutMs: result === 'timeout' ? 100 : 15_000 }), [address]);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
  expect(scene.lastOf(address)).toMatchObject({ healthy: false, result });
});

test('HTTP: goes over TLS as requests do, with the same verification, and by new certificates once they change', async () => {
  const certificates = new TestCertificates('other');
  cleanups.push(() => certificates.remove());
  const pair = certificates.issue('server', ['DNS:api.test']);
  const address = await listen(
    https.createServer(pair, (_request, response) => response.end()) as unknown as net.Server,
  );
  const scene = new Scene();
  const trusting = (authority: string): Materials => ({ certificate: null, trust: certificates.trust(authority) });
  const own = { tls: { serverName: 'api.test', trust: 'trust/backend/test/plain/ca' } };
  scene.watch(activeHealth(HTTP), [address], ID, own, trusting('ca'));
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(1);
  scene.watch(activeHealth(HTTP), [address], ID, own, trusting('other'));
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
  expect(scene.lastOf(address)).toMatchObject({ result: 'connect', detail: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  scene.watch(activeHealth(HTTP), [address], ID, own, trusting('ca'));
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([]);
});

test('HTTP: a backend of HTTP/2 is asked by it, without TLS and over it', async () => {
  const certificates = new TestCertificates();
  cleanups.push(() => certificates.remove());
  const pair = certificates.issue('server', ['DNS:api.test']);
  const own = { tls: { serverName: 'api.test', trust: 'trust/backend/test/plain/ca' }, protocol: 'http2' as const };
  const trust: Materials = { certificate: null, trust: certificates.trust('ca') };
  const probe = { ...HTTP, host: 'a.example.com', headers: [{ name: 'X-Probe', value: 'yes' }] };
  for (const secure of [false, true]) {
    let status = 200;
    const seen: http2.IncomingHttpHeaders[] = [];
    const server = (secure ? http2.createSecureServer(pair) : http2.createServer()) as http2.Http2Server;
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      seen.push(headers);
      stream.on('error', () => {});
      if (status === 0) {
        stream.respond({ ':status': 200 });
        stream.write('abc', () => stream.session?.destroy());
        return;
      }
      stream.respond({ ':status': status });
      stream.end('fine');
    });
    const address = await listen(server as unknown as net.Server);
    const scene = new Scene();
    scene.watch(
      activeHealth(probe),
      [address],
      ID,
      secure ? own : { protocol: 'http2' },
      secure ? trust : NO_MATERIALS,
    );
    await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(2);
    expect(scene.told).toEqual([]);
    expect(seen[0]).toMatchObject({
      ':method': 'GET',
      ':path': '/healthz',
      ':scheme': secure ? 'https' : 'http',
      ':authority': 'a.example.com',
      'x-probe': 'yes',
    });
    status = 503;
    await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
    expect(scene.lastOf(address)).toMatchObject({ result: 'status', detail: '503' });
    status = 204;
    await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([]);
    status = 0;
    await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
    expect(scene.lastOf(address).result).toBe('protocol');
  }
});

test('HTTP: by HTTP/2, a server that knows only HTTP/1.1 and a closed port fail, each in its own way', async () => {
  const address = await serve((_request, response) => response.end());
  const scene = new Scene();
  scene.watch(activeHealth(HTTP), [address, '127.0.0.1:1'], ID, { protocol: 'http2' });
  await expect.poll(() => scene.unhealthy.length, PATIENCE).toBe(2);
  expect(scene.lastOf(address).result).toBe('protocol');
  expect(scene.lastOf('127.0.0.1:1')).toMatchObject({ result: 'connect', detail: 'ECONNREFUSED' });
});

test('gRPC: goes over TLS as requests do, with the same verification', async () => {
  const certificates = new TestCertificates('other');
  cleanups.push(() => certificates.remove());
  const { cert, key } = certificates.issue('server', ['DNS:api.test']);
  const server = new Server();
  const Check = (_call: unknown, answer: (e: unknown, r: unknown) => void): void => answer(null, { status: 'SERVING' });
  server.addService(healthService, { Check } as never);
  const secure = ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', secure, (error, at) => (error === null ? resolve(at) : reject(error))),
  );
  cleanups.push(() => server.forceShutdown());
  const address = `127.0.0.1:${port}`;
  const scene = new Scene();
  const own = { tls: { serverName: 'api.test', trust: 'trust/backend/test/plain/ca' }, protocol: 'http2' as const };
  const trusting = (authority: string): Materials => ({ certificate: null, trust: certificates.trust(authority) });
  scene.watch(activeHealth({ kind: 'grpc', service: '' }), [address], ID, own, trusting('ca'));
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(1);
  scene.watch(activeHealth({ kind: 'grpc', service: '' }), [address], ID, own, trusting('other'));
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
});

test('HTTP: a backend that wants the PROXY protocol gets a header that names nobody', async () => {
  let first = '';
  const address = await listen(
    net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (bytes) => {
        first = bytes.toString();
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      });
    }),
  );
  const scene = new Scene();
  scene.watch(activeHealth(HTTP), [address], ID, { proxyProtocol: 'v1' });
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(0);
  expect(first).toMatch(/^PROXY UNKNOWN\r\nGET \/healthz /);
});

test('HTTP: a closed port has no connection', async () => {
  const scene = new Scene();
  scene.watch(activeHealth(HTTP), ['127.0.0.1:1', '[::1]:1']);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual(['127.0.0.1:1', '[::1]:1']);
  expect(scene.lastOf('127.0.0.1:1')).toEqual({ healthy: false, result: 'connect', detail: 'ECONNREFUSED' });
  expect(scene.lastOf('[::1]:1').result).toBe('connect');
});

test('HTTP: an endless body is cut off, and what it said first counts', async () => {
  let cut = 0;
  const address = await serve((_request, response) => {
    response.on('close', () => cut++);
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  });
  const scene = new Scene();
  scene.watch(activeHealth(HTTP), [address]);
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(1);
  await expect.poll(() => cut, PATIENCE).toBeGreaterThan(1);
  expect(scene.told).toEqual([]);
});

test('TCP: a port that is closed is unhealthy with its first probe, and healthy when it opens', async () => {
  const server = net.createServer((socket) => socket.on('error', () => {}));
  const address = await listen(server);
  const port = Number(address.split(':')[1]);
  server.close();
  await once(server, 'close');
  const scene = new Scene();
  scene.watch(activeHealth({ kind: 'tcp' }, { unhealthyThreshold: 1000 }), [address]);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
  expect(scene.lastOf(address)).toEqual({ healthy: false, result: 'connect', detail: 'ECONNREFUSED' });
  await listen(
    net.createServer((socket) => socket.on('error', () => {})),
    port,
  );
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([]);
});

test('gRPC: SERVING is healthy; NOT_SERVING, an unknown service and a server that is away are not; a recovery is seen', async () => {
  const status: Record<string, string> = { '': 'SERVING', 'shop.Orders': 'NOT_SERVING' };
  const connections = new Set<string>();
  const start = async (port: number): Promise<{ port: number; server: Server }> => {
    const server = new Server();
    server.addService(healthService, {
      Check(call: { request: { service: string }; getPeer(): string }, answer: (e: unknown, r?: unknown) => void) {
        connections.add(call.getPeer());
        const known = status[call.request.service];
        if (known === undefined) answer({ code: 5, details: 'unknown service' });
        else answer(null, { status: known });
      },
    } as never);
    const bound = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    cleanups.push(() => server.forceShutdown());
    return { port: bound, server };
  };
  const { port, server } = await start(0);
  const address = `127.0.0.1:${port}`;
  const whole = new Scene();
  const orders = new Scene();
  const unknown = new Scene();
  whole.watch(activeHealth({ kind: 'grpc', service: '' }), [address]);
  orders.watch(activeHealth({ kind: 'grpc', service: 'shop.Orders' }), [address]);
  unknown.watch(activeHealth({ kind: 'grpc', service: 'shop.Nothing' }), [address]);
  await expect.poll(() => whole.count('success'), PATIENCE).toBeGreaterThan(3);
  // One channel an endpoint, kept.
  expect(connections.size).toBeLessThanOrEqual(3);
  await expect.poll(() => orders.unhealthy, PATIENCE).toEqual([address]);
  expect(orders.lastOf(address)).toEqual({ healthy: false, result: 'not-serving', detail: 'NOT_SERVING' });
  await expect.poll(() => unknown.unhealthy, PATIENCE).toEqual([address]);
  expect(unknown.lastOf(address)).toEqual({ healthy: false, result: 'not-serving', detail: 'NOT_FOUND' });
  status['shop.Orders'] = 'SERVING';
  await expect.poll(() => orders.unhealthy, PATIENCE).toEqual([]);
  expect(whole.told).toEqual([]);

  server.forceShutdown();
  await expect.poll(() => whole.unhealthy, PATIENCE).toEqual([address]);
  expect(whole.lastOf(address)).toMatchObject({ result: 'connect', detail: 'UNAVAILABLE' });
  await start(port);
  await expect.poll(() => whole.unhealthy, PATIENCE).toEqual([]);
});

test('gRPC: over TLS, with the same verification', async () => {
  const certificates = new TestCertificates('other');
  cleanups.push(() => certificates.remove());
  const pair = certificates.issue('server', ['DNS:api.test']);
  const server = new Server();
  server.addService(healthService, {
    Check: (_call: unknown, answer: (e: unknown, r?: unknown) => void) => answer(null, { status: 'SERVING' }),
  } as never);
  const secure = ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(pair.cert), private_key: Buffer.from(pair.key) },
  ]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', secure, (error, at) => (error === null ? resolve(at) : reject(error))),
  );
  cleanups.push(() => server.forceShutdown());
  const scene = new Scene();
  const probe: ActiveHealth['probe'] = { kind: 'grpc', service: '' };
  const trust = 'trust/backend/test/plain/ca';
  const materials = { certificate: null, trust: certificates.trust() };
  const address = `127.0.0.1:${port}`;
  scene.watch(activeHealth(probe), [address], ID, { tls: { serverName: 'api.test', trust } }, materials);
  await expect.poll(() => scene.count('success'), PATIENCE).toBeGreaterThan(1);
  scene.watch(activeHealth(probe), [address], ID, { tls: { serverName: 'other.test', trust } }, materials);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([address]);
  scene.watch(activeHealth(probe), [address], ID, { tls: { subjectAltNames: ['api.test'], trust } }, materials);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual([]);
});

test('states are kept over what does not change them; an endpoint that goes is forgotten, and so is its state', async () => {
  const fine = await serve((_request, response) => response.end());
  const scene = new Scene();
  const active = activeHealth(HTTP, { intervalMs: 60_000 });
  scene.watch(active, [fine, '127.0.0.1:1']);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual(['127.0.0.1:1']);
  await expect.poll(() => scene.count('success'), PATIENCE).toBe(1);
  // The same, sent again; one more; other settings: nothing of what is known is lost.
  scene.watch(activeHealth(HTTP, { intervalMs: 60_000 }), [fine, '127.0.0.1:1']);
  scene.watch(active, [fine, '127.0.0.1:1', '127.0.0.1:2']);
  await expect.poll(() => scene.unhealthy, PATIENCE).toEqual(['127.0.0.1:1', '127.0.0.1:2']);
  expect(scene.count('success')).toBe(1);
  scene.watch(activeHealth(HTTP, { intervalMs: 50_000 }), [fine, '127.0.0.1:1', '127.0.0.1:2']);
  expect(scene.lastOf('127.0.0.1:1').healthy).toBe(false);
  // By new settings all are probed at once.
  await expect.poll(() => scene.count('success'), PATIENCE).toBe(2);
  scene.watch(activeHealth(HTTP, { intervalMs: 50_000 }), [fine, '127.0.0.1:2']);
  expect(scene.unhealthy).toEqual(['127.0.0.1:2']);
  expect([...(scene.checker.endpointsOf(ID)?.keys() ?? [])]).toEqual([fine, '127.0.0.1:2']);
  // Without health checks nothing is unhealthy.
  scene.watch(undefined, [fine, '127.0.0.1:2']);
  expect(scene.unhealthy).toEqual([]);
  expect(scene.checker.endpointsOf(ID)).toBeNull();
});

test('what is gone or closed is probed no more, also where a probe was under way', async () => {
  let probes = 0;
  let ended = 0;
  const address = await listen(
    net.createServer((socket) => {
      probes++;
      socket.on('error', () => {});
      socket.on('data', () => {});
      socket.on('close', () => ended++);
    }),
  );
  const scene = new Scene();
  const active = activeHealth(HTTP, { timeoutMs: 60_000 });
  scene.watch(active, [address]);
  scene.watch(active, [address], 'backend/shop/other');
  await expect.poll(() => probes, PATIENCE).toBe(2);
  scene.checker.gone(ID);
  await expect.poll(() => ended, PATIENCE).toBe(1);
  scene.checker.close();
  await expect.poll(() => ended, PATIENCE).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(probes).toBe(2);
  expect(scene.told).toEqual([]);
});

test('at most so many probes are under way, and at most so many endpoints are probed', async () => {
  const waiting: http.ServerResponse[] = [];
  let most = 0;
  const address = await serve((_request, response) => {
    waiting.push(response);
    most = Math.max(most, waiting.length);
  });
  const port = Number(address.split(':')[1]);
  const scene = new Scene({ maxEndpoints: 8, maxConcurrent: 3 });
  scene.watch(
    activeHealth(HTTP, { port, intervalMs: 60_000, timeoutMs: 60_000 }),
    Array.from({ length: 12 }, (_, i) => `127.0.0.1:${i + 1}`),
  );
  for (let answered = 0; answered < 8; ) {
    await expect.poll(() => waiting.length, PATIENCE).toBe(Math.min(3, 8 - answered));
    waiting.shift()?.end();
    answered++;
  }
  await expect.poll(() => scene.count('success'), PATIENCE).toBe(8);
  expect(most).toBe(3);
  expect(scene.checker.endpointsOf(ID)?.size).toBe(8);
});
