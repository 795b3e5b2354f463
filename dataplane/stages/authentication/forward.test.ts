import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Outbound } from '../../outbound/outbound.ts';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { forwardMethod } from '../../snapshot/sections/authentication/forward.ts';
import { contextFixture } from '../context.fixture.ts';
import { create } from './forward.ts';
import type { Finding } from './method.ts';
import { compose } from './stage.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const CONFIG = {
  kind: 'forward',
  name: 'ask',
  timeoutMs: 2_000,
  requestHeaders: ['authorization', 'cookie'],
  consumerHeader: 'x-user',
  groupsHeader: 'x-groups',
  copyHeaders: ['x-tenant'],
  cacheMs: 0,
  cacheHeaders: ['authorization'],
  cacheScope: 'request',
};

/** Asks a real server, which answers as told; `asked` is what it got. */
async function scene(answer: http.RequestListener, more: object = {}) {
  const asked: http.IncomingMessage[] = [];
  const server = http.createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const outbound = new Outbound({ restMs: 20 });
  const plain = contextFixture();
  const clock = { ms: 1_700_000_000_000 };
  const context = { ...plain, epochMs: () => clock.ms, services: { ...plain.services, http: outbound } };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/check?x=1`;
  const config = forwardMethod.parse({ ...CONFIG, url, ...more });
  const method = create(config, context, 'methods[0]');
  cleanups.push(
    () => server.close(),
    () => server.closeAllConnections(),
    () => outbound.close(),
    () => method.close?.(),
  );
  return { method, asked, context, clock, config };
}

const yes: http.RequestListener = (_request, response) => {
  response.writeHead(200, { 'x-user': 'acme', 'x-groups': 'gold, staff', 'x-tenant': ['one', 'two'], 'x-other': 'no' });
  response.end('ignored');
};
const saying =
  (status: number, headers: http.OutgoingHttpHeaders = {}, body = ''): http.RequestListener =>
  (_request, response) => {
    response.writeHead(status, headers);
    response.end(body);
  };

function request(fields: string[] = ['authorization', 'Bearer t'], line = 'POST /orders?id=1'): Exchange {
  const exchange = memoryExchange(line, { fields, authority: 'api.example.com', clientAddress: '192.0.2.7' });
  exchange.requestId = 'id-1';
  return exchange;
}

async function found(asked: Finding | Promise<Finding>): Promise<string> {
  const finding = await asked;
  if (finding.kind === 'vouched') return finding.identity.consumer;
  if (finding.kind === 'absent') return `absent ${finding.answer?.status}`;
  return 'code' in finding ? finding.code : finding.kind;
}

test('a yes names the consumer and what the backend gets; the question describes the request', async () => {
  const { method, asked } = await scene(yes);
  const fields = [
    'authorization',
    'Bearer t',
    'cookie',
    'a=1',
    'cookie',
    'b=2',
    'x-secret',
    's',
    'x-forwarded-for',
    'x',
  ];
  const finding = await method.find(request(fields));
  expect(finding).toEqual({
    kind: 'vouched',
    identity: { consumer: 'acme', groups: ['gold', 'staff'], scopes: [], claims: {}, method: 'ask' },
    fields: ['x-tenant', 'one', 'x-tenant', 'two'],
  });
  expect(asked[0]?.method).toBe('GET');
  expect(asked[0]?.url).toBe('/check?x=1');
  expect(asked[0]?.headers).toMatchObject({
    authorization: 'Bearer t',
    cookie: 'a=1; b=2',
    'x-forwarded-method': 'POST',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': 'api.example.com',
    'x-forwarded-uri': '/orders?id=1',
    'x-forwarded-for': '192.0.2.7',
    'x-request-id': 'id-1',
  });
  expect(asked[0]?.headers).not.toHaveProperty('x-secret');
  expect(method.writes).toEqual(['x-tenant']);
});

test('a yes without a name is the method', async () => {
  const { method } = await scene(saying(204));
  expect(await found(method.find(request()))).toBe('ask');
});

test.each([
  [401, { 'www-authenticate': 'Bearer realm="shop"', 'set-cookie': ['a=1', 'b=2'], 'x-powered-by': 'x' }],
  [403, { 'content-type': 'text/plain' }],
  [429, { 'retry-after': '7' }],
  [302, { location: 'https://login.example.com/?back=1' }],
])('%s reaches the client as it is, without what is not for it', async (status, headers) => {
  const { method } = await scene(saying(status, headers, 'no'));
  const finding = await method.find(request());
  expect(finding.kind).toBe('refused');
  const { answer } = finding as { answer: Answer };
  expect(answer.status).toBe(status);
  expect(String(answer.body)).toBe('no');
  expect(answer.code).toBe(status === 302 ? 'forward-auth-redirect' : 'forward-auth-refused');
  for (const [name, value] of Object.entries(headers)) {
    const values = answer.headers.fields.filter((_, i) => i % 2 === 1 && answer.headers.fields[i - 1] === name);
    expect(values).toEqual(name === 'x-powered-by' ? [] : [value].flat());
  }
  expect(answer.headers.get('cache-control')).toBe('no-store');
  for (const name of ['date', 'connection', 'content-length']) expect(answer.headers.has(name)).toBe(false);
});

test.each([
  ['an error', saying(500)],
  ['an answer that says nothing', saying(404)],
  ['a redirect to nowhere', saying(302)],
  ['one that is too long', saying(403, {}, 'x'.repeat(70_000))],
  ['a broken connection', ((_request, response) => response.destroy()) satisfies http.RequestListener],
])('%s is 503, and the status says so until it is well', async (_what, answer) => {
  let broken = true;
  const { method, context } = await scene((request, response) => (broken ? answer : yes)(request, response));
  expect(await found(method.find(request()))).toBe('forward-auth-unavailable');
  expect(context.said.trouble).toMatch(/^method ask: .*127\.0\.0\.1/);
  expect(context.said.trouble).not.toContain('Bearer');
  broken = false;
  expect(await found(method.find(request()))).toBe('acme');
  expect(context.said.trouble).toBeNull();
});

test('a server that is silent costs the time-out, then nothing', async () => {
  const { method, asked } = await scene(() => {}, { timeoutMs: 50 });
  for (let i = 0; i < 8; i++) expect(await found(method.find(request()))).toBe('forward-auth-unavailable');
  expect(asked.length).toBeLessThan(8);
});

test('a refusal of a request without credentials leaves others their say', async () => {
  const { method, context } = await scene(saying(401, { 'www-authenticate': 'Bearer' }, 'log in'));
  expect(await found(method.find(request([])))).toBe('absent 401');
  const config = { anyOf: [['ask']], optional: false, consumerHeader: 'x-consumer', groupsHeader: '' };
  const closed = (await compose(config, [method], context).onRequest?.(request([]))) as Answer;
  expect([closed.status, closed.code, String(closed.body)]).toEqual([401, 'forward-auth-refused', 'log in']);
  const open = compose({ ...config, optional: true }, [method], context);
  expect(await open.onRequest?.(request([]))).toBeUndefined();
  expect(await open.onRequest?.(request())).toMatchObject({ status: 401 });
});

test('a yes is remembered as long as told, for what it was about', async () => {
  const { method, asked, clock } = await scene(yes, { cacheMs: 5_000 });
  for (let i = 0; i < 3; i++) await method.find(request());
  expect(asked).toHaveLength(1);
  await method.find(request(['authorization', 'Bearer t', 'cookie', 'x=1']));
  expect(asked).toHaveLength(1);
  await method.find(request(['authorization', 'Bearer u']));
  await method.find(request(undefined, 'GET /orders?id=1'));
  await method.find(request(undefined, 'POST /orders?id=2'));
  expect(asked).toHaveLength(4);
  clock.ms += 5_000;
  await method.find(request());
  expect(asked).toHaveLength(5);
});

test('for a caller it is remembered whatever the request; strangers are asked about each', async () => {
  const { method, asked } = await scene(yes, { cacheMs: 5_000, cacheScope: 'caller' });
  await method.find(request());
  await method.find(request(undefined, 'GET /else'));
  expect(asked).toHaveLength(1);
  for (let i = 0; i < 2; i++) await method.find(request([]));
  expect(asked).toHaveLength(3);
});

test('a no is never remembered; many who ask the same at once are one question', async () => {
  const refusing = await scene(saying(403), { cacheMs: 5_000 });
  for (let i = 0; i < 2; i++) expect(await found(refusing.method.find(request()))).toBe('forward-auth-refused');
  expect(refusing.asked).toHaveLength(2);
  const allowing = await scene(yes, { cacheMs: 5_000 });
  const all = await Promise.all(Array.from({ length: 20 }, () => found(allowing.method.find(request()))));
  expect(new Set(all)).toEqual(new Set(['acme']));
  expect(allowing.asked).toHaveLength(1);
});

test('a change of the policy elsewhere forgets nothing', async () => {
  const { method, asked, context, config } = await scene(yes, { cacheMs: 5_000 });
  await method.find(request());
  const next = create(config, context, 'methods[0]');
  method.close?.();
  await next.find(request());
  expect(asked).toHaveLength(1);
  next.close?.();
});

test('the backend does not get Authorization unless asked to; cookies stay', async () => {
  const { method } = await scene(yes);
  const exchange = request(['authorization', 'Bearer t', 'cookie', 'a=1']);
  method.strip?.(exchange);
  expect(exchange.headers.fields).toEqual(['cookie', 'a=1']);
  expect((await scene(yes, { keepCredential: true })).method.strip).toBeNull();
});

test('what a yes is remembered under must go along', async () => {
  await expect(scene(yes, { cacheHeaders: ['x-key'] })).rejects.toThrow(/^methods\[0\]\.cacheHeaders\[0\]: /);
});
