/** TLS to endpoints: what is verified, what is shown, what becomes of those that fail, and certificates that change. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually, TestProxy, type TestProxySettings } from '../../engine.fixture.ts';
import type { UpstreamTls } from '../../snapshot/backend/transport.ts';
import { readStageCounts } from '../../telemetry/stage-counters.ts';
import { certificateResource, type Pair, TestCertificates } from './certificates.fixture.ts';
import type { Materials } from './tls-settings.ts';

let certificates: TestCertificates;
let server: Pair;
let client: Pair;
let stranger: Pair;

beforeAll(() => {
  certificates = new TestCertificates('other');
  server = certificates.issue('server', ['DNS:api.test', 'URI:spiffe://test/api', 'IP:127.0.0.1']);
  client = certificates.issue('client', ['DNS:client.test']);
  stranger = certificates.issue('stranger', ['DNS:client.test'], { authority: 'other' });
});

afterAll(() => certificates.remove());

const running: { close(): unknown }[] = [];

afterEach(async () => {
  for (const part of running.splice(0)) await part.close();
});

/** Answers each request; notes what each connection said of itself. */
class Backend {
  readonly sockets: tls.TLSSocket[] = [];
  readonly names: (string | false | null)[] = [];
  readonly clients: string[] = [];
  readonly resumed: boolean[] = [];
  readonly server: tls.Server;
  port = 0;

  constructor(options: tls.TlsOptions, onSocket: (socket: tls.TLSSocket) => void = answerAll) {
    this.server = tls.createServer(options, (socket) => {
      this.sockets.push(socket);
      this.names.push(socket.servername);
      this.clients.push(String(socket.getPeerCertificate().subject?.CN));
      this.resumed.push(socket.isSessionReused());
      socket.on('error', () => {});
      onSocket(socket);
    });
    this.server.on('tlsClientError', () => {});
  }

  async listen(): Promise<this> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as net.AddressInfo).port;
    running.push(this);
    return this;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

function answerAll(socket: tls.TLSSocket): void {
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
      text = text.slice(end + 4);
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    }
  });
}

interface Settings extends TestProxySettings {
  readonly tls?: UpstreamTls;
}

async function gatewayTo(port: number, { tls: own = {}, materials, ...rest }: Settings = {}): Promise<TestProxy> {
  const trusting = own.trust === undefined ? { ...own, trust: certificates.trust().id } : own;
  const proxy = await new TestProxy([port], {
    backend: { tls: trusting, ...rest.backend },
    materials: materials ?? { certificate: null, trust: certificates.trust() },
    ...rest,
    ...(rest.backend !== undefined && { backend: { tls: trusting, ...rest.backend } }),
  }).listen();
  running.unshift(proxy);
  return proxy;
}

const GET = 'GET / HTTP/1.1\r\nhost: other.test\r\n\r\n';

async function ask(proxy: TestProxy): Promise<string> {
  const peer = await proxy.client();
  peer.send(GET);
  const text = await peer.until(/\r\n\r\n.+/s);
  peer.destroy();
  return text;
}

function errorsOf(proxy: TestProxy): Record<string, number> {
  const samples = readStageCounts([proxy.counters.image()]).filter(({ name }) => name === 'upstream_tls_errors');
  return Object.fromEntries(samples.map(({ labels, value }) => [labels.reason, value]));
}

describe.each(['onread', 'data'] as const)('reads by %s', (readMode) => {
  test('a response comes over TLS, and the connection serves the next request too', async () => {
    const backend = await new Backend(server).listen();
    const proxy = await gatewayTo(backend.port, { tls: { serverName: 'api.test' }, readMode });
    const peer = await proxy.client();
    for (let i = 1; i <= 3; i++) {
      peer.send(GET);
      await eventually(() => peer.received.split('ok').length > i);
    }
    expect(backend.names).toEqual(['api.test']);
    expect(backend.sockets[0]?.getProtocol()).toBe('TLSv1.3');
  });

  test('1 MiB comes whole', async () => {
    const body = Buffer.alloc(1024 * 1024, 'x');
    const backend = await new Backend(server, (socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
        socket.write(body);
      });
    }).listen();
    const proxy = await gatewayTo(backend.port, { tls: { serverName: 'api.test' }, readMode });
    const peer = await proxy.client();
    peer.send(GET);
    await eventually(() => peer.received.length > body.length);
    expect(peer.received.slice(-body.length)).toBe(body.toString());
  });
});

describe('the certificate of an endpoint is verified', () => {
  test('by its address where there is no name, and no SNI is sent', async () => {
    const backend = await new Backend(server).listen();
    const proxy = await gatewayTo(backend.port);
    expect(await ask(proxy)).toContain('200 OK');
    expect(backend.names).toEqual([false]);
  });

  test('by the name its address was found by', async () => {
    const backend = await new Backend(server).listen();
    const proxy = await gatewayTo(backend.port, { endpoint: () => ({ hostName: 'api.test.' }) });
    expect(await ask(proxy)).toContain('200 OK');
    expect(backend.names).toEqual(['api.test']);
  });

  test.each<[string, UpstreamTls]>([
    ['another name', { serverName: 'elsewhere.test' }],
    ['no such alternative name', { serverName: 'api.test', subjectAltNames: ['spiffe://test/other', 'www.api.test'] }],
    ['a URI that only begins like it', { serverName: 'api.test', subjectAltNames: ['spiffe://test/ap'] }],
  ])('%s: 503 that says nothing of it, and a reason for the operator', async (_name, own) => {
    const backend = await new Backend(server).listen();
    const proxy = await gatewayTo(backend.port, { tls: own });
    const text = await ask(proxy);
    expect(text).toMatch(/^HTTP\/1\.1 503 [\s\S]*x-code: upstream-connect-failed/);
    expect(text).not.toMatch(/certificate|api\.test|127\.0\.0\.1/);
    expect(errorsOf(proxy)).toEqual({ name: 1 });
    expect(proxy.upstream.states()[0]?.tlsError).toBe('name (ERR_TLS_CERT_ALTNAME_INVALID)');
  });

  test('one of the alternative names is enough, a URI or a DNS name of any case; the server name counts no more', async () => {
    const backend = await new Backend(server).listen();
    for (const name of ['spiffe://test/api', 'API.test']) {
      const proxy = await gatewayTo(backend.port, {
        tls: { serverName: 'elsewhere.test', subjectAltNames: ['x', name] },
      });
      expect(await ask(proxy)).toContain('200 OK');
    }
    expect(backend.names).toEqual(['elsewhere.test', 'elsewhere.test']);
  });

  test('a name within another name is none of its own', async () => {
    const sly = certificates.issue('sly', ['URI:x:a, URI:spiffe://test/api', 'DNS:b.test']);
    const backend = await new Backend(sly).listen();
    const proxy = await gatewayTo(backend.port, {
      tls: { serverName: 'b.test', subjectAltNames: ['spiffe://test/api'] },
    });
    expect(await ask(proxy)).toContain('503');
  });

  test('an unknown CA, one that is over, one that speaks no TLS', async () => {
    const trust = certificates.trust('other');
    const unknown = await gatewayTo((await new Backend(server).listen()).port, {
      tls: { trust: trust.id },
      materials: { certificate: null, trust },
    });
    expect(await ask(unknown)).toContain('503');
    expect(errorsOf(unknown)).toEqual({ untrusted: 1 });

    const old = certificates.issue('old', ['IP:127.0.0.1'], { days: -1 });
    const expired = await gatewayTo((await new Backend(old).listen()).port);
    expect(await ask(expired)).toContain('503');
    expect(errorsOf(expired)).toEqual({ expired: 1 });

    const plain = net.createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    running.push(plain);
    const spoken = await gatewayTo((plain.address() as net.AddressInfo).port);
    expect(await ask(spoken)).toContain('503');
    expect(errorsOf(spoken)).toEqual({ protocol: 1 });
  });

  test('TLS 1.1 is refused', async () => {
    const backend = await new Backend({
      ...server,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    }).listen();
    const proxy = await gatewayTo(backend.port);
    expect(await ask(proxy)).toContain('503');
    expect(errorsOf(proxy)).toEqual({ refused: 1 });
  });
});

describe('client certificates', () => {
  const asking = (): tls.TlsOptions => ({
    ...server,
    ca: certificates.text('ca.crt'),
    requestCert: true,
    rejectUnauthorized: true,
  });
  const materials = (pair: Pair | null): Materials => ({
    certificate: pair === null ? null : certificateResource(pair),
    trust: certificates.trust(),
  });

  test('are shown', async () => {
    const backend = await new Backend(asking()).listen();
    const proxy = await gatewayTo(backend.port, { tls: {}, materials: materials(client) });
    expect(await ask(proxy)).toContain('200 OK');
    expect(backend.clients).toEqual(['client']);
  });

  test.each(['-tls1_2', '-tls1_3'])('none, or one of another CA, is refused by %s', async (version) => {
    const files = ['-cert', 'server.crt', '-key', 'server.key', '-CAfile', 'ca.crt', '-Verify', '1'];
    const args = ['s_server', '-accept', '127.0.0.1:0', ...files, '-verify_return_error', '-www', version];
    const child = spawn('openssl', args, { cwd: certificates.folder, stdio: ['ignore', 'pipe', 'ignore'] });
    running.push({ close: () => child.kill() });
    let said = '';
    child.stdout.on('data', (bytes) => {
      said += String(bytes);
    });
    await eventually(() => /ACCEPT [^\n]*:\d+\n/.test(said), 'openssl s_server');
    const port = Number(/ACCEPT [^\n]*:(\d+)\n/.exec(said)?.[1]);
    for (const pair of [null, stranger]) {
      const proxy = await gatewayTo(port, { tls: {}, materials: materials(pair) });
      expect(await ask(proxy)).toMatch(/^HTTP\/1\.1 50[23] /);
      await eventually(() => errorsOf(proxy).refused === 1, 'counted');
    }
    const proxy = await gatewayTo(port, { tls: {}, materials: materials(client) });
    expect(await ask(proxy)).toContain('200 OK');
  });

  test('a changed one is shown on new connections, idle ones close, and what is under way ends as it began', async () => {
    const backend = await new Backend({
      ...asking(),
      ca: [certificates.text('ca.crt'), certificates.text('other.crt')],
    }).listen();
    const proxy = await gatewayTo(backend.port, { tls: {}, materials: materials(client) });
    const other = materials(stranger);
    await ask(proxy);
    await eventually(() => proxy.upstream.stats.connections === 1);
    proxy.update([backend.port], other);
    await eventually(
      () => backend.sockets[0]?.destroyed === true || backend.sockets[0]?.readableEnded === true,
      'idle closes',
    );
    await ask(proxy);
    expect(backend.clients).toEqual(['client', 'stranger']);
    // The same again: the connection stays.
    proxy.update([backend.port], other);
    await ask(proxy);
    expect(backend.clients).toHaveLength(2);
  });
});

test('a session is resumed on the next connection, and not after the certificates have changed', async () => {
  const backend = await new Backend(server, (socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok'));
  }).listen();
  const proxy = await gatewayTo(backend.port);
  for (let i = 0; i < 3; i++) await ask(proxy);
  expect(backend.resumed).toEqual([false, true, true]);
  proxy.update([backend.port], { certificate: null, trust: { ...certificates.trust() } });
  await ask(proxy);
  expect(backend.resumed[3]).toBe(false);
});

test('the connect time-out covers the handshake', async () => {
  const silent = net.createServer((socket) => socket.on('error', () => {}).resume());
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  running.push(silent);
  const proxy = await gatewayTo((silent.address() as net.AddressInfo).port);
  const peer = await proxy.client();
  peer.send(GET);
  await eventually(() => proxy.upstream.stats.connections === 1);
  proxy.advance(5_000);
  expect(await peer.until(/\r\n\r\n.+/s)).toContain('x-code: upstream-connect-timeout');
});
