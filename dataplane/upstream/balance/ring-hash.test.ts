import { describe, expect, test } from 'vitest';
import { endpoints } from './balance.fixture.ts';
import { disruption, KEYS, spread } from './hashing.fixture.ts';
import { createRingHash } from './ring-hash.ts';

const equal = (count: number): number[] => new Array<number>(count).fill(1);

describe('ring hash', () => {
  test('160 places each: keys within 25 % of the mean at 8 endpoints (three standard deviations)', () => {
    const { least, most } = spread(createRingHash(endpoints(8), equal(8), 1, null), equal(8));
    expect(least).toBeGreaterThan(0.75);
    expect(most).toBeLessThan(1.25);
  });

  test('weights hold, within 35 %', () => {
    const weights = [1, 2, 3, 4];
    const { least, most } = spread(createRingHash(endpoints(4), weights, 2.5, null), weights);
    expect(least).toBeGreaterThan(0.65);
    expect(most).toBeLessThan(1.35);
  });

  test('when one goes, only its own keys move: with equal weights and with unequal ones', () => {
    for (const weights of [equal(8), [1, 2, 3, 4, 5, 6, 7, 8], equal(300)]) {
      const all = endpoints(weights.length);
      const unit = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
      const before = createRingHash(all, weights, unit, null);
      for (const lost of [0, 5]) {
        // It is blocked, so the unit stays.
        const after = createRingHash(all.toSpliced(lost, 1), weights.toSpliced(lost, 1), unit, null);
        expect(disruption(before, after, lost)).toBe(0);
      }
    }
  });

  test('when a heavy one leaves the list the mean weight changes, and with it up to 15 % of the others move', () => {
    const all = endpoints(8);
    const weights = [1, 2, 3, 4, 5, 6, 7, 8];
    const before = createRingHash(all, weights, 36 / 8, null);
    const after = createRingHash(all.toSpliced(7, 1), weights.toSpliced(7, 1), 28 / 7, null);
    expect(disruption(before, after, 7)).toBeLessThan(0.15);
  });

  test('a key belongs to the next place: one that rises takes keys and gives none', () => {
    const all = endpoints(4);
    const tenth = createRingHash(all, [1, 1, 1, 0.1], 1, null);
    const whole = createRingHash(all, [1, 1, 1, 1], 1, null);
    for (const key of KEYS.slice(0, 5_000)) {
      const is = whole.pick(key);
      if (is !== 3) expect(tenth.pick(key)).toBe(is);
    }
  });

  test('the same in every process', () => {
    const { pick } = createRingHash(endpoints(8), equal(8), 1, null);
    expect(KEYS.slice(0, 12).map((key) => pick(key))).toMatchInlineSnapshot(`
      [
        5,
        4,
        3,
        2,
        4,
        7,
        4,
        0,
        1,
        7,
        7,
        1,
      ]
    `);
  });

  test('a retry goes to where the key would be without the first', () => {
    const all = endpoints(8);
    const ring = createRingHash(all, equal(8), 1, null);
    for (const key of KEYS.slice(0, 2_000)) {
      const first = ring.pick(key);
      const marked = new Uint8Array(8);
      marked[first] = 1;
      const without = createdWithout(first).pick(key);
      expect(ring.another(key, marked)).toBe(without < first ? without : without + 1);
    }
    expect(ring.another(1, new Uint8Array(8).fill(1))).toBe(-1);

    function createdWithout(index: number) {
      rings[index] ??= createRingHash(all.toSpliced(index, 1), equal(7), 1, null);
      return rings[index];
    }
  });

  test('no more than 262,144 places', () => {
    const count = 5_000;
    const ring = createRingHash(endpoints(count), equal(count), 1, null);
    const found = new Set(KEYS.map((key) => ring.pick(key)));
    expect(found.size).toBeGreaterThan(count * 0.98);
  });

  test('none, one, and keys beyond the last place', () => {
    expect(createRingHash([], [], 1, null).pick(5)).toBe(-1);
    const one = createRingHash(endpoints(1), [1], 1, null);
    expect(one.pick(0)).toBe(0);
    expect(one.pick(4_294_967_295)).toBe(0);
  });
});

const rings: ReturnType<typeof createRingHash>[] = [];
