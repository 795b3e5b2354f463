import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { counts, sum } from './balance.fixture.ts';
import { createRoundRobin } from './round-robin.ts';

const weightLists = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 });
const starts = fc.double({ min: 0, max: 0.999, noNaN: true });

describe('round-robin', () => {
  test('any window as long as the sum of weights holds each exactly by its weight, wherever it begins', () => {
    fc.assert(
      fc.property(weightLists, starts, fc.nat(60), (weights, start, skip) => {
        const balancer = createRoundRobin(weights, start);
        const count = weights.length;
        // What it began with need not lie on the round's own path: from the next round on it does.
        for (let i = 0; i < sum(weights) + skip; i++) balancer.pick(0);
        const round = weights.every((weight) => weight === weights[0]) ? weights.map(() => 1) : weights;
        expect(counts(balancer, count, sum(round))).toEqual(round);
      }),
    );
  });

  test('after any number of picks from the start each is less than one request off its share', () => {
    fc.assert(
      fc.property(weightLists, (weights) => {
        const { pick } = createRoundRobin(weights);
        const total = sum(weights);
        const got = weights.map(() => 0);
        for (let t = 1; t <= 2 * total; t++) {
          const index = pick(0);
          got[index] = (got[index] as number) + 1;
          weights.forEach((weight, i) => {
            expect(Math.abs((got[i] as number) - (t * weight) / total)).toBeLessThan(1);
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  test('begun anywhere, it ends its round with each less than one request off', () => {
    fc.assert(
      fc.property(weightLists, starts, (weights, start) => {
        const total = sum(weights);
        const { pick } = createRoundRobin(weights, start);
        const got = weights.map(() => 0);
        for (let t = 1; t <= total; t++) {
          const index = pick(0);
          got[index] = (got[index] as number) + 1;
          weights.forEach((weight, i) => {
            expect(Math.abs((got[i] as number) - (t * weight) / total)).toBeLessThan(2);
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  test('heavy ones are spread, not sent in a burst', () => {
    const { pick } = createRoundRobin([5, 1, 1]);
    expect(Array.from({ length: 7 }, () => pick(0))).toEqual([0, 0, 0, 1, 0, 0, 2]);
    const one = createRoundRobin([500, ...new Array<number>(500).fill(1)]);
    let [run, longest] = [0, 0];
    for (let i = 0; i < 2_000; i++) {
      run = one.pick(0) === 0 ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    expect(longest).toBeLessThanOrEqual(2);
  });

  test('a later one goes on where the one before it was', () => {
    const before = createRoundRobin([1, 1, 1, 1]);
    for (let i = 0; i < 3; i++) before.pick(0);
    expect(createRoundRobin([1, 1, 1, 1], before.position).pick(0)).toBe(3);
    const weighted = createRoundRobin([3, 2, 1]);
    for (let i = 0; i < 4; i++) weighted.pick(0);
    expect(weighted.position).toBeCloseTo(4 / 6);
    const after = createRoundRobin([3, 2, 1], weighted.position);
    const rest = [after.pick(0), after.pick(0)];
    expect(after.position).toBe(0);
    // With the four before, each is within one request of its share.
    expect(new Set(rest).size).toBe(2);
  });

  test('weights with fractions are kept to 0.01 % of the heaviest', () => {
    const weights = [1, 0.3, 0.05];
    const got = counts(createRoundRobin(weights), 3, 13_500);
    weights.forEach((weight, i) => {
      expect(Math.abs((got[i] as number) - (13_500 * weight) / 1.35)).toBeLessThan(3);
    });
  });

  test('none, one, and another than those marked', () => {
    expect(createRoundRobin([]).pick(0)).toBe(-1);
    expect(createRoundRobin([7]).pick(0)).toBe(0);
    const { another } = createRoundRobin([3, 1, 1]);
    expect(Array.from({ length: 5 }, () => another(0, Uint8Array.of(1, 0, 1)))).toEqual([1, 1, 1, 1, 1]);
    expect(another(0, Uint8Array.of(1, 1, 1))).toBe(-1);
  });
});

test.each([
  [1, 1, 1, 1, 1, 1],
  [3, 1, 1, 2, 1, 1],
])('one that always fails gets no part of the repeats: %j', (...weights) => {
  const balancer = createRoundRobin(weights);
  const marked = new Uint8Array(weights.length);
  marked[0] = 1;
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const repeats = new Array<number>(weights.length).fill(0);
  for (let i = 0; i < sum * 100; i++) {
    if (balancer.pick(0) !== 0) continue;
    const index = balancer.another(0, marked);
    repeats[index] = (repeats[index] as number) + 1;
  }
  expect(repeats.reduce((total, count) => total + count, 0)).toBe(100 * (weights[0] as number));
  expect(repeats[0]).toBe(0);
  // Spread over the others.
  expect(Math.min(...repeats.slice(1))).toBeGreaterThan(0);
});
