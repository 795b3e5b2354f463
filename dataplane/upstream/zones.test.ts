import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Zoned, zoneFactors } from './zones.ts';

const inZone = (zone: string, more: Partial<Zoned> = {}): Zoned => ({
  zone,
  forZones: undefined,
  weight: 1,
  serves: true,
  ...more,
});
const many = (count: number, zone: string, more: Partial<Zoned> = {}): Zoned[] =>
  Array.from({ length: count }, () => inZone(zone, more));

/** What each zone gets of the requests of a data plane in `own`. */
function sharesOf(endpoints: readonly Zoned[], own: string): Record<string, number> {
  const factors = zoneFactors(endpoints, own) ?? endpoints.map(() => 1);
  const parts = endpoints.map(({ weight, serves }, i) => (serves ? weight * (factors[i] as number) : 0));
  const total = parts.reduce((sum, part) => sum + part, 0);
  const shares: Record<string, number> = {};
  endpoints.forEach(({ zone = '' }, i) => {
    shares[zone] = (shares[zone] ?? 0) + (parts[i] as number) / total;
  });
  return shares;
}

describe('by zone', () => {
  test('as many as elsewhere or more: everything stays', () => {
    expect(sharesOf([...many(3, 'a'), ...many(3, 'b'), ...many(3, 'c')], 'a')).toEqual({ a: 1, b: 0, c: 0 });
    expect(sharesOf([...many(5, 'a'), ...many(3, 'b')], 'a')).toEqual({ a: 1, b: 0 });
  });

  test('fewer: their part stays, the rest goes to who has more than its part', () => {
    const shares = sharesOf([...many(1, 'a'), ...many(3, 'b'), ...many(2, 'c')], 'a');
    expect(shares.a).toBeCloseTo(0.5);
    expect(shares.b).toBeCloseTo(0.5);
    expect(shares.c).toBe(0);
  });

  test('with data planes spread evenly over the zones, every endpoint carries the same for its weight', () => {
    const list = fc.array(
      fc.record({ zone: fc.constantFrom('a', 'b', 'c', 'd'), weight: fc.integer({ min: 1, max: 9 }) }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(list, (made) => {
        const endpoints = made.map(({ zone, weight }) => inZone(zone, { weight }));
        const zones = [...new Set(made.map(({ zone }) => zone))];
        const load = endpoints.map(() => 0);
        for (const own of zones) {
          const factors = zoneFactors(endpoints, own) ?? endpoints.map(() => 1);
          const parts = endpoints.map(({ weight }, i) => weight * (factors[i] as number));
          const total = parts.reduce((sum, part) => sum + part, 0);
          parts.forEach((part, i) => {
            load[i] = (load[i] as number) + part / total / zones.length;
          });
        }
        const all = endpoints.reduce((sum, { weight }) => sum + weight, 0);
        endpoints.forEach(({ weight }, i) => {
          expect(load[i]).toBeCloseTo(weight / all, 9);
        });
      }),
    );
  });

  test('nobody in the own zone, or none of them serves: to all', () => {
    expect(zoneFactors([...many(2, 'b'), ...many(2, 'c')], 'a')).toBeNull();
    expect(zoneFactors([...many(2, 'a', { serves: false }), ...many(2, 'c')], 'a')).toBeNull();
  });

  test('those that do not serve carry nothing: the part of the rest shrinks', () => {
    const endpoints = [...many(2, 'a'), ...many(1, 'a', { serves: false }), ...many(3, 'b'), ...many(3, 'c')];
    expect(sharesOf(endpoints, 'a').a).toBeCloseTo((2 / 8) * 3);
  });
});

describe('by hints', () => {
  const hinted = (zone: string, forZone: string, serves = true): Zoned => inZone(zone, { forZones: [forZone], serves });

  test('what is meant for the own zone, wherever it runs', () => {
    const endpoints = [hinted('a', 'a'), hinted('b', 'a'), hinted('b', 'b'), hinted('c', 'c')];
    expect(zoneFactors(endpoints, 'a')).toEqual([1, 1, 0, 0]);
  });

  test('less than 71 % of them serves: the rest spills over; none: to all', () => {
    const endpoints = (serving: number): Zoned[] => [
      ...Array.from({ length: 4 }, (_, i) => hinted('a', 'a', i < serving)),
      ...Array.from({ length: 4 }, () => hinted('b', 'b')),
    ];
    expect(sharesOf(endpoints(3), 'a')).toEqual({ a: 1, b: 0 });
    expect(sharesOf(endpoints(2), 'a').a).toBeCloseTo(0.7);
    expect(sharesOf(endpoints(1), 'a').b).toBeCloseTo(0.65);
    expect(sharesOf(endpoints(0), 'a')).toEqual({ a: 0, b: 1 });
  });

  test('one without hints: they do not count, zones do', () => {
    const endpoints = [hinted('b', 'a'), hinted('a', 'b'), inZone('b')];
    // a has one of three, less than half: two thirds of its part stay.
    expect(sharesOf(endpoints, 'a').a).toBeCloseTo(2 / 3);
  });

  test('nobody else is left: spill or not, all stays', () => {
    expect(sharesOf([hinted('a', 'a'), hinted('a', 'a', false), hinted('a', 'a', false)], 'a')).toEqual({ a: 1 });
  });
});
