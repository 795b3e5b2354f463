import { beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import type { Identity } from '../../pipeline/identity.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { authorizationSection } from '../../snapshot/sections/authorization.ts';
import { type ContextParts, contextFixture } from '../context.fixture.ts';
import { StageError } from '../stage-error.ts';
import { loadExpressions } from './expressions.ts';
import { createAuthorization } from './stage.ts';

beforeAll(loadExpressions);

const acme: Identity = {
  consumer: 'acme',
  groups: ['gold', 'partners'],
  scopes: ['orders:read', 'orders:list'],
  claims: { tier: 'gold', level: 3, realm: { roles: ['admin', 'dev'] }, 'https://example.com/x': true },
  method: 'jwt',
};

/** `rules` in the order given, named r0, r1, …; deny is the default. */
function stage(rules: readonly object[], more: object = {}, parts: ContextParts = {}) {
  const named = rules.map((rule, i) => ({ name: `r${i}`, action: 'allow', ...rule }));
  const config = authorizationSection.parse({ section: 'authorization', default: 'deny', rules: named, ...more });
  const context = contextFixture(parts);
  return { ...createAuthorization(config, context), counters: context.counters };
}

function request(line = 'GET /orders/1', identity: Identity | null = acme, clientAddress = '192.0.2.1'): Exchange {
  const exchange = memoryExchange(line, { clientAddress, fields: ['x-tenant', 'acme', 'accept', 'a', 'accept', 'b'] });
  exchange.identity = identity;
  return exchange;
}

/** `allow`, or the code of the refusal. */
function ask(rules: readonly object[], exchange = request(), more: object = {}, parts: ContextParts = {}): string {
  const answer = stage(rules, more, parts).onRequest?.(exchange) as Answer | undefined;
  return answer === undefined ? 'allow' : `${answer.status} ${answer.code}`;
}

test.each([
  [{ consumers: ['acme'] }, true],
  [{ consumers: ['umbrella', 'acme'] }, true],
  [{ consumers: ['umbrella'] }, false],
  [{ groups: ['partners'] }, true],
  [{ groups: ['silver', 'bronze'] }, false],
  [{ claims: [{ name: 'tier', values: ['silver', 'gold'] }] }, true],
  [{ claims: [{ name: 'tier' }, { name: 'level', values: ['3'] }] }, true],
  [{ claims: [{ name: 'tier' }, { name: 'level', values: ['4'] }] }, false],
  [{ claims: [{ name: 'realm.roles', values: ['admin'] }] }, true],
  [{ claims: [{ name: 'realm.roles.0' }] }, true],
  [{ claims: [{ name: 'realm.nothing' }] }, false],
  [{ claims: [{ name: 'https://example.com/x', values: ['true'] }] }, true],
  [{ claims: [{ name: 'constructor' }] }, false],
  [{ claims: [{ name: 'tier.length' }] }, false],
  [{ methods: ['GET', 'HEAD'] }, true],
  [{ methods: ['POST'] }, false],
  [{ paths: [{ kind: 'prefix', value: '/orders/' }] }, true],
  [{ paths: [{ kind: 'prefix', value: '/ord' }] }, false],
  [{ paths: [{ kind: 'exact', value: '/orders' }] }, false],
  [{ paths: [{ kind: 'regex', value: '/orders/[0-9]+' }] }, true],
  [{ paths: [{ kind: 'regex', value: '/orders' }] }, false],
  [{ addresses: ['198.51.100.0/24', '192.0.2.1'] }, true],
  [{ addresses: ['2001:db8::/32'] }, false],
  [{ cel: 'request.headers["x-tenant"] == auth.consumer && request.headers["accept"] == "a, b"' }, true],
  [{ cel: 'auth.claims.nothing == 1' }, false],
  [{ consumers: ['acme'], methods: ['POST'] }, false],
  [{}, true],
])('%j: %s', (rule, expected) => {
  expect(ask([rule])).toBe(expected ? 'allow' : '403 forbidden-default');
  expect(ask([{ ...rule, action: 'deny' }], request(), { default: 'allow' })).toBe(
    expected || 'cel' in rule ? '403 forbidden-rule' : 'allow',
  );
});

test('the first rule that holds decides, then the default', () => {
  const rules = [
    { action: 'deny', paths: [{ kind: 'prefix', value: '/admin' }] },
    { consumers: ['acme'] },
    { action: 'deny', methods: ['DELETE'] },
  ];
  expect(ask(rules)).toBe('allow');
  expect(ask(rules, request('GET /admin/x'))).toBe('403 forbidden-rule');
  expect(ask(rules, request('DELETE /orders/1'))).toBe('allow');
  const other = { ...acme, consumer: 'umbrella' };
  expect(ask(rules, request('GET /orders/1', other))).toBe('403 forbidden-default');
  expect(ask(rules, request('DELETE /orders/1', other), { default: 'allow' })).toBe('403 forbidden-rule');
  expect(ask(rules, request('GET /orders/1', other), { default: 'allow' })).toBe('allow');
});

describe('a caller who did not say who it is', () => {
  const anonymous = (line = 'GET /orders/1') => request(line, null);

  test.each([
    [{ consumers: ['acme'] }],
    [{ groups: ['gold'] }],
    [{ scopes: ['orders:read'] }],
    [{ claims: [{ name: 'tier' }] }],
    [{ cel: 'auth.consumer == ""' }],
  ])('%j: no allow rule that asks of identity holds', (rule) => {
    expect(ask([rule], anonymous())).toBe('403 forbidden-default');
  });

  test('rules that ask nothing of it hold', () => {
    expect(ask([{ methods: ['GET'] }], anonymous())).toBe('allow');
    expect(ask([{ cel: 'request.method == "GET"' }], anonymous())).toBe('allow');
  });

  test('a deny rule whose expression tells who is meant holds for strangers too', () => {
    const rules = [{ action: 'deny', cel: '!("staff" in auth.groups)' }];
    expect(ask(rules, anonymous(), { default: 'allow' })).toBe('403 forbidden-rule');
    expect(ask([{ action: 'deny', groups: ['banned'] }], anonymous(), { default: 'allow' })).toBe('allow');
  });

  test('401 with the challenges, where credentials could help and there is a challenge', () => {
    const exchange = anonymous();
    exchange.challenges = ['www-authenticate', 'Bearer realm="shop"'];
    const answer = stage([{ groups: ['gold'] }]).onRequest?.(exchange) as Answer;
    expect([answer.status, answer.code]).toEqual([401, 'identity-required']);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="shop"');
    expect(ask([{ groups: ['gold'], methods: ['POST'] }], exchange)).toBe('403 forbidden-default');
    expect(ask([{ action: 'deny', groups: ['gold'] }], exchange)).toBe('403 forbidden-default');
  });
});

test('all scopes of a rule are needed, and the one whose token lacks some learns which', () => {
  expect(ask([{ scopes: ['orders:read', 'orders:list'] }])).toBe('allow');
  const rules = [{ scopes: ['orders:read', 'orders:write'] }];
  const answer = stage(rules).onRequest?.(request()) as Answer;
  expect([answer.status, answer.code]).toEqual([403, 'insufficient-scope']);
  expect(answer.headers.get('www-authenticate')).toBe(
    'Bearer error="insufficient_scope", scope="orders:read orders:write"',
  );
  const keyed = stage(rules).onRequest?.(request('GET /', { ...acme, scopes: [] })) as Answer;
  expect([keyed.code, keyed.headers.has('www-authenticate')]).toEqual(['insufficient-scope', false]);
  expect(ask([{ scopes: ['x'], consumers: ['umbrella'] }])).toBe('403 forbidden-default');
});

test('an expression that can not be told: no allow rule holds, every deny rule does, and it is counted', () => {
  const cel = 'auth.claims.age > 17';
  expect(ask([{ cel }])).toBe('403 forbidden-default');
  expect(ask([{ cel, action: 'deny' }], request(), { default: 'allow' })).toBe('403 forbidden-rule');
  const counting = stage([{ cel }]);
  counting.onRequest?.(request());
  expect(counting.counters.counter('authorization_errors', { rule: 'r0' }).value).toBe(1);
});

test('a dry run refuses nothing, counts, and tells the log', () => {
  const dry = stage([{ action: 'deny', methods: ['GET'] }], { dryRun: true });
  const exchange = request();
  expect(dry.onRequest?.(exchange)).toBeUndefined();
  expect([exchange.wouldRefuse, exchange.code]).toEqual(['forbidden-rule', '']);
  expect(dry.counters.counter('authorization', { outcome: 'would-refuse', rule: 'r0' }).value).toBe(1);
  expect(dry.onRequest?.(request('POST /'))).toBeUndefined();
  expect(dry.counters.counter('authorization', { outcome: 'would-refuse', rule: '_default' }).value).toBe(1);
});

test('each decision is counted under its rule', () => {
  const counting = stage([{ consumers: ['acme'] }, { action: 'deny', methods: ['GET'] }]);
  const count = (outcome: string, rule: string) => counting.counters.counter('authorization', { outcome, rule }).value;
  counting.onRequest?.(request());
  counting.onRequest?.(request('GET /', null));
  counting.onRequest?.(request('POST /', null));
  expect([count('allowed', 'r0'), count('refused', 'r1'), count('refused', '_default')]).toEqual([1, 1, 1]);
});

describe('times', () => {
  const at = (time: string, window: object) =>
    ask(
      [{ times: [{ days: [0, 1, 2, 3, 4], from: 540, to: 1020, timezone: 'UTC', ...window }] }],
      request(),
      {},
      {
        epochMs: () => Date.parse(time),
      },
    ) === 'allow';

  test.each([
    ['2026-11-24T09:00:00Z', {}, true],
    ['2026-11-24T08:59:59Z', {}, false],
    ['2026-11-24T16:59:59Z', {}, true],
    ['2026-11-24T17:00:00Z', {}, false],
    ['2026-11-28T12:00:00Z', {}, false],
    // Summer and winter in Berlin.
    ['2026-07-01T07:30:00Z', { timezone: 'Europe/Berlin' }, true],
    ['2026-12-01T07:30:00Z', { timezone: 'Europe/Berlin' }, false],
    // Half an hour off.
    ['2026-11-24T03:30:00Z', { timezone: 'Asia/Kolkata' }, true],
    // Over midnight, from Sunday into Monday.
    ['2026-11-29T23:00:00Z', { days: [6], from: 1320, to: 360 }, true],
    ['2026-11-30T05:59:00Z', { days: [6], from: 1320, to: 360 }, true],
    ['2026-11-30T06:00:00Z', { days: [6], from: 1320, to: 360 }, false],
    ['2026-11-30T23:00:00Z', { days: [6], from: 1320, to: 360 }, false],
    // A whole day.
    ['2026-11-28T00:00:00Z', { days: [5], from: 0, to: 1440 }, true],
    ['2026-11-29T00:00:00Z', { days: [5], from: 0, to: 1440 }, false],
  ])('%s in %j: %s', (time, window, expected) => {
    expect(at(time, window)).toBe(expected);
  });

  test('go on while the stage lives', () => {
    let now = Date.parse('2026-11-24T08:59:30Z');
    const living = stage([{ times: [{ days: [1], from: 540, to: 541, timezone: 'UTC' }] }], {}, { epochMs: () => now });
    const allowed = () => living.onRequest?.(request()) === undefined;
    expect(allowed()).toBe(false);
    now += 30_000;
    expect(allowed()).toBe(true);
    now += 60_000;
    expect(allowed()).toBe(false);
  });
});

test.each([
  [{ paths: [{ kind: 'regex', value: '(' }] }, 'rules[0].paths[0].value'],
  [{ addresses: ['10.0.0.0/8', 'here'] }, 'rules[0].addresses[1]'],
  [{ times: [{ days: [0], from: 0, to: 1, timezone: 'Mars/Olympus' }] }, 'rules[0].times'],
  [{ cel: 'request.methd == "GET"' }, 'rules[0].cel'],
])('%j is refused, naming %s', (rule, field) => {
  expect(() => stage([rule])).toThrow(StageError);
  expect(() => stage([rule])).toThrow(new RegExp(`^${field.replaceAll(/[[\]]/g, '\\$&')}: `));
});

test('two rules of one name are refused', () => {
  expect(() => stage([{ name: 'a' }, { name: 'a' }])).toThrow(/^rules\[1\]\.name: /);
});
