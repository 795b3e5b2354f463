/** Resources in, real requests through the HTTP/1.1 listener to real backends, and back. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startWheel } from '../io/wheel.ts';
import { createHttp1Listener } from '../listener/http1.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { createRequestIds } from '../pipeline/request-id.ts';
import { encodeResource } from '../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  respondFixture,
  ruleFixture,
} from '../snapshot/fixtures.ts';
import type { Resource } from '../snapshot/resources.ts';
import { forward } from '../upstream/forward.ts';
import { createUpstream } from '../upstream/upstream.ts';
import { RUNTIME_DEFAULTS } from './deps.ts';
import { Runtime } from './runtime.ts';
import { QUIET_STAGES } from './stages.fixture.ts';

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Answers with what it was asked; /slow waits for `release`. */
class Backend {
  readonly seen: http.IncomingMessage[] = [];
  readonly server: http.Server;
  readonly waiting: (() => void)[] = [];
  connections = 0;

  constructor(name: string) {
    this.server = http.createServer(async (request, response) => {
      this.seen.push(request);
      let body = '';
      for await (const chunk of request) body += chunk;
      if (request.url?.startsWith('/slow')) await new Promise<void>((resolve) => this.waiting.push(resolve));
      response.setHeader('x-backend', name);
      response.setHeader('access-control-allow-origin', 'backend');
      response.end(JSON.stringify({ name, method: request.method, url: request.url, body }));
    });
    this.server.on('connection', () => this.connections++);
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}

const wheel = startWheel();
const finished: Exchange[] = [];
const errors: string[] = [];
const runtime = new Runtime({
  createUpstream: (backend, endpoints) => createUpstream(backend, endpoints, { wheel }),
  forward,
  onFinish: (exchange) => finished.push(exchange),
  logError: (message, _exchange, error) => errors.push(`${message}: ${error}`),
  newRequestId: createRequestIds(),
  now: () => performance.now(),
  random: Math.random,
  setTimer: (run, delayMs) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  stages: QUIET_STAGES,
  defaults: RUNTIME_DEFAULTS,
});
const listener = createHttp1Listener({
  host: '127.0.0.1',
  port: 0,
  handler: runtime.handler,
  refuse: ({ status, code, detail }) => runtime.refuse(status, code, detail),
  wheel,
});
const agent = new http.Agent({ keepAlive: true });
const [one, two] = [new Backend('one'), new Backend('two')];
let port = 0;
const addresses: string[] = [];
let held: string[] = [];

beforeAll(async () => {
  ({ port } = await listener.listen());
  addresses.push(await one.listen(), await two.listen());
});

beforeEach(() => {
  finished.length = 0;
  one.seen.length = 0;
  two.seen.length = 0;
});

afterAll(async () => {
  agent.destroy();
  await listener.close(1_000);
  runtime.close();
  wheel.stop();
  one.server.close();
  two.server.close();
  expect(errors).toEqual([]);
});

/** Makes this all there is. */
function configure(...resources: Resource[]): void {
  const ids = resources.map(({ id }) => id);
  const applied = runtime.apply({
    upsert: resources.map(encodeResource),
    removed: held.filter((id) => !ids.includes(id)),
  });
  expect(applied).toMatchObject({ accepted: true, rejected: [] });
  held = ids;
}

function backend(name: string, ...to: string[]): Resource[] {
  return [backendFixture(name), endpointsFixture(name, ...to)];
}

async function send(
  method: string,
  path: string,
  headers: http.OutgoingHttpHeaders = {},
  body?: string,
): Promise<Answer> {
  const request = http.request({ host: '127.0.0.1', port, method, path, headers, agent });
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}

const one1 = () => addresses[0] as string;
const two1 = () => addresses[1] as string;

test('a request goes to the backend and its answer comes back', async () => {
  configure(...backend('a/one', one1()), ruleFixture('a/r/x', { action: forwardFixture('a/one') }));
  const { status, headers, body } = await send('POST', '/orders/1?x=1', { 'content-type': 'text/plain' }, 'hello');
  expect(status).toBe(200);
  expect(JSON.parse(body)).toEqual({ name: 'one', method: 'POST', url: '/orders/1?x=1', body: 'hello' });
  expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(one.seen[0]?.headers['x-request-id']).toBe(headers['x-request-id']);
  expect(finished).toHaveLength(1);
  expect(finished[0]).toMatchObject({
    status: 200,
    code: '',
    backend: 'a/one',
    endpoint: one1(),
    requestId: headers['x-request-id'],
  });
});

test('prefix rewrite, header edits of policy and rule, CORS', async () => {
  const edits = policyFixture('a/edits', {
    section: 'transform',
    request: { remove: ['x-secret'], set: [], add: [{ name: 'x-from', value: 'gateway' }] },
    response: { remove: ['x-backend'], set: [], add: [] },
  });
  const cors = policyFixture('a/cors', {
    section: 'cors',
    allowOrigins: ['https://*.example'],
    allowMethods: ['PUT'],
    allowHeaders: ['x-a'],
    exposeHeaders: [],
    allowCredentials: true,
    allowPrivateNetwork: false,
    maxAgeSeconds: 60,
  });
  configure(
    ...backend('a/one', one1()),
    edits,
    cors,
    ruleFixture('a/r/x', {
      matches: [matchFixture('/api/v1', { methods: ['GET', 'PUT'] })],
      action: {
        kind: 'forward',
        backends: [{ weight: 1, backend: 'backend/a/one' }],
        rewrite: { host: 'inner.example', path: { kind: 'prefix', value: '/' } },
      },
      policies: [edits.id, cors.id],
      headers: { response: { remove: [], set: [{ name: 'x-rule', value: 'yes' }], add: [] } },
    }),
  );
  const origin = 'https://app.example';
  const { headers, body } = await send('GET', '/api/v1/items?y', { origin, 'x-secret': '1' });
  expect(JSON.parse(body).url).toBe('/items?y');
  expect(one.seen[0]?.headers).toMatchObject({ host: 'inner.example', 'x-from': 'gateway' });
  expect(one.seen[0]?.headers).not.toHaveProperty('x-secret');
  expect(headers).toMatchObject({ 'x-rule': 'yes', 'access-control-allow-origin': origin, vary: 'Origin' });
  expect(headers).not.toHaveProperty('x-backend');

  const preflight = await send('OPTIONS', '/api/v1/items', { origin, 'access-control-request-method': 'PUT' });
  expect(preflight).toMatchObject({ status: 204, body: '' });
  expect(preflight.headers).toMatchObject({ 'access-control-allow-methods': 'PUT', 'x-rule': 'yes' });
  expect(one.seen).toHaveLength(1);
  expect((await send('DELETE', '/api/v1/items')).status).toBe(404);
});

test('answers of the gateway: direct, HEAD, redirect, no route, and the connection goes on', async () => {
  configure(
    ruleFixture('a/r/direct', { matches: [matchFixture('/direct')], action: respondFixture('hi there') }),
    ruleFixture('a/r/redirect', {
      matches: [matchFixture('/old')],
      action: {
        kind: 'redirect',
        status: 301,
        scheme: 'https',
        host: 'new.example',
        path: { kind: 'prefix', value: '/new' },
      },
    }),
    ruleFixture('a/r/fail', {
      matches: [matchFixture('/fail')],
      action: { kind: 'fail', status: 503, code: 'invalid-route', message: 'Regular expression does not compile.' },
    }),
  );
  expect(await send('GET', '/direct')).toMatchObject({ status: 200, body: 'hi there' });
  const head = await send('HEAD', '/direct');
  expect([head.status, head.body, head.headers['content-length']]).toEqual([200, '', '8']);
  const redirect = await send('POST', '/old/x?q=1', {}, 'a body nobody reads');
  expect([redirect.status, redirect.headers.location]).toEqual([301, 'https://new.example/new/x?q=1']);
  const none = await send('GET', '/nothing');
  expect(none.headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(none.body)).toMatchObject({
    status: 404,
    code: 'no-route',
    requestId: none.headers['x-request-id'],
  });
  expect(JSON.parse((await send('GET', '/fail')).body)).toMatchObject({ status: 503, code: 'invalid-route' });
  expect(finished).toHaveLength(5);
});

test('a backend that is not there is a 503 problem with the response stages applied', async () => {
  const dead = new Backend('dead');
  const address = await dead.listen();
  dead.server.close();
  await once(dead.server, 'close');
  configure(
    ...backend('a/dead', address),
    ...backend('a/none'),
    ruleFixture('a/r/dead', {
      matches: [matchFixture('/dead')],
      action: forwardFixture('a/dead'),
      headers: { response: { remove: [], set: [{ name: 'x-rule', value: 'yes' }], add: [] } },
    }),
    ruleFixture('a/r/none', { matches: [matchFixture('/none')], action: forwardFixture('a/none') }),
  );
  const refused = await send('GET', '/dead');
  expect(refused).toMatchObject({ status: 503, headers: { 'x-rule': 'yes' } });
  expect(JSON.parse(refused.body).code).toBe('upstream-connect-failed');
  expect(refused.body).not.toContain('127.0.0.1');
  expect(JSON.parse((await send('GET', '/none')).body)).toMatchObject({ status: 503, code: 'no-endpoint' });
});

test('a change mid-request: the request finishes on its generation, the next one sees the new', async () => {
  configure(...backend('a/one', one1()), ruleFixture('a/r/x', { action: forwardFixture('a/one') }));
  const slow = send('GET', '/slow');
  await expect.poll(() => one.waiting.length).toBe(1);
  configure(...backend('a/two', two1()), ruleFixture('a/r/x', { action: forwardFixture('a/two') }));
  expect(JSON.parse((await send('GET', '/fast')).body).name).toBe('two');
  expect(runtime.liveGenerations).toBe(2);
  one.waiting.pop()?.();
  expect(JSON.parse((await slow).body).name).toBe('one');
  expect(runtime.liveGenerations).toBe(1);
});

test('an endpoint that joins leaves the connections to the others as they are', async () => {
  const rule = ruleFixture('a/r/x', { action: forwardFixture('a/one') });
  configure(...backend('a/one', one1()), rule);
  await send('GET', '/');
  const before = one.connections;
  configure(...backend('a/one', one1(), two1()), rule);
  const names = await Promise.all([1, 2, 3, 4].map(async () => JSON.parse((await send('GET', '/')).body).name));
  expect(new Set(names)).toEqual(new Set(['one', 'two']));
  await send('GET', '/');
  await send('GET', '/');
  configure(...backend('a/one', one1()), rule);
  const connections = one.connections;
  for (let i = 0; i < 5; i++) expect(JSON.parse((await send('GET', '/')).body).name).toBe('one');
  expect(one.connections).toBe(connections);
  expect(connections - before).toBeLessThanOrEqual(4);
});

test('weights are shares', async () => {
  configure(
    ...backend('a/one', one1()),
    ...backend('a/two', two1()),
    ruleFixture('a/r/x', {
      action: {
        kind: 'forward',
        backends: [
          { weight: 3, backend: 'backend/a/one' },
          { weight: 1, backend: 'backend/a/two' },
          { weight: 0, backend: 'backend/a/two' },
        ],
      },
    }),
  );
  await Promise.all(Array.from({ length: 200 }, () => send('GET', '/')));
  expect(one.seen.length + two.seen.length).toBe(200);
  // 50 expected, standard deviation 6.
  expect(two.seen.length).toBeGreaterThan(15);
  expect(two.seen.length).toBeLessThan(100);
});
