import { describe, expect, test } from 'vitest';
import { endpoints, seeded, type TestEndpoint } from './balance.fixture.ts';
import type { Balancer, Tally } from './balancer.ts';
import { createLoadBound, type LoadBound } from './bounded-load.ts';
import { KEYS } from './hashing.fixture.ts';
import { createMaglev } from './maglev.ts';
import { createRingHash } from './ring-hash.ts';

type Create = (all: TestEndpoint[], weights: number[], bound: LoadBound) => Balancer;
const kinds: [string, Create][] = [
  ['Maglev', createMaglev],
  ['ring hash', (all, weights, bound) => createRingHash(all, weights, mean(weights), bound)],
];
const mean = (weights: readonly number[]): number => weights.reduce((sum, one) => sum + one, 0) / weights.length;

describe.each(kinds)('bounded load over %s', (_name, create) => {
  test('a hot key never gets an endpoint above its bound, whatever the others do', () => {
    for (const weights of [new Array<number>(8).fill(1), [1, 2, 3, 4, 5, 6, 7, 8]]) {
      const all = endpoints(8);
      const tally: Tally = { active: 0 };
      const random = seeded(1);
      const { pick } = create(all, weights, createLoadBound(all, weights, 125, tally));
      const total = weights.reduce((sum, one) => sum + one, 0);
      const held: number[] = [];
      for (let i = 0; i < 5_000; i++) {
        // Nine of ten requests have the same key, and 300 are in flight at most.
        const index = pick(random() < 0.9 ? (KEYS[0] as number) : (KEYS[i % KEYS.length] as number));
        const one = all[index] as TestEndpoint;
        expect(one.active).toBeLessThan(Math.ceil((1.25 * (tally.active + 1) * (weights[index] as number)) / total));
        one.active++;
        tally.active++;
        held.push(index);
        if (held.length > 300) {
          const [gone] = held.splice(Math.floor(random() * held.length), 1) as [number];
          (all[gone] as TestEndpoint).active--;
          tally.active--;
        }
      }
    }
  });

  test('below the bound every key has its own endpoint', () => {
    const all = endpoints(8);
    const weights = new Array<number>(8).fill(1);
    const tally: Tally = { active: 800 };
    for (const one of all) one.active = 100;
    const bounded = create(all, weights, createLoadBound(all, weights, 125, tally));
    const free = create(all, weights, { hasRoom: () => true, idlest: () => 0 });
    for (const key of KEYS.slice(0, 2_000)) expect(bounded.pick(key)).toBe(free.pick(key));
  });

  test('what a full one gives up goes along the ring, the same way each time', () => {
    const all = endpoints(8);
    const weights = new Array<number>(8).fill(1);
    const tally: Tally = { active: 17 };
    const { pick, another } = create(all, weights, createLoadBound(all, weights, 125, tally));
    const key = KEYS[7] as number;
    const own = pick(key);
    (all[own] as TestEndpoint).active = 10;
    const next = pick(key);
    expect(next).not.toBe(own);
    expect(pick(key)).toBe(next);
    const marked = new Uint8Array(8);
    marked[own] = 1;
    expect(another(key, marked)).toBe(next);
  });

  test('all but one full: that one is found, though it has few places', () => {
    const count = 400;
    const all = endpoints(count);
    const weights = new Array<number>(count).fill(100);
    weights[7] = 1;
    const tally: Tally = { active: 0 };
    for (const [i, one] of all.entries()) {
      one.active = i === 7 ? 0 : 10;
      tally.active += one.active;
    }
    const { pick } = create(all, weights, createLoadBound(all, weights, 101, { active: 3_000 }));
    expect(pick(KEYS[0] as number)).toBe(7);
  });
});
