import { expect, test } from 'vitest';
import { counts, deviations, endpoints, seeded, type TestEndpoint } from './balance.fixture.ts';
import { createLeastRequest } from './least-request.ts';

test('none and one', () => {
  expect(createLeastRequest([], [], Math.random).pick(0)).toBe(-1);
  expect(createLeastRequest(endpoints(1), [3], Math.random).pick(0)).toBe(0);
});

test('idle endpoints share by their weights', () => {
  for (const weights of [
    [1, 1, 1],
    [1, 2, 5],
    [1, 9],
  ]) {
    const balancer = createLeastRequest(endpoints(weights.length), weights, seeded(7));
    expect(deviations(counts(balancer, weights.length, 60_000), weights)).toBeLessThan(5);
  }
});

test('of two the one with fewer requests per weight is taken', () => {
  const pair = endpoints(2);
  const { pick } = createLeastRequest(pair, [1, 3], seeded(1));
  (pair[0] as TestEndpoint).active = 2;
  (pair[1] as TestEndpoint).active = 5;
  expect(new Set(Array.from({ length: 50 }, () => pick(0)))).toEqual(new Set([1]));
  (pair[1] as TestEndpoint).active = 7;
  expect(new Set(Array.from({ length: 50 }, () => pick(0)))).toEqual(new Set([0]));
});

test('a slow endpoint gets little, and requests in flight stay level among the others', () => {
  // Each step sends one request; the fast ones finish theirs after 8 steps, the slow one after 200.
  const ten = endpoints(10);
  const { pick } = createLeastRequest(ten, new Array<number>(10).fill(1), seeded(3));
  const ends: [number, number][] = [];
  const sent = new Array<number>(10).fill(0);
  let highest = 0;
  for (let step = 0; step < 20_000; step++) {
    while (ends.length > 0 && (ends[0] as [number, number])[0] <= step) {
      (ten[(ends.shift() as [number, number])[1]] as TestEndpoint).active--;
    }
    const index = pick(0);
    (ten[index] as TestEndpoint).active++;
    sent[index] = (sent[index] as number) + 1;
    ends.push([step + (index === 0 ? 200 : 8), index]);
    ends.sort((a, b) => a[0] - b[0]);
    for (const { active } of ten.slice(1)) highest = Math.max(highest, active);
  }
  expect(sent[0]).toBeLessThan(20_000 / 10 / 5);
  expect(highest).toBeLessThan(8);
});

test('another than those marked', () => {
  const { another } = createLeastRequest(endpoints(3), [1, 1, 1], seeded(1));
  expect(another(0, Uint8Array.of(1, 0, 1))).toBe(1);
  expect(another(0, Uint8Array.of(1, 1, 1))).toBe(-1);
  expect(createLeastRequest(endpoints(1), [1], Math.random).another(0, Uint8Array.of(1))).toBe(-1);
});
