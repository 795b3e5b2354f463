import { expect, test } from 'vitest';
import { renderLine } from './run-output.ts';

const clock = (): Date => new Date(2026, 10, 23, 12, 4, 31);

test('an applied file says how long it took and what changed', () => {
  const line = {
    level: 30,
    event: 'applied',
    file: 'orders.yaml',
    tookMs: 4.2,
    changed: ['Route shop/orders changed'],
  };
  expect(renderLine('controller', line, clock)).toBe('12:04:31  orders.yaml  live in 4 ms (Route shop/orders changed)');
});

test('a refused file shows every problem with object and field', () => {
  const problems = [
    { object: 'Route shop/orders', path: 'spec.rules[0].backends[0].weight', message: 'must be 0 to 1000, got -1' },
    { line: 3, message: 'not YAML: indentation' },
  ];
  expect(renderLine('controller', { event: 'refused', file: 'orders.yaml', problems }, clock)).toBe(
    [
      '12:04:31  orders.yaml  refused, the version before stays',
      '          Route shop/orders  spec.rules[0].backends[0].weight: must be 0 to 1000, got -1',
      '          line 3  not YAML: indentation',
    ].join('\n'),
  );
});

test('a file that is refused at the start has no version before it', () => {
  const line = { event: 'refused', file: 'a.yaml', problems: [{ line: 1, message: 'not YAML' }] };
  expect(renderLine('controller', line, clock, true)).toBe(
    '12:04:31  a.yaml  refused, nothing of it is served\n          line 1  not YAML',
  );
});

test('warnings of a program are shown, its information lines are not', () => {
  expect(renderLine('data plane', { level: 30, msg: 'listening' }, clock)).toBeNull();
  expect(renderLine('data plane', { level: 40, msg: 'controller lost' }, clock)).toBe(
    '12:04:31  data plane: controller lost',
  );
});

test('what a stage can not do names its policy; that all works again is told too', () => {
  const troubles = [{ id: 'policy/shop/staff/authentication', message: 'JWKS https://a/keys can not be fetched' }];
  const line = { level: 40, event: 'troubles', msg: 'something is in trouble', troubles };
  expect(renderLine('data plane', line, clock)).toBe(
    [
      '12:04:31  something is in trouble',
      '          shop/staff  authentication: JWKS https://a/keys can not be fetched',
    ].join('\n'),
  );
  expect(renderLine('data plane', { ...line, msg: 'all works again', troubles: [] }, clock)).toBe(
    '12:04:31  all works again',
  );
  const name = { id: 'backend/shop/db', message: 'DNS name db.example.com does not exist' };
  expect(renderLine('data plane', { ...line, troubles: [name] }, clock)).toContain(
    '\n          shop/db  DNS name db.example.com does not exist',
  );
});

test('what becomes of an endpoint names it and its backend', () => {
  const line = { level: 40, event: 'guard', backend: 'shop/orders', msg: 'an endpoint is ejected' };
  expect(renderLine('data plane', { ...line, endpoint: '10.0.0.1:80', reason: 'latency' }, clock)).toBe(
    '12:04:31  shop/orders  10.0.0.1:80: an endpoint is ejected (latency)',
  );
  expect(renderLine('data plane', { ...line, msg: 'a circuit breaker is open' }, clock)).toBe(
    '12:04:31  shop/orders  a circuit breaker is open',
  );
  const check = { level: 40, event: 'health', backend: 'shop/orders', endpoint: '10.0.0.1:80' };
  expect(renderLine('data plane', { ...check, msg: 'fails its health checks', reason: 'status 503' }, clock)).toBe(
    '12:04:31  shop/orders  10.0.0.1:80: fails its health checks (status 503)',
  );
});

test('a flood of problems is cut', () => {
  const problems = Array.from({ length: 30 }, (_, i) => ({ path: `spec.rules[${i}]`, message: 'is wrong' }));
  const text = renderLine('controller', { event: 'refused', file: 'a.yaml', problems }, clock) ?? '';
  expect(text.split('\n')).toHaveLength(22);
  expect(text).toContain('and 10 more');
});
