import { describe, expect, test } from 'vitest';
import { endpoints } from './balance.fixture.ts';
import { disruption, KEYS, spread } from './hashing.fixture.ts';
import { createMaglev } from './maglev.ts';

const equal = (count: number): number[] => new Array<number>(count).fill(1);

describe('Maglev', () => {
  test('places are shared evenly: keys within 6 % of the mean at 8, within 45 % at 200 (sampling noise of 250 keys each included)', () => {
    const eight = spread(createMaglev(endpoints(8), equal(8), null), equal(8));
    expect(eight.least).toBeGreaterThan(0.94);
    expect(eight.most).toBeLessThan(1.06);
    const many = spread(createMaglev(endpoints(200), equal(200), null), equal(200));
    expect(many.least).toBeGreaterThan(0.55);
    expect(many.most).toBeLessThan(1.45);
  });

  test('weights hold, within 6 %', () => {
    const weights = [1, 2, 3, 4];
    const { least, most } = spread(createMaglev(endpoints(4), weights, null), weights);
    expect(least).toBeGreaterThan(0.94);
    expect(most).toBeLessThan(1.06);
  });

  test('when one of n goes, others lose at most 3 % of their keys (n = 8), 2 % (n = 100), 6 % (n = 1,000)', () => {
    for (const [count, bound] of [
      [8, 0.03],
      [100, 0.02],
      [1000, 0.06],
    ] as const) {
      const all = endpoints(count);
      const before = createMaglev(all, equal(count), null);
      for (const lost of [0, Math.floor(count / 2)]) {
        const after = createMaglev(all.toSpliced(lost, 1), equal(count - 1), null);
        expect(disruption(before, after, lost)).toBeLessThan(bound);
      }
    }
  });

  test('with weights too: at most 10 %', () => {
    const all = endpoints(8);
    const weights = [1, 2, 3, 4, 5, 6, 7, 8];
    const before = createMaglev(all, weights, null);
    for (const lost of [0, 4]) {
      const after = createMaglev(all.toSpliced(lost, 1), weights.toSpliced(lost, 1), null);
      expect(disruption(before, after, lost)).toBeLessThan(0.1);
    }
  });

  test('the same in every process', () => {
    const { pick } = createMaglev(endpoints(8), equal(8), null);
    expect(KEYS.slice(0, 12).map((key) => pick(key))).toMatchInlineSnapshot(`
      [
        6,
        7,
        6,
        7,
        5,
        6,
        4,
        0,
        0,
        7,
        4,
        7,
      ]
    `);
  });

  test('a retry goes on to others, always the same ones, spread over all', () => {
    const all = endpoints(8);
    const { pick, another } = createMaglev(all, equal(8), null);
    const second = new Set<number>();
    for (const key of KEYS.slice(0, 500)) {
      const marked = new Uint8Array(8);
      marked[pick(key)] = 1;
      const next = another(key, marked);
      expect(marked[next]).toBe(0);
      expect(another(key, marked)).toBe(next);
      if (pick(key) === 0) second.add(next);
    }
    expect(second.size).toBe(7);
    expect(another(1, new Uint8Array(8).fill(1))).toBe(-1);
  });

  test('none and one', () => {
    expect(createMaglev([], [], null).pick(5)).toBe(-1);
    expect(createMaglev(endpoints(1), [1], null).pick(4_294_967_295)).toBe(0);
  });
});
