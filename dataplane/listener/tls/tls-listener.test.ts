import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { TestAuthority } from './certificates.fixture.ts';
import { hostFixture, shownBy, TlsScene } from './scene.fixture.ts';

let ca: TestAuthority;
let other: TestAuthority;
let scene: TlsScene;
beforeAll(() => {
  ca = new TestAuthority();
  other = new TestAuthority('Other CA');
});
afterAll(() => {
  ca.close();
  other.close();
});
afterEach(() => scene.close());

const failure = (asked: Promise<unknown>) =>
  asked.then(
    () => 'no error',
    (error: NodeJS.ErrnoException) => error.code,
  );

describe.each(['onread', 'data'] as const)('%s', (mode) => {
  test('each host has its own certificate; HTTP/1.1 and HTTP/2', async () => {
    scene = await new TlsScene(mode).listen();
    scene.configure(
      ...hostFixture('shop/a', ['a.example'], ca.issue(['DNS:a.example'], '/CN=a')),
      ...hostFixture('shop/w', ['*.w.example'], ca.issue(['DNS:*.w.example'], '/CN=w')),
    );
    const socket = await scene.connect('a.example');
    expect(shownBy(socket)).toBe('a');
    expect(await scene.ask('a.example', socket)).toBe('200 shop/a/all');
    expect(await scene.ask('a.example', socket)).toBe('200 shop/a/all');
    expect(shownBy(await scene.connect('x.y.w.example'))).toBe('w');
    expect(await scene.ask('X.w.example')).toBe('200 shop/w/all');
    expect(await scene.askH2('a.example')).toBe('200 shop/a/all');
    expect(await scene.askPlain('a.example')).toBe('200 shop/a/all');
    const [exchange] = scene.finished;
    expect(exchange).toMatchObject({ scheme: 'https', clientAddress: '127.0.0.1' });
    expect(exchange?.downstream.tls).toMatchObject({ serverName: 'a.example', version: 'TLSv1.3', certificate: null });
    const old = await scene.connect('a.example', { maxVersion: 'TLSv1.2' });
    expect(await scene.ask('a.example', old)).toBe('200 shop/a/all');
    expect(scene.handshakes).toContain('ok TLSv1.2');
    expect(await failure(scene.connect('a.example', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }))).not.toBe(
      'no error',
    );
  });

  test('no host of this name: the handshake is refused by an alert; a Secret that is gone harms its host alone', async () => {
    scene = await new TlsScene(mode).listen();
    const good = hostFixture('shop/a', ['a.example'], ca.issue(['DNS:a.example']));
    scene.configure(...good, ...hostFixture('shop/gone', ['gone.example'], null));
    const refused = 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME';
    expect(await failure(scene.connect('nobody.example'))).toBe(refused);
    expect(await failure(scene.connect('gone.example'))).toBe(refused);
    expect(await failure(scene.connect(''))).toBe(refused);
    expect(await scene.ask('a.example')).toBe('200 shop/a/all');
    expect(scene.handshakes.filter((one) => one === 'unrecognized-name')).toHaveLength(3);
  });

  test('a broken certificate is rejected, its host refused; with one before, that one stays', async () => {
    scene = await new TlsScene(mode).listen();
    const first = ca.issue(['DNS:a.example'], '/CN=first');
    const mixed = { chain: first.chain, key: ca.issue([]).key };
    const wide = hostFixture('shop/wide', ['*'], ca.issue([], '/CN=wide'));
    const applied = scene.configure(...wide, ...hostFixture('shop/a', ['a.example'], mixed));
    expect(applied.rejected).toHaveLength(1);
    expect(applied.rejected[0]?.message).toMatch(/^action\.certificate: can't be used: .*key values mismatch/);
    expect(await failure(scene.connect('a.example'))).toBe('ERR_SSL_TLSV1_UNRECOGNIZED_NAME');
    expect(shownBy(await scene.connect('b.example'))).toBe('wide');
    expect(scene.configure(...wide, ...hostFixture('shop/a', ['a.example'], first)).rejected).toEqual([]);
    expect(shownBy(await scene.connect('a.example'))).toBe('first');
    expect(scene.configure(...wide, ...hostFixture('shop/a', ['a.example'], mixed)).rejected).toHaveLength(1);
    expect(shownBy(await scene.connect('a.example'))).toBe('first');
  });

  test('a new certificate is shown from the next handshake on; connections go on', async () => {
    scene = await new TlsScene(mode).listen();
    scene.configure(...hostFixture('shop/a', ['a.example'], ca.issue(['DNS:a.example'], '/CN=one')));
    const before = await scene.connect('a.example');
    expect(await scene.ask('a.example', before)).toBe('200 shop/a/all');
    scene.configure(...hostFixture('shop/a', ['a.example'], ca.issue(['DNS:a.example'], '/CN=two')));
    expect(await scene.ask('a.example', before)).toBe('200 shop/a/all');
    expect(shownBy(await scene.connect('a.example'))).toBe('two');
  });

  test('client certificates: required, optional, and of another CA', async () => {
    scene = await new TlsScene(mode).listen();
    const shown = ca.issue(['DNS:a.example']);
    scene.configure(
      ...hostFixture('shop/must', ['must.example'], shown, { mode: 'required', authorities: ca.certificate }),
      ...hostFixture('shop/may', ['may.example'], shown, { mode: 'optional', authorities: ca.certificate }),
    );
    const mine = ca.issue(
      ['URI:spiffe://acme/ns/shop/sa/cart', 'DNS:cart.shop', 'email:a@b.example'],
      '/O=Acme/CN=cart, "x"',
    );
    const client = { cert: mine.chain, key: mine.key };
    expect(await scene.ask('must.example', scene.connect('must.example', client))).toBe('200 shop/must/all');
    expect(scene.finished[0]?.downstream.tls?.certificate).toMatchObject({
      subject: 'CN=cart\\, \\"x\\",O=Acme',
      commonName: 'cart, "x"',
      dnsNames: ['cart.shop'],
      uris: ['spiffe://acme/ns/shop/sa/cart'],
      emails: ['a@b.example'],
      spiffeId: 'spiffe://acme/ns/shop/sa/cart',
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(await scene.ask('may.example', scene.connect('may.example', client))).toBe('200 shop/may/all');
    expect(scene.finished[1]?.downstream.tls?.certificate?.commonName).toBe('cart, "x"');
    expect(await scene.ask('may.example')).toBe('200 shop/may/all');
    expect(scene.finished[2]?.downstream.tls?.certificate).toBeNull();
    const strange = other.issue([]);
    for (const host of ['must.example', 'may.example'])
      expect(
        await failure(
          scene
            .connect(host, { cert: strange.chain, key: strange.key, maxVersion: 'TLSv1.2' })
            .then((socket) => scene.ask(host, socket)),
        ),
      ).not.toBe('no error');
    // With TLS 1.3 the client has finished before the server has seen that there is none.
    const none = await scene.connect('must.example');
    const [error] = (await once(none, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
    expect(scene.handshakes.filter((one) => one === 'client-certificate')).toHaveLength(3);
    expect(scene.finished).toHaveLength(3);
  });

  test('a host that demands certificates is reached neither over the connection of another nor without TLS', async () => {
    scene = await new TlsScene(mode).listen();
    const shown = ca.issue(['DNS:*.example']);
    scene.configure(
      ...hostFixture('shop/open', ['open.example'], shown),
      ...hostFixture('shop/twin', ['twin.example'], shown),
      ...hostFixture('shop/far', ['far.example'], ca.issue(['DNS:far.example'])),
      ...hostFixture('shop/must', ['must.example'], shown, { mode: 'required', authorities: ca.certificate }),
    );
    const open = await scene.connect('open.example');
    expect(await scene.ask('must.example', open)).toBe('421 misdirected-request');
    expect(await scene.ask('far.example', open)).toBe('421 misdirected-request');
    expect(await scene.ask('twin.example', open)).toBe('200 shop/twin/all');
    expect(await scene.ask('open.example', open)).toBe('200 shop/open/all');
    expect(await scene.askPlain('must.example')).toBe('421 misdirected-request');
    expect(await scene.askPlain('open.example')).toBe('200 shop/open/all');
    // Also once the demand comes while the connection is open.
    scene.configure(
      ...hostFixture('shop/open', ['open.example'], shown, { mode: 'required', authorities: ca.certificate }),
    );
    expect(await scene.ask('open.example', open)).toBe('421 misdirected-request');
  });

  test('sessions are resumed, by every worker, and only where they began', async () => {
    scene = await new TlsScene(mode).listen();
    const shown = ca.issue(['DNS:*.example']);
    scene.configure(
      ...hostFixture('shop/a', ['a.example'], shown),
      ...hostFixture('shop/b', ['b.example'], shown),
      ...hostFixture('shop/must', ['must.example'], shown, { mode: 'required', authorities: ca.certificate }),
    );
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = await scene.connect('a.example', { maxVersion });
      const session = maxVersion === 'TLSv1.2' ? first.getSession() : ((await once(first, 'session'))[0] as Buffer);
      const more = { maxVersion, session: session as Buffer };
      const again = await scene.connect('a.example', more);
      expect([maxVersion, again.isSessionReused()]).toEqual([maxVersion, true]);
      expect(await scene.ask('a.example', again)).toBe('200 shop/a/all');
      expect((await scene.connect('b.example', more)).isSessionReused()).toBe(false);
      expect(
        await failure(scene.connect('must.example', more).then((socket) => scene.ask('must.example', socket))),
      ).not.toBe('no error');
    }
  });

  test('what is no TLS, what says nothing and what breaks off', async () => {
    scene = await new TlsScene(mode, { handshakeMs: 50 }).listen();
    scene.configure(...hostFixture('shop/a', ['a.example'], ca.issue([])));
    const http = net.connect(scene.port, '127.0.0.1');
    http.write('GET / HTTP/1.1\r\nhost: a.example\r\n\r\n');
    expect(String((await once(http, 'data'))[0])).toMatch(/^HTTP\/1\.1 400 .*This port speaks TLS/s);
    const noise = net.connect(scene.port, '127.0.0.1');
    noise.write('\0\0\0\0');
    expect([...(await once(noise, 'data'))[0]]).toEqual([21, 3, 3, 0, 2, 2, 10]);
    const silent = net.connect(scene.port, '127.0.0.1');
    await once(silent.resume(), 'close');
    const half = net.connect(scene.port, '127.0.0.1');
    half.write(Buffer.from([22, 3, 1]));
    await once(half.resume(), 'close');
    const gone = net.connect(scene.port, '127.0.0.1');
    await once(gone, 'connect');
    gone.destroy();
    await eventually(() => scene.handshakes.length === 5);
    expect(scene.handshakes.sort()).toEqual(['closed', 'malformed', 'malformed', 'timeout', 'timeout']);
    await eventually(() => scene.listener.stats.connections === 0);
  });

  test('a large body both ways, and a request in the same flight as the end of the handshake', async () => {
    scene = await new TlsScene(mode).listen();
    scene.configure(...hostFixture('shop/a', ['a.example'], ca.issue([])));
    const socket = tls.connect({
      host: '127.0.0.1',
      port: scene.port,
      servername: 'a.example',
      rejectUnauthorized: false,
    });
    const body = Buffer.alloc(1_000_000, 'x');
    socket.write(`POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: ${body.length}\r\n\r\n`);
    socket.write(body);
    expect(await scene.ask('a.example', socket)).toBe('200 shop/a/all');
    socket.destroy();
  });
});
