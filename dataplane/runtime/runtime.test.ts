import { describe, expect, test } from 'vitest';
import type { Exchange } from '../pipeline/exchange.ts';
import { MemoryDownstream, memoryExchange } from '../pipeline/memory-downstream.ts';
import { problem } from '../pipeline/respond.ts';
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
import type { RetrySettings } from '../snapshot/retry.ts';
import { revisionOf } from '../snapshot/revision.ts';
import { sheddingSection } from '../snapshot/sections/shedding.ts';
import { Gateway, type HeldUpstream, messages, orders, ordersRule } from './gateway.fixture.ts';

test('before the first change: 503; after it, even an empty one: 404', () => {
  const gateway = new Gateway();
  expect(gateway.runtime.revision).toBe('');
  expect(gateway.ask('GET /')).toBe('503 not-configured');
  expect(gateway.apply([])).toMatchObject({ accepted: true, rejected: [], revision: revisionOf([]) });
  expect(gateway.ask('GET /')).toBe('404 no-route');
});

test('resources in one change may refer to each other in any order', () => {
  const gateway = new Gateway();
  const policy = policyFixture('shop/time', { section: 'timeout', requestMs: 3000, backendMs: 1000 });
  const rule = { ...ordersRule, policies: [policy.id], timeouts: { backendMs: 500 } };
  const applied = gateway.apply([rule, ...orders, policy]);
  expect(applied.rejected).toEqual([]);
  expect(applied.revision).toBe(revisionOf([rule, ...orders, policy].map((one) => [one.id, encodeResource(one).hash])));
  expect([...gateway.runtime.held()].map(({ id }) => id).sort()).toEqual(
    [rule, ...orders, policy].map(({ id }) => id).sort(),
  );
  const downstream = gateway.send('GET /orders/1');
  expect(gateway.forwarded[0]?.options).toEqual({
    rewrite: null,
    requestTimeoutMs: 3000,
    backendTimeoutMs: 500,
    idleTimeoutMs: 300_000,
    streamIdleTimeoutMs: 3_600_000,
    streams: null,
    forwarded: false,
    trustedHops: 0,
    via: '',
    retry: null,
  });
  gateway.forwarded[0]?.answer();
  expect(downstream.status).toBe(200);
});

test('rules without a shedding section have the one of the worker', () => {
  const asked: string[] = [];
  const shedding = {
    name: 'shedding',
    onRequest: (exchange: Exchange) => {
      asked.push(exchange.path);
      return exchange.path === '/away' ? problem(503, 'overloaded', 'Later.', exchange.requestId) : undefined;
    },
  };
  const gateway = new Gateway({ shedding });
  const own = policyFixture('shop/own', sheddingSection.parse({ section: 'shedding', priority: 'critical' }));
  const rules = [
    ruleFixture('shop/a/all', { matches: [matchFixture('/')], action: respondFixture('ok') }),
    ruleFixture('shop/b/own', { matches: [matchFixture('/own')], action: respondFixture('own'), policies: [own.id] }),
  ];
  expect(gateway.apply([...rules, own]).rejected).toEqual([]);
  expect(['/x', '/away', '/own', '/own/away'].map((path) => gateway.ask(`GET ${path}`))).toEqual([
    '200 ok',
    '503 overloaded',
    '200 own',
    '200 own',
  ]);
  expect(asked).toEqual(['/x', '/away']);
});

test('a request that is turned away before it is routed has its answer, its id, and its place in the counts', () => {
  const gateway = new Gateway();
  gateway.apply([...orders, ordersRule]);
  const downstream = new MemoryDownstream();
  gateway.runtime.turnAway(memoryExchange('GET /orders', { downstream }));
  expect([downstream.status, downstream.headers?.get('retry-after'), downstream.ended]).toEqual([503, '1', 1]);
  expect(JSON.parse(downstream.body)).toMatchObject({ code: 'overloaded', requestId: 'id' });
  expect(gateway.runtime.pipeline).toMatchObject({ inFlight: 0, total: 1 });
  expect(gateway.forwarded).toEqual([]);
});

test('retries are those of the policy, or whole those of the rule', () => {
  const settings: RetrySettings = {
    attempts: 2,
    on: ['connect', 'status'],
    statuses: [503],
    methods: ['GET'],
    budget: { percent: 20, minPerSecond: 3 },
    backoff: { baseMs: 25, maxMs: 250 },
    maxRetryAfterMs: 1000,
    bodyBytes: 65_536,
    hedge: { afterMs: 100, max: 1 },
  };
  const policy = policyFixture('shop/retry', { section: 'retry', ...settings });
  const rule = { ...ordersRule, policies: [policy.id] };
  const gateway = new Gateway();
  expect(gateway.apply([...orders, policy, rule]).rejected).toEqual([]);
  gateway.send('GET /orders/1');
  expect(gateway.forwarded[0]?.options.retry).toMatchObject({
    attempts: 2,
    on: { connect: true, reset: false, timeout: false, status: true },
    statuses: new Set([503]),
    hedge: { afterMs: 100, max: 1 },
    timed: true,
  });
  const { hedge: _none, ...own } = settings;
  gateway.apply([{ ...rule, retry: { ...own, attempts: 5, on: ['reset'] } }]);
  gateway.send('GET /orders/1');
  expect(gateway.forwarded[1]?.options.retry).toMatchObject({
    attempts: 5,
    statuses: new Set(),
    hedge: null,
    timed: false,
  });
  for (const { answer } of gateway.forwarded) answer();
});

test('the same change again makes nothing and keeps the generation', () => {
  const gateway = new Gateway();
  gateway.apply([...orders, ordersRule]);
  const before = gateway.runtime.generation;
  const again = gateway.apply([...orders, ordersRule], ['rule/not/there/x']);
  expect(again.built).toEqual({ rules: 0, policies: 0, upstreams: 0, routerNodes: 0 });
  expect(gateway.runtime.generation).toBe(before);
});

describe('a change costs what changed', () => {
  const hosts = Array.from({ length: 100 }, (_, h) => `h${h}.example`);
  const rules = hosts.flatMap((host, h) =>
    Array.from({ length: 50 }, (_, r) =>
      ruleFixture(`ns${h}/route/r${r}`, {
        hosts: [host],
        matches: [matchFixture(`/r${r}`)],
        action: forwardFixture(`ns${h}/b`),
        policies: r === 0 ? ['policy/gw/edits/transform'] : [],
      }),
    ),
  );
  const policy = (value: string) =>
    policyFixture('gw/edits', {
      section: 'transform',
      response: { remove: [], set: [{ name: 'x-v', value }], add: [] },
    });
  const backends = hosts.flatMap((_, h) => [backendFixture(`ns${h}/b`), endpointsFixture(`ns${h}/b`, '10.0.0.1:80')]);
  const gateway = new Gateway();
  const first = gateway.apply([...rules, ...backends, policy('1')]);

  test('the first one makes everything', () => {
    expect(first.rejected).toEqual([]);
    expect(first.built).toMatchObject({ rules: 5_000, policies: 1, upstreams: 100 });
    expect(first.built.routerNodes).toBeGreaterThan(5_000);
  });

  test('what one rule of 5,000 does changes: one chain, no node of the router', () => {
    const { built } = gateway.apply([{ ...(rules[2_501] as (typeof rules)[0]), action: respondFixture('changed') }]);
    expect(built).toEqual({ rules: 1, policies: 0, upstreams: 0, routerNodes: 0 });
    expect(gateway.ask('GET /r1', 'h50.example')).toBe('200 changed');
  });

  test('where one rule of 5,000 stands changes: its own path in the router', () => {
    const moved = {
      ...(rules[2_501] as (typeof rules)[0]),
      matches: [matchFixture('/moved')],
      action: respondFixture('moved'),
    };
    const { built } = gateway.apply([moved]);
    expect(built).toMatchObject({ rules: 1, policies: 0, upstreams: 0 });
    expect(built.routerNodes).toBeGreaterThan(0);
    expect(built.routerNodes).toBeLessThanOrEqual(8);
    expect(gateway.ask('GET /moved', 'h50.example')).toBe('200 moved');
    expect(gateway.ask('GET /r1', 'h50.example')).toBe('404 no-route');
  });

  test('one endpoint: no chain, no node; pool and balancer are the same object, updated in place', () => {
    const upstream = gateway.upstreams.find(({ id }) => id === 'backend/ns7/b');
    const { built } = gateway.apply([endpointsFixture('ns7/b', '10.0.0.1:80', '10.0.0.2:80')]);
    expect(built).toEqual({ rules: 0, policies: 0, upstreams: 0, routerNodes: 0 });
    gateway.send('GET /r9', [], 'h7.example');
    expect(gateway.forwarded.at(-1)?.upstream).toBe(upstream);
    expect(upstream?.updates).toEqual(['10.0.0.1,10.0.0.2']);
    expect(gateway.upstreams.filter(({ updates }) => updates.length > 0)).toEqual([upstream]);
  });

  test('a backend that changes keeps its upstream too', () => {
    const made = gateway.upstreams.length;
    const { built } = gateway.apply([backendFixture('ns8/b', { connectTimeoutMs: 5 })]);
    expect(built).toMatchObject({ rules: 0, upstreams: 0 });
    expect(gateway.upstreams.length).toBe(made);
    expect(gateway.upstreams.find(({ id }) => id === 'backend/ns8/b')?.backend.connectTimeoutMs).toBe(5);
  });

  test('one policy: one stage, and the chains that refer to it', () => {
    const { built } = gateway.apply([policy('2')]);
    expect(built).toEqual({ rules: 100, policies: 1, upstreams: 0, routerNodes: 0 });
    const downstream = gateway.send('GET /r0', [], 'h3.example');
    gateway.forwarded.at(-1)?.answer();
    expect(downstream.headers?.get('x-v')).toBe('2');
  });
});

describe('exchanges in flight', () => {
  test('finish on the generation they began on; what only it uses is closed after the last of them', () => {
    const gateway = new Gateway();
    const edits = (value: string) =>
      policyFixture('shop/p', {
        section: 'transform',
        response: { remove: [], set: [{ name: 'x-v', value }], add: [] },
      });
    gateway.apply([...orders, { ...ordersRule, policies: [edits('1').id] }, edits('1')]);
    const old = gateway.send('GET /orders/1');
    gateway.apply([edits('2')]);
    gateway.apply([], [ordersRule.id, 'backend/shop/orders', 'endpoints/shop/orders']);
    expect(gateway.ask('GET /orders/1')).toBe('404 no-route');
    const [upstream] = gateway.upstreams;
    expect(upstream?.closed).toBe(0);
    expect(gateway.runtime.liveGenerations).toBe(2);
    gateway.forwarded[0]?.answer();
    expect(old.status).toBe(200);
    expect(old.headers?.get('x-v')).toBe('1');
    expect(upstream?.closed).toBe(1);
    expect(gateway.runtime.liveGenerations).toBe(1);
    expect(gateway.errors).toEqual([]);
  });

  test('a long one keeps its own upstreams only, not all that came and went since', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule]);
    gateway.send('GET /orders/1');
    gateway.apply([backendFixture('a/b'), endpointsFixture('a/b', '10.0.0.9:80')]);
    gateway.apply([], ['backend/a/b', 'endpoints/a/b']);
    expect(gateway.upstreams.map(({ closed }) => closed)).toEqual([0, 1]);
  });

  test('what can not be closed keeps nothing else open', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule, backendFixture('a/b'), endpointsFixture('a/b', '10.0.0.9:80')]);
    const [stuck, other] = gateway.upstreams as [HeldUpstream, HeldUpstream];
    stuck.close = () => {
      throw new Error('stuck');
    };
    gateway.send('GET /orders/1');
    const applied = gateway.apply([], [ordersRule.id, 'backend/shop/orders', 'backend/a/b']);
    expect([applied.accepted, applied.message]).toEqual([true, '']);
    gateway.forwarded[0]?.answer();
    expect(other.closed).toBe(1);
    expect(gateway.errors).toEqual([expect.stringContaining('could not be closed')]);
    expect(gateway.runtime.pipeline.inFlight).toBe(0);
  });

  test('close closes what is running', () => {
    const gateway = new Gateway();
    gateway.apply(orders);
    gateway.runtime.close();
    expect(gateway.upstreams[0]?.closed).toBe(1);
  });
});

test('a preflight reaches the CORS stage of a rule for another method', () => {
  const gateway = new Gateway();
  const cors = policyFixture('a/p', {
    section: 'cors',
    allowOrigins: ['https://app.example'],
    allowMethods: ['DELETE'],
    allowHeaders: [],
    exposeHeaders: [],
    allowCredentials: true,
    allowPrivateNetwork: false,
    maxAgeSeconds: 60,
  });
  gateway.apply([
    cors,
    ruleFixture('a/x/1', { matches: [matchFixture('/', { methods: ['DELETE'] })], policies: [cors.id] }),
  ]);
  const fields = ['origin', 'https://app.example', 'access-control-request-method', 'DELETE'];
  expect(gateway.send('OPTIONS /', fields).status).toBe(204);
  expect(gateway.ask('OPTIONS /')).toBe('404 no-route');
});

test('a rule has the last word over its policy on requests and on responses; both in the place of transform', () => {
  const gateway = new Gateway();
  const set = (name: string, value: string) => ({ remove: [], set: [{ name, value }], add: [] });
  const policy = policyFixture('a/p', {
    section: 'transform',
    request: set('x-q', 'policy'),
    response: set('x-s', 'policy'),
  });
  const rule = {
    ...ordersRule,
    policies: [policy.id],
    headers: { request: set('x-q', 'rule'), response: set('x-s', 'rule') },
  };
  gateway.apply([...orders, policy, rule]);
  const downstream = gateway.send('GET /orders');
  expect(gateway.forwarded[0]?.exchange.headers.get('x-q')).toBe('rule');
  gateway.forwarded[0]?.answer();
  expect(downstream.headers?.get('x-s')).toBe('rule');
});

test('two blocks for one section are refused', () => {
  const gateway = new Gateway();
  const [one, two] = ['a/p', 'a/q'].map((name) => policyFixture(name, { section: 'timeout', requestMs: 1 }));
  const rule = ruleFixture('a/x/1', { policies: ['policy/a/p/timeout', 'policy/a/q/timeout'] });
  expect(messages(gateway.apply([one as Resource, two as Resource, rule]))).toEqual([
    'rule/a/x/1: policies[1]: a second timeout section',
  ]);
});

test('weights share out the requests, an unresolved reference answers its share', () => {
  const gateway = new Gateway();
  const two = [backendFixture('shop/two'), endpointsFixture('shop/two', '10.0.0.2:80')];
  const fail = { status: 500, code: 'backend-not-found', message: 'Backend shop/gone is not there.' };
  const backends = [
    { weight: 1, backend: 'backend/shop/orders' },
    { weight: 0, backend: 'backend/shop/two' },
    { weight: 2, backend: 'backend/shop/two' },
    { weight: 1, fail },
  ];
  gateway.apply([...orders, ...two, { ...ordersRule, action: { kind: 'forward', backends } }]);
  const at = (random: number) => {
    gateway.random = random;
    const { status } = gateway.send('GET /orders');
    return status === 0 ? gateway.forwarded.at(-1)?.upstream.id : status;
  };
  expect([0, 0.24, 0.25, 0.74, 0.75, 0.999].map(at)).toEqual([
    'backend/shop/orders',
    'backend/shop/orders',
    'backend/shop/two',
    'backend/shop/two',
    500,
    500,
  ]);
});

test('no weight above 0 is a 500', () => {
  const gateway = new Gateway();
  const backends = [{ weight: 0, backend: 'backend/shop/orders' }];
  gateway.apply([...orders, { ...ordersRule, action: { kind: 'forward', backends } }]);
  expect(gateway.ask('GET /orders')).toBe('500 no-backend');
});

test('describe shows what runs and no value that may be a secret', () => {
  const gateway = new Gateway();
  const secret = { remove: ['x-a'], set: [{ name: 'authorization', value: 'Bearer s3cret' }], add: [] };
  const policy = policyFixture('a/p', { section: 'transform', request: secret });
  gateway.apply([...orders, policy, { ...ordersRule, policies: [policy.id], headers: { response: secret } }]);
  gateway.apply([ruleFixture('a/x/1', { policies: ['policy/none'], action: respondFixture('s3cret') })]);
  const shown = gateway.runtime.describe();
  expect(shown.revision).toBe(gateway.runtime.revision);
  expect(shown.rejected.map(({ id }) => id)).toEqual(['rule/a/x/1']);
  expect(shown.rules).toMatchObject([
    { id: 'rule/a/x/1', refused: true },
    {
      id: 'rule/shop/orders/all',
      refused: false,
      effectiveTimeouts: { requestMs: 0, backendMs: 60_000, idleMs: 300_000 },
    },
  ]);
  expect(shown.backends).toMatchObject([{ id: 'backend/shop/orders', endpoints: [{ address: '10.0.0.1' }] }]);
  expect(JSON.stringify(shown)).toContain('authorization');
  expect(JSON.stringify(shown)).not.toContain('s3cret');
});
