import fc from 'fast-check';
import { expect, test } from 'vitest';
import { counts, deviations, seeded } from './balance.fixture.ts';
import { createRandom } from './random.ts';

test('shares are those of the weights, to five standard deviations', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 30 });
  fc.assert(
    fc.property(weights, fc.nat(), (list, seed) => {
      const balancer = createRandom(list, seeded(seed));
      expect(deviations(counts(balancer, list.length, 20_000), list)).toBeLessThan(5.5);
    }),
    { numRuns: 50, seed: 11 },
  );
});

test('a thousand of which one weighs as much as all others', () => {
  const weights = [999, ...new Array<number>(999).fill(1)];
  const got = counts(createRandom(weights, seeded(5)), 1000, 100_000);
  expect(Math.abs((got[0] as number) - 50_000)).toBeLessThan(5 * Math.sqrt(25_000));
  expect(got.filter((count) => count > 0).length).toBeGreaterThan(990);
});

test('none, one, and another than those marked', () => {
  expect(createRandom([], Math.random).pick(0)).toBe(-1);
  expect(createRandom([4], Math.random).pick(0)).toBe(0);
  const { another } = createRandom([1000, 1, 1], seeded(1));
  expect(another(0, Uint8Array.of(1, 0, 1))).toBe(1);
  expect(another(0, Uint8Array.of(1, 1, 1))).toBe(-1);
});
