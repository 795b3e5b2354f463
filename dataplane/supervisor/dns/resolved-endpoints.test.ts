import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Endpoint, EndpointNames } from '../../snapshot/resources.ts';
import type { ServiceRecord } from './answer.ts';
import { type KnownNames, namesIn, resolvedEndpoints } from './resolved-endpoints.ts';

const NAMES: EndpointNames = { minTtlMs: 1_000, maxTtlMs: 1_000 };
const known = (addresses: Record<string, string[]>, services: Record<string, ServiceRecord[]> = {}): KnownNames => ({
  addresses: (name) => addresses[name],
  services: (name) => services[name],
});
const host = (address: string, weight = 1, port = 80): Endpoint => ({ address, port, weight });
const short = (endpoints: readonly Endpoint[]): string[] =>
  endpoints.map(
    ({ address, port, weight, priority }) => `${address} ${port} ×${weight}${priority ? ` p${priority}` : ''}`,
  );

test('a name becomes its addresses; one that is not known stays a name; one without any is gone', () => {
  const sent = [host('10.0.0.1'), host('a'), host('b'), host('c')];
  const endpoints = resolvedEndpoints(sent, NAMES, known({ a: ['10.0.0.3', 'fd00::1'], c: [] }));
  expect(short(endpoints)).toEqual(['10.0.0.1 80 ×2', '10.0.0.3 80 ×1', 'b 80 ×2', 'fd00::1 80 ×1']);
});

test('an address that was found by a name knows it, also by way of SRV; others have none', () => {
  const answers = known(
    { a: ['10.0.0.3'], 'c.': ['10.0.0.4'] },
    { s: [{ target: 'c', port: 1, priority: 0, weight: 0 }] },
  );
  const endpoints = resolvedEndpoints([host('10.0.0.1'), host('a'), host('b')], { ...NAMES, services: 's' }, answers);
  const names = Object.fromEntries(endpoints.map(({ address, hostName }) => [address, hostName]));
  expect(names).toEqual({ '10.0.0.1': undefined, '10.0.0.3': 'a', '10.0.0.4': 'c.', b: undefined });
});

test('addresses of the own machine are left out unless they are allowed', () => {
  const answers = known({ a: ['127.0.0.1', '10.0.0.1', '::1', '169.254.169.254', 'fe80::1'] });
  expect(short(resolvedEndpoints([host('a')], NAMES, answers))).toEqual(['10.0.0.1 80 ×1']);
  expect(resolvedEndpoints([host('a')], undefined, answers)).toHaveLength(1);
  expect(resolvedEndpoints([host('a')], { ...NAMES, allowLocal: true }, answers)).toHaveLength(5);
});

test('of the same address and port twice, one is left', () => {
  const endpoints = resolvedEndpoints(
    [host('a'), host('b'), host('10.0.0.1')],
    NAMES,
    known({ a: ['10.0.0.1'], b: ['10.0.0.1'] }),
  );
  expect(short(endpoints)).toEqual(['10.0.0.1 80 ×1']);
});

test('with one name, or as many addresses each, weights are those given', () => {
  const answers = known({ a: ['10.0.0.1', '10.0.0.2'], b: ['10.0.0.3', '10.0.0.4'] });
  expect(short(resolvedEndpoints([host('a', 7), host('b', 3)], NAMES, answers))).toEqual([
    '10.0.0.1 80 ×7',
    '10.0.0.2 80 ×7',
    '10.0.0.3 80 ×3',
    '10.0.0.4 80 ×3',
  ]);
});

test('property: whatever the number of addresses, each name gets its share of the weight', () => {
  const count = fc.integer({ min: 1, max: 12 });
  const weight = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(fc.array(fc.tuple(weight, count), { minLength: 1, maxLength: 5 }), (hosts) => {
      const addresses = Object.fromEntries(
        hosts.map(([, n], i) => [`h${i}`, Array.from({ length: n }, (_, j) => `10.0.${i}.${j}`)]),
      );
      const sent = hosts.map(([w], i) => host(`h${i}`, w));
      const endpoints = resolvedEndpoints(sent, NAMES, known(addresses));
      const total = endpoints.reduce((sum, one) => sum + one.weight, 0);
      const wanted = hosts.reduce((sum, [w]) => sum + w, 0);
      hosts.forEach(([w], i) => {
        const got = endpoints.filter(({ address }) => address.startsWith(`10.0.${i}.`));
        const share = got.reduce((sum, one) => sum + one.weight, 0) / total;
        expect(Math.abs(share - w / wanted)).toBeLessThan(0.02);
      });
      for (const { weight: w } of endpoints) {
        expect(Number.isInteger(w) && w >= 1 && w <= 1000).toBe(true);
      }
    }),
  );
});

test('SRV records bring ports, weights and priorities, these as ranks', () => {
  const names = { ...NAMES, services: '_http._tcp.x' };
  const services = [
    { target: 'a', port: 8080, priority: 10, weight: 30 },
    { target: 'b', port: 8081, priority: 10, weight: 10 },
    { target: 'c', port: 8082, priority: 65_535, weight: 0 },
    { target: '10.0.0.9', port: 1, priority: 20, weight: 10 },
    { target: '127.0.0.1', port: 1, priority: 20, weight: 10 },
  ];
  const answers = known({ 'a.': ['10.0.0.1'], 'b.': ['10.0.0.2'], 'c.': ['10.0.0.3'] }, { '_http._tcp.x': services });
  expect(short(resolvedEndpoints([], names, answers))).toEqual([
    '10.0.0.1 8080 ×30',
    '10.0.0.2 8081 ×10',
    '10.0.0.3 8082 ×1 p2',
    '10.0.0.9 1 ×10 p1',
  ]);
  expect([...namesIn([], names, answers).addresses]).toEqual(['a.', 'b.', 'c.']);
  expect(resolvedEndpoints([], names, known({}))).toEqual([]);
});

test('SRV weights: none at all is no preference, large ones are scaled down', () => {
  const names = { ...NAMES, services: 's' };
  const record = (target: string, weight: number) => ({ target, port: 80, priority: 0, weight });
  const weights = (...given: number[]) =>
    resolvedEndpoints([], names, known({}, { s: given.map((w, i) => record(`10.0.0.${i}`, w)) })).map((e) => e.weight);
  expect(weights(0, 0)).toEqual([1, 1]);
  expect(weights(65_535, 0)).toEqual([1000, 1]);
  expect(weights(60_000, 30_000)).toEqual([1000, 500]);
});

test('the number of endpoints is bounded, the same ones for the same answers', () => {
  const many = (n: number) => Array.from({ length: n }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  const answers = known({ a: many(3000) });
  const endpoints = resolvedEndpoints([host('a')], NAMES, answers);
  expect(endpoints).toHaveLength(1024);
  expect(resolvedEndpoints([host('a')], NAMES, known({ a: many(3000).reverse() }))).toEqual(endpoints);
});
