/** The proof in table.ts, held by tables so small that everything is evicted all the time. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SET_NUMBERS, SLOT_NUMBERS } from './layout.ts';
import { decide, limiterOptions, storeFixture } from './store.fixture.ts';
import type { Limiter } from './store.ts';

const ALGORITHMS = ['tokenBucket', 'fixedWindow', 'slidingWindow'] as const;
/** Windows of several classes, so that keys of some owe far longer than those of others. */
const WINDOWS = [50, 1_000, 3_000, 60_000, 900_000];

const moves = fc.array(
  fc.record({
    waitMs: fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 0, max: 70_000 }),
    ),
    limiter: fc.nat(ALGORITHMS.length * WINDOWS.length - 1),
    key: fc.nat(40),
  }),
  { minLength: 50, maxLength: 600 },
);

test('whatever is evicted, nobody is admitted whom a table without evictions would have refused', () => {
  fc.assert(
    fc.property(moves, fc.integer({ min: 1, max: 6 }), (steps, limit) => {
      const tiny = storeFixture({ sets: 1 });
      const large = storeFixture({ sets: 4096 });
      const options = ALGORITHMS.flatMap((algorithm) =>
        WINDOWS.map((windowMs) =>
          limiterOptions({ scope: `${algorithm} ${windowMs}`, algorithm, limit, windowMs, burst: limit }),
        ),
      );
      const limiters = options.map((one) => ({ tiny: tiny.store.open(one), large: large.store.open(one) }));
      for (const { waitMs, limiter, key } of steps) {
        tiny.now += waitMs;
        large.now = tiny.now;
        const both = limiters[limiter] as (typeof limiters)[number];
        // The large table does only what the tiny one admitted, so both have the same history.
        const admitted = decide(both.tiny, `k${key}`).admitted;
        if (admitted) expect(decide(both.large, `k${key}`).admitted).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

describe('an attacker with a set to himself', () => {
  /** As many other keys of the same set and of a window as it takes to be evicted many times over. */
  function flood(limiter: Limiter, from: number, count: number): void {
    for (let i = 0; i < count; i++) decide(limiter, `flood ${from + i}`);
  }

  test.each(ALGORITHMS)('%s: a spent key stays spent under a flood of the same limit', (algorithm) => {
    const fixture = storeFixture({ sets: 1 });
    const limiter = fixture.store.open(limiterOptions({ algorithm, limit: 3, windowMs: 60_000 }));
    for (let i = 0; i < 3; i++) expect(decide(limiter, 'mine').admitted).toBe(true);
    for (let i = 0; i < 50; i++) {
      flood(limiter, i * 100, 100);
      fixture.now += 10;
      expect(decide(limiter, 'mine').admitted).toBe(false);
    }
  });

  test.each(ALGORITHMS)('%s: nor by keys of a short limit, which are fresh again sooner', (algorithm) => {
    const fixture = storeFixture({ sets: 1 });
    const long = fixture.store.open(limiterOptions({ algorithm, limit: 3, windowMs: 600_000 }));
    const short = fixture.store.open(limiterOptions({ scope: 'short', algorithm, limit: 1, windowMs: 100 }));
    for (let i = 0; i < 3; i++) expect(decide(long, 'mine').admitted).toBe(true);
    // Fifteen others owe more, so that `mine` is the victim of the short key.
    for (let i = 0; i < 15; i++) {
      fixture.now += 1;
      for (let j = 0; j < 3; j++) decide(long, `other ${i}`);
    }
    for (let i = 0; i < 20; i++) {
      flood(short, i * 10, 3);
      fixture.now += 250;
      expect(decide(long, 'mine').admitted).toBe(false);
    }
  });

  test('when the flood is over, new keys are fresh again within a window', () => {
    const fixture = storeFixture({ sets: 1 });
    const limiter = fixture.store.open(limiterOptions({ limit: 2, windowMs: 1_000 }));
    flood(limiter, 0, 1_000);
    expect(decide(limiter, 'late').admitted).toBe(false);
    fixture.now += 1_001;
    expect(decide(limiter, 'new')).toMatchObject({ admitted: true, remaining: 1 });
  });

  test('a flood of a daily limit does not burden new keys of a limit by the second', () => {
    const fixture = storeFixture({ sets: 1 });
    const daily = fixture.store.open(limiterOptions({ limit: 2, windowMs: 86_400_000 }));
    const second = fixture.store.open(limiterOptions({ scope: 'second', limit: 2, windowMs: 1_000 }));
    flood(daily, 0, 1_000);
    expect(decide(second, 'new').admitted).toBe(true);
  });
});

test('requests in flight are never evicted; where a set holds nothing else, a further key is refused', () => {
  const fixture = storeFixture({ sets: 1 });
  const inFlight = fixture.store.open(limiterOptions({ scope: 'c', algorithm: 'concurrency', limit: 1 }));
  const rate = fixture.store.open(limiterOptions({ limit: 5 }));
  for (let i = 0; i < 16; i++) expect(decide(inFlight, `k${i}`).admitted).toBe(true);
  expect(decide(inFlight, 'k16')).toMatchObject({ admitted: false });
  // A rate has no place to keep its state: the watermark is all there is, and nobody was evicted.
  expect(decide(rate, 'r').admitted).toBe(false);
  for (let i = 0; i < 16; i++) expect(decide(inFlight, `k${i}`).admitted).toBe(false);
  for (let i = 0; i < 16; i++) inFlight.giveBack(`k${i}`, 1);
  expect(decide(rate, 'r').admitted).toBe(true);
  expect(decide(inFlight, 'k16').admitted).toBe(true);
});

test('a million keys: the table keeps its size, and whoever is over a limit stays so', () => {
  const fixture = storeFixture({ sets: 1024 });
  const limiter = fixture.store.open(limiterOptions({ limit: 1, windowMs: 3_600_000 }));
  const watched = Array.from({ length: 500 }, (_, i) => `watched ${i}`);
  for (const key of watched) expect(decide(limiter, key).admitted).toBe(true);
  const before = process.memoryUsage();
  let admitted = 0;
  for (let i = 0; i < 1_000_000; i++) {
    if (decide(limiter, `key ${i}`).admitted) admitted++;
  }
  expect(watched.filter((key) => decide(limiter, key).admitted)).toEqual([]);
  expect(admitted).toBeLessThan(1_000_000);
  expect(fixture.evictions.value).toBe(admitted + watched.length - 1024 * 16);
  expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(1e6);
  const numbers = new Float64Array(fixture.memory.table);
  expect(numbers.length).toBe(1024 * SET_NUMBERS);
  expect(numbers[SLOT_NUMBERS]).toBeGreaterThan(0);
});
