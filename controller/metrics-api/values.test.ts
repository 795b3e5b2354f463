import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FleetMember } from '../push/fleet.ts';
import { TestClock } from '../test-clock.ts';
import { TtlCache } from './ttl-cache.ts';
import { metricValues, quantity } from './values.ts';

test('quantities are Kubernetes quantities that lose little', () => {
  expect([0, 41, 812.5, 0.25, 0.0031, Number.NaN, -1, Number.POSITIVE_INFINITY].map(quantity)).toEqual([
    '0',
    '41',
    '812500m',
    '250000u',
    '3100u',
    '0',
    '0',
    '0',
  ]);
  const parse = (text: string): number => {
    const [, digits = '', unit = ''] = /^(\d+)([mu]?)$/.exec(text) ?? [];
    return Number(digits) / { '': 1, m: 1000, u: 1_000_000 }[unit as '' | 'm' | 'u'];
  };
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (value) => {
      expect(Math.abs(parse(quantity(value)) - value)).toBeLessThanOrEqual(value < 1 ? 1e-6 : value * 1e-3);
    }),
  );
});

test('a value says when it was measured; a data plane without a report has none', () => {
  const load = {
    ready: true,
    draining: false,
    inFlight: 3,
    requestsTotal: 0,
    requestsPerSecond: 0,
    eventLoopUtilisation: 0,
    p99Ms: 0,
    revision: '',
    workers: 1,
  };
  const member = (node: string, more: Partial<FleetMember>): FleetMember => ({
    node,
    zone: '',
    revision: '',
    rejected: [],
    load,
    programVersion: '',
    message: '',
    health: [],
    replica: 'r',
    lastSeenMs: 7_000,
    ready: true,
    ...more,
  });
  const now = { ms: 10_000, date: new Date('2026-01-01T00:00:10.500Z') };
  const values = metricValues('tidegate_requests_in_flight', 'ns', [member('a', {}), member('b', { load: null })], now);
  expect(values).toEqual([
    {
      describedObject: { kind: 'Pod', namespace: 'ns', name: 'a', apiVersion: '/v1' },
      metric: { name: 'tidegate_requests_in_flight', selector: null },
      timestamp: '2026-01-01T00:00:07Z',
      value: '3',
    },
  ]);
  for (const name of ['nonsense', 'toString', '__proto__']) expect(metricValues(name, 'ns', [], now)).toBeUndefined();
});

test('answers are remembered for their time, failures not at all, and not without bound', async () => {
  const clock = new TestClock();
  const cache = new TtlCache<number>(clock, 1_000, 2);
  let asked = 0;
  const ask = async () => ++asked;
  expect([await cache.get('a', ask), await cache.get('a', ask)]).toEqual([1, 1]);
  clock.advance(1_000);
  expect(await cache.get('a', ask)).toBe(2);
  await expect(cache.get('b', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await cache.get('b', ask)).toBe(3);
  await cache.get('c', ask);
  expect(await cache.get('a', ask)).toBe(5);
});
