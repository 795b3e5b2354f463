/** The security section with real requests: HTTPS, HSTS and bodies that are too large. */
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { eventually, Peer } from '../engine.fixture.ts';
import { startWheel } from '../io/wheel.ts';
import { createH2cListener } from '../listener/h2c.ts';
import type { ListenerOptions } from '../listener/options.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { PolicedGateway } from './policed.fixture.ts';

const HSTS = 'strict-transport-security';
const TLS = { serverName: 'shop.example', version: 'TLSv1.3', certificate: null } as const;

let gateway: PolicedGateway;
let received = 0;
afterEach(() => gateway.stop());

async function serve(section: object, options: Partial<ListenerOptions> = {}): Promise<void> {
  received = 0;
  gateway = await new PolicedGateway((request, response) => {
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    request.on('end', () => response.setHeader(HSTS, 'max-age=1').end('served'));
  }, options).start();
  await gateway.apply([{ section: 'security', ...section }]);
}

test('http is sent to https: same host, path and query, another port; https is served', async () => {
  await serve({ requireHttps: { status: 308, port: 8443 } });
  const headers = { host: 'Shop.Example:8080' };
  const moved = await gateway.send({ path: '/a%2fb/../c?d=//e&f', headers, method: 'POST' });
  expect([moved.status, moved.headers.location]).toEqual([308, 'https://shop.example:8443/c?d=//e&f']);
  expect(gateway.seen).toHaveLength(0);
  expect(gateway.finished[0]?.code).toBe('https-required');
  gateway.tls = TLS;
  expect(await gateway.send({ path: '/c', headers })).toMatchObject({ status: 200, body: 'served' });
});

test('443 is not written; an address of IPv6 keeps its brackets', async () => {
  await serve({ requireHttps: { status: 301, port: 443 } });
  const answers = ['shop.example', '[::1]:8080'].map((host) => gateway.send({ path: '/', headers: { host } }));
  const locations = (await Promise.all(answers)).map(({ headers }) => headers.location);
  expect(locations).toEqual(['https://shop.example/', 'https://[::1]/']);
});

test('X-Forwarded-Proto counts from a trusted proxy and from nobody else', async () => {
  await serve({ requireHttps: { status: 308, port: 443 } });
  const headers = { 'x-forwarded-proto': 'https' };
  expect((await gateway.send({ headers })).status).toBe(308);
  await gateway.stop();
  await serve({ requireHttps: { status: 308, port: 443 } }, { trustedHops: 1 });
  expect((await gateway.send({ headers })).status).toBe(200);
  expect((await gateway.send({ headers: { 'x-forwarded-proto': 'http' } })).status).toBe(308);
});

test('HSTS stands on every response over https, our own too, in place of the one of the backend; never on http', async () => {
  await serve({ hsts: { maxAgeSeconds: 600, includeSubDomains: true, preload: true }, maxBodyBytes: 1 });
  expect((await gateway.send({})).headers[HSTS]).toBeUndefined();
  gateway.tls = TLS;
  expect((await gateway.send({})).headers[HSTS]).toBe('max-age=600; includeSubDomains; preload');
  const refused = await gateway.send({ method: 'POST', headers: { 'content-length': 2 } }, ['ab']);
  expect([refused.status, refused.headers[HSTS]]).toEqual([413, 'max-age=600; includeSubDomains; preload']);
});

test('an announced body is refused at once, without a 100 and without a byte of it read', async () => {
  await serve({ maxBodyBytes: 1000 });
  const headers = { 'content-length': 1001, expect: '100-continue' };
  const refused = await gateway.send({ method: 'PUT', headers });
  expect(refused).toMatchObject({ status: 413, continued: false });
  expect([refused.headers.connection, JSON.parse(refused.body).code]).toEqual(['close', 'body-too-large']);
  expect([gateway.seen.length, gateway.finished[0]?.bytesIn]).toEqual([0, 0]);
  const fits = { 'content-length': 1000, expect: '100-continue' };
  expect(await gateway.send({ method: 'PUT', headers: fits }, ['x'.repeat(1000)])).toMatchObject({
    status: 200,
    continued: true,
  });
  expect(received).toBe(1000);
});

test('a body without a length is cut where it passes the limit: 413, and the backend sees it broken off', async () => {
  await serve({ maxBodyBytes: 1000 });
  const chunked = { method: 'POST', headers: { 'transfer-encoding': 'chunked' } };
  expect(await gateway.send(chunked, ['x'.repeat(999), 'x'])).toMatchObject({ status: 200 });
  expect(received).toBe(1000);
  const refused = await gateway.send(chunked, ['x'.repeat(999), 'xx']);
  expect([refused.status, JSON.parse(refused.body).code]).toEqual([413, 'body-too-large']);
  expect(received).toBeLessThan(2000);
  await eventually(() => gateway.seen[1]?.destroyed === true || gateway.seen.length === 1);
  expect(gateway.seen[1]?.complete ?? false).toBe(false);
  expect(gateway.errors).toEqual([]);
});

test('a body that passes the limit after the response began breaks it off', async () => {
  gateway = await new PolicedGateway((request, response) => {
    request.resume();
    response.write('early');
  }).start();
  await gateway.apply([{ section: 'security', maxBodyBytes: 1000 }]);
  const client = new Peer(net.connect(gateway.port, '127.0.0.1'));
  client.send(`POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n`);
  await client.until('early');
  client.send(`7d0\r\n${'x'.repeat(2000)}\r\n`);
  expect(await client.close()).not.toContain('0\r\n\r\n');
  expect(gateway.finished[0]).toMatchObject({ status: 200, code: 'body-too-large' });
});

test('the same over HTTP/2, where no length need be announced', async () => {
  await serve({ maxBodyBytes: 1000 });
  const wheel = startWheel();
  const listener = createH2cListener({
    host: '127.0.0.1',
    port: 0,
    handler: gateway.runtime.handler,
    refuse: ({ status, code, detail }) => gateway.runtime.refuse(status, code, detail),
    wheel,
  });
  const session = http2.connect(`http://127.0.0.1:${(await listener.listen()).port}`);
  const post = async (body: string, fields: http2.OutgoingHttpHeaders = {}) => {
    const stream = session.request({ ':method': 'POST', ':path': '/', ...fields });
    stream.end(body);
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    let text = '';
    for await (const chunk of stream.setEncoding('latin1')) text += chunk;
    return [headers[':status'], text.includes('body-too-large')];
  };
  expect(await post('x'.repeat(1000))).toEqual([200, false]);
  expect(await post('x'.repeat(1001))).toEqual([413, true]);
  expect(await post('x'.repeat(1001), { 'content-length': 1001 })).toEqual([413, true]);
  expect(await post('x'.repeat(200_000))).toEqual([413, true]);
  expect(await post('x')).toEqual([200, false]);
  session.destroy();
  await listener.close(100);
  wheel.stop();
});

test('explain says what would become of a request', async () => {
  await serve({
    requireHttps: { status: 308, port: 443 },
    hsts: { maxAgeSeconds: 1, includeSubDomains: false, preload: false },
  });
  const texts = async (scheme: 'http' | 'https') =>
    (await gateway.runtime.explain(memoryExchange('GET /', { scheme }), undefined)).sections.map(({ text }) => text);
  expect(await texts('http')).toEqual(['came over http: sent to https']);
  expect(await texts('https')).toEqual(['passes; responses over https get strict-transport-security']);
});
