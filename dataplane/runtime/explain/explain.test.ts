import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { credentialsResource } from '../../snapshot/credentials.ts';
import { encodeResource } from '../../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  respondFixture,
  ruleFixture,
} from '../../snapshot/fixtures.ts';
import type { Action, Resource } from '../../snapshot/resources.ts';
import { authenticationSection } from '../../snapshot/sections/authentication.ts';
import { loadStages } from '../../stages/registry.ts';
import { Gateway } from '../gateway.fixture.ts';

const hosts = ['api.example.com'];
const credentials = credentialsResource.parse({
  kind: 'credentials',
  id: 'credentials/shop/partners/keys/apiKey',
  source: 'shop/keys',
  entries: {
    type: 'apiKey',
    keys: [{ hash: createHash('sha256').update('the-key').digest('hex'), consumer: 'acme', groups: ['gold'] }],
  },
});
const authentication = policyFixture(
  'shop/partners',
  authenticationSection.parse({
    section: 'authentication',
    methods: [
      {
        kind: 'apiKey',
        name: 'key',
        from: [{ in: 'header', name: 'x-api-key', scheme: '' }],
        credentials: [credentials.id],
        keepCredential: false,
      },
    ],
    anyOf: [['key']],
    optional: false,
    consumerHeader: 'x-consumer',
    groupsHeader: '',
  }),
);
const transform = policyFixture('gateway/baseline', {
  section: 'transform',
  request: { remove: ['cookie'], set: [{ name: 'x-tenant', value: 'a secret' }], add: [] },
});
const timeout = policyFixture('shop/partners', { section: 'timeout', requestMs: 30_000 });
const retry = policyFixture('shop/partners', {
  section: 'retry',
  attempts: 2,
  perTryTimeoutMs: 500,
  on: ['connect', 'status'],
  statuses: [502, 503],
  methods: ['GET', 'PUT'],
  budget: { percent: 20, minPerSecond: 3 },
  backoff: { baseMs: 25, maxMs: 250 },
  maxRetryAfterMs: 1000,
  bodyBytes: 65_536,
  hedge: { afterMs: 100, max: 1 },
});
const forward: Action = {
  kind: 'forward',
  backends: [
    { weight: 90, backend: 'backend/shop/orders' },
    { weight: 10, backend: 'backend/shop/canary', policies: [transform.id] },
  ],
  rewrite: { path: { kind: 'prefix', value: '/v2' } },
};
const SHOP: Resource[] = [
  backendFixture('shop/orders'),
  endpointsFixture('shop/orders', '10.0.0.1:80'),
  backendFixture('shop/canary'),
  endpointsFixture('shop/canary', '10.0.0.2:80'),
  credentials,
  authentication,
  transform,
  timeout,
  retry,
  ruleFixture('shop/orders/read', {
    hosts,
    matches: [matchFixture('/orders')],
    action: forward,
    policies: [authentication.id, transform.id, timeout.id, retry.id],
    headers: { request: { remove: [], set: [{ name: 'x-own', value: '1' }], add: [] } },
  }),
  ruleFixture('shop/orders-admin/write', { hosts, matches: [matchFixture('/orders', { methods: ['POST'] })] }),
  ruleFixture('shop/catch-all/r', { hosts }),
  ruleFixture('shop/old/r', {
    hosts: ['old.example.com'],
    action: { kind: 'redirect', status: 301, host: 'api.example.com' },
  }),
];

async function shop(): Promise<Gateway> {
  const gateway = new Gateway();
  await loadStages(SHOP.map(encodeResource));
  expect(gateway.apply(SHOP).rejected).toEqual([]);
  return gateway;
}

async function ask(gateway: Gateway, line: string, fields: string[] = [], authority = hosts[0], backend?: string) {
  const exchange = memoryExchange(line, { fields, authority: authority as string });
  const explanation = await gateway.runtime.explain(exchange, backend);
  expect(gateway.errors).toEqual([]);
  expect([gateway.runtime.pipeline.inFlight, gateway.runtime.pipeline.total, gateway.forwarded.length]).toEqual([
    0, 0, 0,
  ]);
  return explanation;
}

describe('a request that gets through', () => {
  test('route, sections in order with their sources, backends, and what was not taken', async () => {
    const gateway = await shop();
    const told = await ask(gateway, 'GET /orders/42?token=t', ['x-api-key', 'the-key']);
    expect(told).toMatchObject({
      revision: gateway.runtime.revision,
      request: { method: 'GET', host: 'api.example.com', path: '/orders/42', client: '192.0.2.1' },
      rule: {
        route: 'shop/orders',
        rule: 'read',
        why: 'exact host, prefix /orders; 1 other matches less',
        trouble: '',
      },
      sections: [
        { section: 'authentication', source: 'shop/partners', text: 'key: consumer acme (gold)' },
        { section: 'transform', source: 'gateway/baseline and rule', text: '- cookie, + x-tenant, + x-own' },
        {
          section: 'timeout',
          source: 'shop/partners',
          text: 'request 30 s, backend 60 s, idle 300 s (streams 3600 s)',
        },
        {
          section: 'retry',
          source: 'shop/partners',
          text: 'up to 2 on connect, status 502|503; of GET PUT; 500 ms a try; hedged after 100 ms; budget 20 % or 3/s',
        },
        { section: 'rewrite', source: 'rule', text: 'path /v2/42' },
      ],
      answer: null,
      notTaken: [
        { rule: 'shop/catch-all rule r', why: 'prefix / is shorter' },
        { rule: 'shop/orders-admin rule write', why: 'method POST only' },
      ],
      notTakenMore: 0,
    });
    expect(told.backends).toEqual([
      expect.objectContaining({ backend: 'shop/orders', weight: 90, of: 100, ownPolicies: false, chosen: true }),
      expect.objectContaining({ backend: 'shop/canary', weight: 10, of: 100, ownPolicies: true, chosen: false }),
    ]);
    expect(told.backends[0]?.text).toMatch(/^round robin over 1 endpoint /);
    expect(JSON.stringify(told)).not.toMatch(/the-key|a secret|token=/);
  });

  test('endpoints that are kept away are told, and a breaker that is open', async () => {
    const gateway = await shop();
    const [orders, canary] = gateway.upstreams;
    if (orders === undefined || canary === undefined) throw new Error('no upstreams');
    orders.stats = { endpoints: 4, connections: 1, active: 2, pending: 0 };
    orders.blocked = [['ejected', 'open'], [], ['ejected'], ['unhealthy']];
    canary.stats = { ...canary.stats, breaker: 'open' };
    const told = await ask(gateway, 'GET /orders/42', ['x-api-key', 'the-key']);
    expect(told.backends.map(({ text }) => text)).toEqual([
      'round robin over 4 endpoints (of one worker: 1 connections, 2 busy, 2 ejected, 1 unhealthy)',
      'its circuit breaker is open: answers 503 breaker-open',
    ]);
  });

  test('split, copies and a fallback, and which share a user gets', async () => {
    const gateway = await shop();
    const backends = ['orders', 'canary'].map((name) => ({ weight: 50, backend: `backend/shop/${name}` }));
    const action: Action = {
      kind: 'forward',
      backends,
      split: { by: 'header', name: 'x-user' },
      mirrors: [{ backend: 'backend/shop/nowhere', perMillion: 5000, bodyBytes: 10 }],
      fallback: {
        on: ['unavailable', 'status'],
        statuses: [502, 503],
        methods: [],
        bodyBytes: 0,
        respond: { status: 200, body: 'sorry' },
      },
    };
    gateway.apply([ruleFixture('shop/shaped/r', { hosts: ['shaped.example.com'], action })]);
    const shares = new Set<string | undefined>();
    for (let user = 0; user < 20; user++) {
      const told = await ask(gateway, 'GET /', ['x-user', `${user}`], 'shaped.example.com');
      const again = gateway.runtime.explain(
        memoryExchange('GET /', { fields: ['x-user', `${user}`], authority: 'shaped.example.com' }),
        undefined,
      );
      const chosen = (all: typeof told.backends) => all.find((one) => one.chosen)?.backend;
      expect(chosen((await again).backends)).toBe(chosen(told.backends));
      shares.add(chosen(told.backends));
      expect(told.sections.map(({ section, text }) => [section, text])).toEqual([
        ['split', 'by header x-user; without it at random'],
        ['mirror', '0.5 % to shop/nowhere (not there, left out), bodies up to 10 bytes'],
        ['fallback', 'on unavailable; status 502, 503: answers 200 (5 bytes)'],
      ]);
    }
    expect([...shares].sort()).toEqual(['shop/canary', 'shop/orders']);
  });

  test('the share of a backend with policies of its own, where it is asked for', async () => {
    const told = await ask(await shop(), 'GET /orders/42', [], hosts[0], 'canary');
    expect(told.sections.map(({ section, source }) => [section, source])).toEqual([
      ['transform', 'gateway/baseline and rule'],
      ['rewrite', 'rule'],
    ]);
    expect(told.backends.map(({ chosen }) => chosen)).toEqual([false, true]);
  });
});

describe('a request that does not', () => {
  test('stops at the section that refuses, as the request would', async () => {
    const gateway = await shop();
    for (const [key, code] of [
      ['other', 'api-key-unknown'],
      ['', 'credentials-missing'],
    ] as const) {
      const told = await ask(gateway, 'GET /orders/42', key === '' ? [] : ['x-api-key', key]);
      expect(told.sections).toHaveLength(1);
      expect(told.answer).toMatchObject({ status: 401, code, by: 'authentication' });
      expect(told.answer?.detail).toMatch(/\.$/);
    }
  });

  test('no rule: what of the host there is', async () => {
    const gateway = await shop();
    expect(await ask(gateway, 'GET /x', [], 'nowhere.example.com')).toMatchObject({
      rule: null,
      answer: { status: 404, code: 'no-route', by: 'routing' },
      notTaken: [],
    });
    gateway.apply([], ['rule/shop/catch-all/r', 'rule/shop/orders/read']);
    expect((await ask(gateway, 'GET /orders')).notTaken).toEqual([
      { rule: 'shop/orders-admin rule write', why: 'method POST only' },
    ]);
    expect((await ask(gateway, 'GET /x')).notTaken).toEqual([
      { rule: 'shop/orders-admin rule write', why: 'takes exact host, prefix /orders, method POST' },
    ]);
  });

  test('a protection that could not be built, and why', async () => {
    const gateway = await shop();
    const policy = policyFixture('shop/partners', authentication.config);
    gateway.apply([], [credentials.id]);
    expect(gateway.runtime.describe().rejected).not.toEqual([]);
    gateway.apply([], [policy.id]);
    const told = await ask(gateway, 'GET /orders');
    expect(told.rule?.trouble).toBe(`policies: there is no ${policy.id}: its requests are refused`);
    expect(told.answer).toMatchObject({ status: 503, code: 'policy-rejected', by: 'authentication' });
  });

  test('a rule that could not be built', async () => {
    const gateway = await shop();
    gateway.apply([ruleFixture('shop/new/r', { hosts: ['new.example.com'], action: forwardFixture('shop/none') })]);
    expect(await ask(gateway, 'GET /', [], 'new.example.com')).toMatchObject({
      rule: { route: 'shop/new', trouble: 'action.backends: there is no backend/shop/none, or it was rejected' },
      answer: { status: 503, code: 'route-rejected', by: 'rule' },
    });
  });
});

test('answers of the rule itself: a redirect, a direct answer, backends without weight', async () => {
  const gateway = await shop();
  expect((await ask(gateway, 'GET /a?secret=1', [], 'old.example.com')).answer).toEqual({
    status: 301,
    code: '',
    detail: 'to http://api.example.com/a?…',
    by: 'rule',
  });
  expect((await ask(gateway, 'GET /other')).answer).toMatchObject({ status: 200, code: '', by: 'rule' });
  const none: Action = { kind: 'forward', backends: [{ weight: 0, backend: 'backend/shop/orders' }] };
  gateway.apply([ruleFixture('shop/catch-all/r', { hosts, action: none })]);
  expect((await ask(gateway, 'GET /other')).answer).toMatchObject({ status: 500, code: 'no-backend', by: 'rule' });
});

test('what was not taken is bounded', async () => {
  const gateway = new Gateway();
  gateway.apply(Array.from({ length: 30 }, (_, i) => ruleFixture(`n/r${i}/r`, { action: respondFixture('x') })));
  const told = await ask(gateway, 'GET /');
  expect([told.notTaken.length, told.notTakenMore]).toEqual([8, 21]);
  expect(told.rule?.why).toBe('any host, prefix /; 29 others match less');
});
