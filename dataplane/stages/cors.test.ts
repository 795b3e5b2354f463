import { describe, expect, test } from 'vitest';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { type CorsConfig, createCors } from './cors.ts';
import { StageError } from './stage-error.ts';

function config(more: Partial<CorsConfig> = {}): CorsConfig {
  return {
    section: 'cors',
    allowOrigins: ['https://app.example'],
    allowMethods: ['GET', 'PUT'],
    allowHeaders: ['x-a', 'x-b'],
    exposeHeaders: [],
    allowCredentials: false,
    allowPrivateNetwork: false,
    maxAgeSeconds: 60,
    ...more,
  };
}

function preflight(more: Partial<CorsConfig>, origin: string, fields: string[] = []): Answer | undefined {
  const all = ['origin', origin, 'access-control-request-method', 'PUT', ...fields];
  return createCors(config(more)).onRequest?.(memoryExchange('OPTIONS /', { fields: all })) as Answer | undefined;
}

/** What the client gets when the backend answers with these fields. */
function response(more: Partial<CorsConfig>, fields: string[], backend: string[] = []): Record<string, string> {
  const stage = createCors(config(more));
  const exchange = memoryExchange('GET /', { fields });
  expect(stage.onRequest?.(exchange)).toBeUndefined();
  return finish(stage, exchange, backend);
}

function finish(stage: ReturnType<typeof createCors>, exchange: Exchange, backend: string[]): Record<string, string> {
  exchange.responseHeaders = new Headers(backend);
  stage.onResponse?.(exchange);
  const out: Record<string, string> = {};
  for (let i = 0; i < exchange.responseHeaders.fields.length; i += 2) {
    const [name, value] = exchange.responseHeaders.fields.slice(i, i + 2) as [string, string];
    out[name] = name in out ? `${out[name]} & ${value}` : value;
  }
  return out;
}

describe('a preflight', () => {
  test('is answered here', () => {
    const answer = preflight({}, 'https://app.example');
    expect(answer).toMatchObject({ status: 204, body: null });
    expect(answer?.headers.fields).toEqual([
      'access-control-allow-origin',
      'https://app.example',
      'access-control-allow-methods',
      'GET, PUT',
      'access-control-allow-headers',
      'x-a, x-b',
      'access-control-max-age',
      '60',
      'vary',
      'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    ]);
  });

  test('of an origin that is not allowed says so and allows nothing', () => {
    const answer = preflight({}, 'https://evil.example');
    expect(answer).toMatchObject({ status: 403, code: 'cors-origin' });
    expect(answer?.headers.fields.some((field) => field.startsWith('access-control-allow'))).toBe(false);
    expect(answer?.headers.get('vary')).toBe('Origin');
  });

  test('wildcards for methods and headers are spelt out', () => {
    const asked = ['access-control-request-headers', 'authorization, x-z'];
    const answer = preflight(
      { allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true },
      'https://app.example',
      asked,
    );
    expect(answer?.headers.get('access-control-allow-methods')).toBe('PUT');
    expect(answer?.headers.get('access-control-allow-headers')).toBe('authorization, x-z');
    expect(answer?.headers.get('access-control-allow-credentials')).toBe('true');
    expect(preflight({ allowHeaders: ['*'] }, 'https://app.example')?.headers.has('access-control-allow-headers')).toBe(
      false,
    );
  });

  test('from a public site to a private address is allowed only where told', () => {
    const asking = ['access-control-request-private-network', 'true'];
    const name = 'access-control-allow-private-network';
    const allowed = preflight({ allowPrivateNetwork: true }, 'https://app.example', asking);
    expect(allowed?.headers.get(name)).toBe('true');
    expect(allowed?.headers.get('vary')).toContain('Access-Control-Request-Private-Network');
    expect(preflight({}, 'https://app.example', asking)?.headers.has(name)).toBe(false);
    expect(preflight({ allowPrivateNetwork: true }, 'https://app.example')?.headers.has(name)).toBe(false);
    expect(preflight({ allowPrivateNetwork: true }, 'https://evil.example', asking)?.headers.has(name)).toBe(false);
  });

  test('keeps its fields through the response phase', () => {
    const stage = createCors(config());
    const fields = ['origin', 'https://app.example', 'access-control-request-method', 'PUT'];
    const exchange = memoryExchange('OPTIONS /', { fields });
    const answer = stage.onRequest?.(exchange) as Answer;
    expect(finish(stage, exchange, [...answer.headers.fields])).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-methods': 'GET, PUT',
    });
  });

  test('an OPTIONS without Origin or without the method asked for is an ordinary request', () => {
    const stage = createCors(config());
    expect(stage.onRequest?.(memoryExchange('OPTIONS /'))).toBeUndefined();
    expect(
      stage.onRequest?.(memoryExchange('OPTIONS /', { fields: ['origin', 'https://app.example'] })),
    ).toBeUndefined();
  });
});

describe('a response', () => {
  const origin = ['origin', 'https://app.example'];

  test('lets the origin read it, and replaces what the backend said', () => {
    const backend = ['access-control-allow-origin', '*', 'access-control-allow-methods', 'DELETE', 'x-keep', '1'];
    expect(response({ exposeHeaders: ['x-total', 'x-page'], allowCredentials: true }, origin, backend)).toEqual({
      'x-keep': '1',
      vary: 'Origin',
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'x-total, x-page',
    });
  });

  test('a wildcard of exposed headers is spelt out for requests with credentials', () => {
    const backend = ['x-total', '1', 'set-cookie', 'a=1', 'x-total', '2', 'access-control-expose-headers', 'x-b'];
    const more = { exposeHeaders: ['*'], allowCredentials: true };
    expect(response(more, origin, backend)['access-control-expose-headers']).toBe('x-total, vary');
    expect(response({ exposeHeaders: ['*'] }, origin, backend)['access-control-expose-headers']).toBe('*');
  });

  test('to another origin or to none allows nothing and still varies, for caches', () => {
    for (const fields of [[], ['origin', 'https://evil.example']]) {
      expect(response({}, fields, ['access-control-allow-origin', '*'])).toEqual({ vary: 'Origin' });
    }
  });

  test('to any origin needs no vary', () => {
    expect(response({ allowOrigins: ['*'] }, origin)).toEqual({ 'access-control-allow-origin': '*' });
    expect(response({ allowOrigins: ['*'] }, [])).toEqual({ 'access-control-allow-origin': '*' });
  });

  test.each([
    [['vary', 'accept'], 'accept, Origin'],
    [['vary', 'accept', 'vary', 'cookie'], 'accept, cookie, Origin'],
    [['vary', 'origin'], 'origin'],
    [['vary', '*'], '*'],
  ])('vary: %j becomes %s', (backend, expected) => {
    expect(response({}, origin, backend).vary).toBe(expected);
  });

  test('knows the origin although a later stage took it off the request', () => {
    const stage = createCors(config());
    const exchange = memoryExchange('GET /', { fields: [...origin] });
    stage.onRequest?.(exchange);
    exchange.headers.remove('origin');
    expect(finish(stage, exchange, [])).toHaveProperty('access-control-allow-origin');
  });

  test('knows the origin although a stage before answered', () => {
    expect(finish(createCors(config()), memoryExchange('GET /', { fields: [...origin] }), [])).toHaveProperty(
      'access-control-allow-origin',
    );
  });
});

describe('origins', () => {
  test.each([
    ['https://app.example', 'https://app.example', true],
    ['https://APP.example', 'https://app.example', true],
    ['https://app.example', 'http://app.example', false],
    ['https://app.example', 'https://app.example:8443', false],
    ['https://app.example', 'https://app.example.evil', false],
    ['null', 'null', true],
    ['https://app.example', 'null', false],
    ['https://*.example.com', 'https://a.example.com', true],
    ['https://*.example.com', 'https://a.b.example.com', true],
    ['https://*.example.com', 'https://example.com', false],
    ['https://*.example.com', 'https://.example.com', false],
    ['https://*.example.com', 'http://a.example.com', false],
    ['https://*.example.com', 'https://evil.org/.example.com', false],
    ['https://*.example.com', 'https://evil.org#.example.com', false],
    ['https://*.example.com', 'https://u@a.example.com', false],
    ['https://*.example.com', 'https://a.example.com.evil.org', false],
    ['https://*.example.com', 'https://a.example.com:8443', false],
    ['https://*.example.com:8443', 'https://a.example.com:8443', true],
    ['*', 'https://any.where', true],
  ])('%s and %s: %s', (allowed, origin, expected) => {
    expect(preflight({ allowOrigins: ['https://first.example', allowed] }, origin)?.status).toBe(expected ? 204 : 403);
  });

  test.each([
    [['https://ok.example', 'app.example']],
    [['https://app.example/']],
    [['https://*']],
    [['https://a*.example']],
    [['https://*.example/*']],
    [['https://*.*.example']],
    [['https://user@app.example']],
    [['https://app.example:443']],
    [['http://*.app.example:80']],
    [['https://app.example:70000']],
    [['https://bücher.example']],
  ])('%j can not be what a browser sends', (allowOrigins) => {
    expect(() => createCors(config({ allowOrigins }))).toThrow(StageError);
  });

  test('any origin with credentials is refused', () => {
    const open = config({ allowOrigins: ['https://a.example', '*'], allowCredentials: true });
    expect(() => createCors(open)).toThrow(/^allowOrigins\[1\]: /);
  });
});
