/** Each algorithm against what its docstring promises, with injected time. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FixedWindow } from './fixed-window.ts';
import { decide, limiterOptions, storeFixture } from './store.fixture.ts';
import type { Algorithm } from './store.ts';

interface Taken {
  readonly atMs: number;
  readonly cost: number;
}

/** Steps of time and how many units are asked for after each. */
const traffic = fc.array(
  fc.record({
    waitMs: fc.oneof(fc.double({ min: 0, max: 5, noNaN: true }), fc.integer({ min: 0, max: 3_000 })),
    asks: fc.integer({ min: 1, max: 8 }),
    cost: fc.integer({ min: 1, max: 3 }),
  }),
  { minLength: 1, maxLength: 60 },
);
const quota = fc.record({
  limit: fc.integer({ min: 3, max: 20 }),
  windowMs: fc.integer({ min: 10, max: 5_000 }),
  burst: fc.integer({ min: 3, max: 40 }),
  epochMs: fc.integer({ min: 0, max: 2_000_000_000_000 }),
});

function run(
  algorithm: Algorithm,
  { limit, windowMs, burst, epochMs }: { limit: number; windowMs: number; burst: number; epochMs: number },
  steps: readonly { waitMs: number; asks: number; cost: number }[],
): Taken[] {
  const fixture = storeFixture({ epochMs });
  // Two workers of one data plane in turn.
  const options = limiterOptions({ algorithm, limit, windowMs, burst: algorithm === 'tokenBucket' ? burst : limit });
  const limiters = [0, 1].map((worker) => fixture.worker(worker).open(options));
  const taken: Taken[] = [];
  let turn = 0;
  for (const { waitMs, asks, cost } of steps) {
    fixture.now += waitMs;
    for (let i = 0; i < asks; i++) {
      const limiter = limiters[turn++ % 2] as (typeof limiters)[number];
      if (decide(limiter, 'key', cost).admitted) taken.push({ atMs: fixture.now, cost });
    }
  }
  return taken;
}

/** The most units within any two of the times, against `allowed` for that span. */
function holds(taken: readonly Taken[], allowed: (spanMs: number) => number): void {
  for (let i = 0; i < taken.length; i++) {
    let sum = 0;
    for (let j = i; j < taken.length; j++) {
      sum += (taken[j] as Taken).cost;
      expect(sum).toBeLessThanOrEqual(allowed((taken[j] as Taken).atMs - (taken[i] as Taken).atMs) + 0.01);
    }
  }
}

describe('never above the bound', () => {
  test('token bucket: burst + limit × t / window', () => {
    fc.assert(
      fc.property(quota, traffic, (q, steps) => {
        holds(run('tokenBucket', q, steps), (spanMs) => q.burst + (q.limit * spanMs) / q.windowMs);
      }),
    );
  });

  test('fixed window: limit in each window of the clock', () => {
    fc.assert(
      fc.property(quota, traffic, (q, steps) => {
        const windows = new Map<number, number>();
        for (const { atMs, cost } of run('fixedWindow', q, steps)) {
          const index = Math.floor((atMs + q.epochMs) / q.windowMs);
          windows.set(index, (windows.get(index) ?? 0) + cost);
        }
        for (const sum of windows.values()) expect(sum).toBeLessThanOrEqual(q.limit);
      }),
    );
  });

  test('sliding window: limit × (1 + t / window), and limit in each window of the clock', () => {
    fc.assert(
      fc.property(quota, traffic, (q, steps) => {
        const taken = run('slidingWindow', q, steps);
        holds(taken, (spanMs) => (spanMs <= q.windowMs ? q.limit * (1 + spanMs / q.windowMs) : Infinity));
        const windows = new Map<number, number>();
        for (const { atMs, cost } of taken) {
          const index = Math.floor((atMs + q.epochMs) / q.windowMs);
          windows.set(index, (windows.get(index) ?? 0) + cost);
        }
        for (const sum of windows.values()) expect(sum).toBeLessThanOrEqual(q.limit);
      }),
    );
  });

  test('concurrency: limit at any time, over two workers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 200 }),
        (limit, moves) => {
          const fixture = storeFixture();
          const limiters = [0, 1].map((worker) =>
            fixture.worker(worker).open(limiterOptions({ algorithm: 'concurrency', limit })),
          );
          const open = [0, 0];
          for (const move of moves) {
            const worker = move & 1;
            const limiter = limiters[worker] as (typeof limiters)[number];
            if (move >= 2) {
              const before = (open[0] as number) + (open[1] as number);
              const { admitted, remaining } = decide(limiter, 'key');
              expect(admitted).toBe(before < limit);
              if (admitted) (open[worker] as number)++;
              expect(remaining).toBe(limit - (open[0] as number) - (open[1] as number));
            } else if ((open[worker] as number) > 0) {
              limiter.giveBack('key', 1);
              (open[worker] as number)--;
            }
          }
        },
      ),
    );
  });
});

describe('never below', () => {
  test.each(['tokenBucket', 'fixedWindow', 'slidingWindow', 'concurrency'] as const)(
    '%s: after rest, the whole limit at once, and not one more',
    (algorithm) => {
      fc.assert(
        fc.property(
          quota,
          fc.integer({ min: 0, max: 30 }),
          fc.double({ min: 1, max: 1e9, noNaN: true }),
          (q, before, restMs) => {
            const fixture = storeFixture({ epochMs: q.epochMs });
            const limiter = fixture.store.open(
              limiterOptions({ algorithm, limit: q.limit, windowMs: algorithm === 'concurrency' ? 0 : q.windowMs }),
            );
            let open = 0;
            for (let i = 0; i < before; i++) if (decide(limiter).admitted) open++;
            if (algorithm === 'concurrency') for (; open > 0; open--) limiter.giveBack('', 1);
            fixture.now += 2 * q.windowMs + restMs;
            for (let left = q.limit - 1; left >= 0; left--) {
              expect(decide(limiter)).toMatchObject({ admitted: true, remaining: left, retryMs: 0, failed: false });
            }
            const refused = decide(limiter);
            expect(refused).toMatchObject({ admitted: false, remaining: 0 });
            expect(refused.retryMs).toBeGreaterThan(0);
          },
        ),
      );
    },
  );

  test.each(['tokenBucket', 'fixedWindow', 'slidingWindow'] as const)(
    '%s: who waits as told is admitted, who comes sooner is not',
    (algorithm) => {
      fc.assert(
        fc.property(quota, traffic, (q, steps) => {
          const fixture = storeFixture({ epochMs: q.epochMs % 1000 });
          const { limit, windowMs } = q;
          const earlyMs = (0.01 * windowMs) / limit;
          const limiter = fixture.store.open(limiterOptions({ algorithm, limit, windowMs }));
          for (const { waitMs, asks, cost } of steps) {
            fixture.now += waitMs;
            for (let i = 0; i < asks; i++) {
              const { admitted, retryMs } = decide(limiter, '', cost);
              if (admitted) continue;
              if (retryMs > earlyMs) {
                fixture.now += retryMs - earlyMs;
                const sooner = decide(limiter, '', cost);
                if (algorithm !== 'slidingWindow') expect(sooner.admitted).toBe(false);
                if (sooner.admitted) continue;
                fixture.now += sooner.retryMs + 0.01;
              } else fixture.now += retryMs + 0.01;
              expect(decide(limiter, '', cost).admitted).toBe(true);
            }
          }
        }),
      );
    },
  );
});

test.each(['tokenBucket', 'fixedWindow', 'slidingWindow'] as const)(
  '%s: what is given back can be taken again',
  (algorithm) => {
    const { store } = storeFixture();
    const limiter = store.open(limiterOptions({ algorithm, limit: 5 }));
    for (let i = 0; i < 5; i++) expect(decide(limiter).admitted).toBe(true);
    limiter.giveBack('', 2);
    expect(decide(limiter, '', 2).admitted).toBe(true);
    expect(decide(limiter).admitted).toBe(false);
  },
);

test.each(['tokenBucket', 'fixedWindow', 'slidingWindow'] as const)(
  '%s: a charge may lead below zero, and is worked off',
  (algorithm) => {
    const fixture = storeFixture();
    const limiter = fixture.store.open(limiterOptions({ algorithm, limit: 10 }));
    expect(decide(limiter, '', 0)).toMatchObject({ admitted: true, remaining: 10 });
    limiter.charge('', 15);
    expect(decide(limiter, '', 0)).toMatchObject({ admitted: false, remaining: 0 });
    fixture.now += 2_100;
    expect(decide(limiter, '', 0)).toMatchObject({ admitted: true, remaining: 10 });
  },
);

test('windows begin at whole multiples since the epoch', () => {
  const fixture = storeFixture({ epochMs: 1_700_000_000_400 });
  const limiter = fixture.store.open(limiterOptions({ algorithm: 'fixedWindow', limit: 1 }));
  expect(limiter).toBeInstanceOf(FixedWindow);
  fixture.now = 1_000;
  expect(decide(limiter)).toMatchObject({ admitted: true, resetMs: 600 });
  fixture.now = 1_599.9;
  expect(decide(limiter).admitted).toBe(false);
  fixture.now = 1_600;
  expect(decide(limiter)).toMatchObject({ admitted: true, resetMs: 1_000 });
});

test('keys, scopes and algorithms do not meet', () => {
  const { store } = storeFixture();
  const limiters = ['a', 'b'].flatMap((scope) =>
    (['tokenBucket', 'fixedWindow'] as const).map((algorithm) =>
      store.open(limiterOptions({ scope: `${scope} ${algorithm}`, algorithm, limit: 1 })),
    ),
  );
  for (const limiter of limiters) {
    expect(decide(limiter, 'x').admitted).toBe(true);
    expect(decide(limiter, 'y').admitted).toBe(true);
    expect(decide(limiter, 'x').admitted).toBe(false);
  }
});
