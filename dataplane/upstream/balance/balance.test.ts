import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate } from './balancer.ts';
import { createLeastRequest } from './least-request.ts';
import { createRoundRobin } from './round-robin.ts';

interface Endpoint extends Candidate {
  active: number;
}
const endpoints = (...weights: number[]): Endpoint[] => weights.map((weight) => ({ weight, active: 0 }));

/** A repeatable source of numbers from 0 to below 1 (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function counts(pick: (key: number) => number, length: number, picks: number): number[] {
  const out = new Array<number>(length).fill(0);
  for (let i = 0; i < picks; i++) {
    const index = pick(0);
    out[index] = (out[index] as number) + 1;
  }
  return out;
}

describe('round-robin', () => {
  test('every window of the sum of weights holds each exactly by its weight, from any offset', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, fc.nat(1000), fc.nat(30), (list, offset, skip) => {
        const balancer = createRoundRobin(endpoints(...list), offset);
        for (let i = 0; i < skip; i++) balancer.pick(0);
        const sum = list.reduce((total, weight) => total + weight, 0);
        expect(counts(balancer.pick, list.length, sum * (list.every((weight) => weight === list[0]) ? 1 : 2))).toEqual(
          list.every((weight) => weight === list[0]) ? list.map(() => list[0]) : list.map((weight) => weight * 2),
        );
      }),
    );
  });

  test('heavy ones are spread, not sent in a burst', () => {
    const balancer = createRoundRobin(endpoints(5, 1, 1));
    expect(Array.from({ length: 7 }, () => balancer.pick(0))).toEqual([0, 0, 1, 0, 2, 0, 0]);
  });

  test('none and one', () => {
    expect(createRoundRobin([]).pick(0)).toBe(-1);
    expect(createRoundRobin(endpoints(7)).pick(0)).toBe(0);
  });
});

describe('least request', () => {
  test('none and one', () => {
    expect(createLeastRequest([], Math.random).pick(0)).toBe(-1);
    expect(createLeastRequest(endpoints(3), Math.random).pick(0)).toBe(0);
  });

  test('idle endpoints share by their weights', () => {
    for (const weights of [
      [1, 1, 1],
      [1, 2, 5],
      [1, 9],
    ]) {
      const picks = 60_000;
      const sum = weights.reduce((total, weight) => total + weight, 0);
      const { pick } = createLeastRequest(endpoints(...weights), seeded(7));
      counts(pick, weights.length, picks).forEach((count, i) => {
        const expected = (picks * (weights[i] as number)) / sum;
        expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
      });
    }
  });

  test('of two the one with fewer requests per weight is taken', () => {
    const pair = endpoints(1, 3);
    const { pick } = createLeastRequest(pair, seeded(1));
    (pair[0] as Endpoint).active = 2;
    (pair[1] as Endpoint).active = 5;
    expect(new Set(Array.from({ length: 50 }, () => pick(0)))).toEqual(new Set([1]));
    (pair[1] as Endpoint).active = 7;
    expect(new Set(Array.from({ length: 50 }, () => pick(0)))).toEqual(new Set([0]));
  });

  test('a slow endpoint gets little, and requests in flight stay level among the others', () => {
    // Each step sends one request; the fast ones finish theirs after 8 steps, the slow one after 200.
    const ten = endpoints(...new Array<number>(10).fill(1));
    const { pick } = createLeastRequest(ten, seeded(3));
    const ends: [number, number][] = [];
    const sent = new Array<number>(10).fill(0);
    let highest = 0;
    for (let step = 0; step < 20_000; step++) {
      while (ends.length > 0 && (ends[0] as [number, number])[0] <= step) {
        (ten[(ends.shift() as [number, number])[1]] as Endpoint).active--;
      }
      const index = pick(0);
      (ten[index] as Endpoint).active++;
      sent[index] = (sent[index] as number) + 1;
      ends.push([step + (index === 0 ? 200 : 8), index]);
      ends.sort((a, b) => a[0] - b[0]);
      for (const { active } of ten.slice(1)) highest = Math.max(highest, active);
    }
    expect(sent[0]).toBeLessThan(20_000 / 10 / 5);
    expect(highest).toBeLessThan(8);
  });
});
