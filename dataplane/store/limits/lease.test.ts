import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LimiterOptions } from '../../limit/store.ts';
import { batchAfter, mostABatch, newLease, PART } from './lease.ts';

const options = (more: Partial<LimiterOptions>): LimiterOptions => ({
  scope: 'policy/a/b x',
  algorithm: 'tokenBucket',
  limit: 100,
  windowMs: 1_000,
  burst: 1_000,
  global: true,
  mode: 'leased',
  ...more,
});

test('all workers together hold at most a part of the limit, or a unit each', () => {
  expect(mostABatch(options({}), 1)).toBe(200);
  expect(mostABatch(options({ algorithm: 'fixedWindow' }), 1)).toBe(20);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 10_000 }), (limit, workers) => {
      const most = mostABatch(options({ algorithm: 'slidingWindow', limit }), workers);
      expect(most).toBeGreaterThanOrEqual(1);
      expect(most * workers).toBeLessThanOrEqual(Math.max(workers, PART * limit));
    }),
  );
});

test('a batch doubles while it is used up fast, halves when it lasts, and is what was given where there was no more', () => {
  const lease = { ...newLease('caller', 'key'), batch: 8 };
  const after = (lastedMs: number, given = 8) => batchAfter({ ...lease, fetchedAtMs: 0 }, given, 8, lastedMs, 20);
  expect([after(10), after(99), after(100), after(200), after(201)]).toEqual([16, 16, 8, 8, 4]);
  expect([after(10, 3), after(10, 1)]).toEqual([3, 1]);
  expect(batchAfter({ ...lease, batch: 16, fetchedAtMs: 0 }, 16, 16, 10, 20)).toBe(20);
  // The fleet has grown: what one may hold has shrunk.
  expect(batchAfter({ ...lease, batch: 16, fetchedAtMs: 0 }, 16, 16, 150, 5)).toBe(5);
  expect(batchAfter({ ...lease, batch: 16, fetchedAtMs: 0 }, 16, 16, 500, 5)).toBe(5);
  // The first one of a caller.
  expect(batchAfter(newLease('caller', 'key'), 1, 1, 10, 20)).toBe(1);
});

test('whatever comes, a batch is from one unit to the most', () => {
  const step = fc.record({ given: fc.integer({ min: 1, max: 5_000 }), lastedMs: fc.integer({ min: 0, max: 1_000 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), fc.integer({ min: 1, max: 1_000 }), (steps, most) => {
      const lease = newLease('caller', 'key');
      let nowMs = 0;
      for (const { given, lastedMs } of steps) {
        nowMs += lastedMs;
        const want = Math.max(lease.batch, given);
        lease.batch = batchAfter(lease, Math.min(given, want), want, nowMs, most);
        lease.fetchedAtMs = nowMs;
        expect(lease.batch).toBeGreaterThanOrEqual(1);
        expect(lease.batch).toBeLessThanOrEqual(most);
      }
    }),
  );
});
