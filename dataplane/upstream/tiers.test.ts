import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tierShares } from './tiers.ts';

const percents = (serving: readonly number[]): number[] =>
  tierShares(serving.map((one) => ({ all: 100, serving: one }))).map((share) => Math.round(share * 100));

test("Envoy's table for two levels: all, 72, 71, 50, 25 and 0 % of the first serve", () => {
  expect(percents([100, 100])).toEqual([100, 0]);
  expect(percents([72, 100])).toEqual([100, 0]);
  expect(percents([71, 100])).toEqual([99, 1]);
  expect(percents([50, 100])).toEqual([70, 30]);
  expect(percents([25, 100])).toEqual([35, 65]);
  expect(percents([0, 100])).toEqual([0, 100]);
});

test('three levels, and too little in all of them: in proportion to what each can carry', () => {
  expect(percents([25, 25, 100])).toEqual([35, 35, 30]);
  expect(percents([25, 25, 20])).toEqual([36, 36, 29]);
  expect(percents([5, 0, 0])).toEqual([100, 0, 0]);
  expect(percents([0, 0, 0])).toEqual([0, 0, 0]);
  expect(tierShares([])).toEqual([]);
});

test('shares sum to 1 where anything serves, and none goes where nothing does', () => {
  const tier = fc
    .tuple(fc.integer({ min: 0, max: 5000 }), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([all, part]) => ({ all, serving: Math.floor(all * part) }));
  fc.assert(
    fc.property(fc.array(tier, { minLength: 1, maxLength: 6 }), (tiers) => {
      const shares = tierShares(tiers);
      const total = shares.reduce((sum, share) => sum + share, 0);
      expect(total).toBeCloseTo(tiers.some(({ serving }) => serving > 0) ? 1 : 0, 9);
      tiers.forEach(({ serving }, i) => {
        if (serving === 0) expect(shares[i]).toBe(0);
      });
    }),
  );
});
