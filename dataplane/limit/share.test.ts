/** Shares sum to the limit, whatever it is and however many share it; and nobody's is 0 for ever. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isShare, MAX_DATA_PLANES, packShare, portionOf, unpackShare } from './share.ts';
import { decide, limiterOptions, storeFixture } from './store.fixture.ts';
import type { Limiter } from './store.ts';

test('a word holds both numbers', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: MAX_DATA_PLANES }), fc.nat(MAX_DATA_PLANES), (of, nth) => {
      const share = { place: nth % of, of };
      expect(isShare(share)).toBe(true);
      expect(unpackShare(packShare(share))).toEqual(share);
    }),
  );
});

test('in each turn the whole units of all places sum to the limit; in `of` turns each place has had the limit', () => {
  const limits = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 1_000_000_000 }));
  fc.assert(
    fc.property(limits, fc.integer({ min: 1, max: 60 }), fc.nat(1_700_000_000_000), (limit, of, turn) => {
      for (let t = turn; t < turn + 2; t++) {
        let sum = 0;
        for (let place = 0; place < of; place++) sum += portionOf(limit, packShare({ place, of }), t);
        expect(sum).toBe(limit);
      }
      const word = packShare({ place: turn % of, of });
      let had = 0;
      for (let t = turn; t < turn + of; t++) had += portionOf(limit, word, t);
      expect(had).toBe(limit);
    }),
  );
});

/** Data planes that share one limit, each asked as often as it admits. */
function dataPlanes(of: number, options: Partial<Parameters<typeof limiterOptions>[0]>) {
  return Array.from({ length: of }, (_, place) => {
    const fixture = storeFixture();
    fixture.share({ place, of });
    return { fixture, limiter: fixture.store.open(limiterOptions({ global: true, ...options })) };
  });
}

function drain(limiter: Limiter): number {
  let admitted = 0;
  while (admitted < 100_000 && decide(limiter).admitted) admitted++;
  return admitted;
}

test('windows: together exactly the limit in each window of the clock', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 7 }), (limit, of) => {
      const planes = dataPlanes(of, { algorithm: 'fixedWindow', limit });
      const each = new Array<number>(of).fill(0);
      for (let window = 0; window < of; window++) {
        let sum = 0;
        for (const [i, { fixture, limiter }] of planes.entries()) {
          const admitted = drain(limiter);
          sum += admitted;
          each[i] = (each[i] as number) + admitted;
          fixture.now += 1_000;
        }
        expect(sum).toBe(limit);
      }
      expect(each).toEqual(new Array(of).fill(limit));
    }),
  );
});

test('sliding windows: together at most the limit in each window of the clock', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 7 }), (limit, of) => {
      const planes = dataPlanes(of, { algorithm: 'slidingWindow', limit });
      for (let window = 0; window < 6; window++) {
        let sum = 0;
        for (const { fixture, limiter } of planes) {
          const startMs = fixture.now;
          for (let step = 0; step < 10; step++) {
            sum += drain(limiter);
            fixture.now += 99;
          }
          fixture.now = startMs + 1_000;
        }
        expect(sum).toBeLessThanOrEqual(limit);
      }
    }),
  );
});

test('token buckets: together burst + one request each + limit × t, and not less than limit × t', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 60 }),
      (limit, of, burst) => {
        const planes = dataPlanes(of, { algorithm: 'tokenBucket', limit, burst });
        const seconds = 20;
        let sum = 0;
        for (const { fixture, limiter } of planes) {
          for (let step = 0; step <= seconds * 100; step++) {
            sum += drain(limiter);
            fixture.now += 10;
          }
        }
        expect(sum).toBeLessThanOrEqual(burst + of + limit * (seconds + 0.01) + 0.1);
        // Asked every 10 ms, a bucket of one request stands full for up to that long each time.
        expect(sum).toBeGreaterThanOrEqual(limit * seconds * (limit / of > 10 ? 0.8 : 0.9) - of);
      },
    ),
    { numRuns: 30 },
  );
});

test('requests in flight: together the limit, and everybody gets a turn', () => {
  for (const [limit, of] of [
    [2, 3],
    [1, 4],
    [7, 3],
    [9, 3],
  ] as const) {
    const planes = dataPlanes(of, { algorithm: 'concurrency', limit });
    const had = new Array<number>(of).fill(0);
    for (let turn = 0; turn < of; turn++) {
      let sum = 0;
      for (const [i, { fixture, limiter }] of planes.entries()) {
        const admitted = drain(limiter);
        sum += admitted;
        had[i] = (had[i] as number) + admitted;
        for (let n = 0; n < admitted; n++) limiter.giveBack('', 1);
        fixture.now += 10_000;
      }
      expect(sum).toBe(limit);
    }
    expect(had).toEqual(new Array(of).fill(limit));
  }
});

test('a share that changes keeps what was spent', () => {
  const [one] = dataPlanes(1, { algorithm: 'tokenBucket', limit: 12, windowMs: 60_000, burst: 12 });
  if (one === undefined) throw new Error('none');
  const { fixture, limiter } = one;
  expect(drain(limiter)).toBe(12);
  fixture.share({ place: 0, of: 3 });
  expect(drain(limiter)).toBe(0);
  // Half full again: half of a third.
  fixture.now += 30_000;
  expect(drain(limiter)).toBe(2);
  fixture.share({ place: 0, of: 1 });
  expect(decide(limiter)).toMatchObject({ admitted: false, remaining: 0 });
});

test('a share smaller than a request that the limit allows still takes it, and owes it', () => {
  const [one] = dataPlanes(3, { algorithm: 'tokenBucket', limit: 10, burst: 10 });
  if (one === undefined) throw new Error('none');
  expect(decide(one.limiter, '', 8)).toMatchObject({ admitted: true });
  expect(decide(one.limiter, '', 1)).toMatchObject({ admitted: false });
  one.fixture.now += 2_400;
  expect(decide(one.limiter, '', 8)).toMatchObject({ admitted: true });
  expect(decide(one.limiter, '', 11)).toMatchObject({ admitted: false });
});
