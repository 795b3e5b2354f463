/** What the gateway itself says to a gRPC client. */
import http2 from 'node:http2';
import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { matchFixture, policyFixture, respondFixture, ruleFixture } from '../snapshot/fixtures.ts';
import { rateLimitSection } from '../snapshot/sections/rate-limit.ts';
import { ECHO, GrpcGateway, unary } from './gateway.fixture.ts';

const gateway = new GrpcGateway();
const LIMIT = rateLimitSection.parse({
  section: 'rateLimit',
  limits: [{ name: 'one', algorithm: 'fixedWindow', limit: 1, windowMs: 3_600_000 }],
});

beforeAll(async () => {
  await gateway.listen();
  const limit = policyFixture('shop/limit', LIMIT);
  await gateway.apply([
    ruleFixture('shop/fail/all', {
      hosts: ['fail'],
      action: { kind: 'fail', status: 503, code: 'no-backend', message: 'Kein Bäckend: 100 %.' },
    }),
    ruleFixture('shop/direct/all', { hosts: ['direct'], action: respondFixture('teapot', 418) }),
    ruleFixture('shop/limited/all', {
      hosts: ['limited'],
      matches: [matchFixture('/test.v1.Echo')],
      policies: [limit.id],
    }),
    limit,
  ]);
});
afterAll(() => gateway.close());

async function call(authority: string, metadata = new Metadata()) {
  gateway.finished.length = 0;
  const client = gateway.client();
  return unary(client, 'x', metadata, { host: authority, deadline: Date.now() + 5000 });
}

test('no route: UNIMPLEMENTED, with the id to ask about; the log keeps 404', async () => {
  const { code, details, metadata, head } = await call('nowhere');
  expect([code, details]).toEqual([status.UNIMPLEMENTED, 'No route matches this request.']);
  expect((head ?? metadata).get('x-request-id')).toHaveLength(1);
  expect(gateway.finished).toMatchObject([{ status: 404, code: 'no-route', grpcStatus: 12 }]);
});

test('a message of any characters arrives', async () => {
  const { code, details } = await call('fail');
  expect([code, details]).toEqual([status.UNAVAILABLE, 'Kein Bäckend: 100 %.']);
});

test('a limit: RESOURCE_EXHAUSTED, and when to come again', async () => {
  await call('limited');
  const { code, metadata } = await call('limited');
  expect(code).toBe(status.RESOURCE_EXHAUSTED);
  const after = Number(metadata.get('retry-after')[0]);
  expect(metadata.get('grpc-retry-pushback-ms')).toEqual([String(after * 1000)]);
  expect(gateway.finished).toMatchObject([{ status: 429, code: 'rate-limited', grpcStatus: 8 }]);
});

test('a direct answer with an error status', async () => {
  expect(await call('direct')).toMatchObject({ code: status.UNKNOWN, details: '' });
});

test('a deadline that can not be read', async () => {
  const fields = await raw({ ':path': ECHO.unary.path, ':authority': 'fail', 'grpc-timeout': '1 hour' });
  expect(fields).toMatchObject({ ':status': 200, 'grpc-status': '13', 'content-type': 'application/grpc' });
  expect(gateway.finished.at(-1)).toMatchObject({ status: 400, code: 'grpc-timeout' });
});

test('in one frame, without a body', async () => {
  const fields = await raw({ ':path': ECHO.unary.path, ':authority': 'nowhere' });
  expect(fields).toMatchObject({ ':status': 200, 'grpc-status': '12', ended: true });
  expect(fields['content-length']).toBeUndefined();
});

test('whoever speaks no gRPC still gets a problem document', async () => {
  const fields = await raw({ ':path': '/', ':authority': 'nowhere', 'content-type': 'application/json' });
  expect(fields).toMatchObject({ ':status': 404, 'content-type': 'application/problem+json' });
});

test('over HTTP/1.1 too, as for gRPC-Web', async () => {
  for (const [type, answered] of [
    ['application/grpc', 'application/grpc'],
    ['application/grpc-web', 'application/grpc-web+proto'],
    ['application/grpc-web-text', 'application/grpc-web-text+proto'],
  ] as const) {
    const response = await fetch(`http://127.0.0.1:${gateway.http1Port}/a.B/C`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: 'x',
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(answered);
    expect(response.headers.get('grpc-status')).toBe('12');
    expect(await response.text()).toBe('');
  }
});

/** Response fields of one POST; `ended`: with END_STREAM. */
async function raw(fields: http2.OutgoingHttpHeaders): Promise<Record<string, unknown>> {
  const session = http2.connect(`http://127.0.0.1:${gateway.h2cPort}`);
  try {
    const stream = session.request({
      ':method': 'POST',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...fields,
    });
    stream.end(Buffer.from([0, 0, 0, 0, 0]));
    stream.on('error', () => {});
    return await new Promise((resolve) => {
      stream.once('response', (headers, flags) => resolve({ ...headers, ended: (flags & 1) === 1 }));
    });
  } finally {
    session.close();
  }
}
