import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketOf, cumulativeCounts, HISTOGRAM_BUCKETS, quantileMs, upperBoundMs } from './histogram.ts';

const duration = fc.double({ min: 0, max: 900_000, noNaN: true });

test('every value lies in its bucket, and a bucket is at most 10 % wide', () => {
  for (let i = 1; i < HISTOGRAM_BUCKETS; i++) expect(upperBoundMs(i)).toBeGreaterThan(upperBoundMs(i - 1));
  fc.assert(
    fc.property(duration, (ms) => {
      const bucket = bucketOf(ms);
      const low = bucket === 0 ? 0 : upperBoundMs(bucket - 1);
      expect(ms).toBeLessThanOrEqual(upperBoundMs(bucket) + 1e-8);
      if (bucket > 0) expect(ms).toBeGreaterThan(low - 1e-8);
      expect(upperBoundMs(bucket) - low).toBeLessThanOrEqual(Math.max(0.001, low / 10) + 1e-9);
    }),
  );
});

test('bounds, and what is out of range', () => {
  expect(bucketOf(0)).toBe(0);
  expect(bucketOf(-1)).toBe(0);
  expect(bucketOf(Number.NaN)).toBe(0);
  expect(bucketOf(1e12)).toBe(HISTOGRAM_BUCKETS - 1);
  expect(bucketOf(Number.POSITIVE_INFINITY)).toBe(HISTOGRAM_BUCKETS - 1);
  expect(upperBoundMs(HISTOGRAM_BUCKETS - 1)).toBe(1_000_000);
  for (const bound of [0.5, 1, 2.5, 5, 10, 25, 1000, 2500, 60_000]) expect(upperBoundMs(bucketOf(bound))).toBe(bound);
});

test('a quantile is within 5 % of the real one', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.02, max: 900_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.5, 0.9, 0.99, 1),
      (values, q) => {
        const counts = new Float64Array(HISTOGRAM_BUCKETS);
        for (const ms of values) counts[bucketOf(ms)] = (counts[bucketOf(ms)] ?? 0) + 1;
        const sorted = [...values].sort((a, b) => a - b);
        const real = sorted[Math.max(1, Math.ceil(q * values.length)) - 1] as number;
        expect(Math.abs(quantileMs(counts, q) - real)).toBeLessThanOrEqual(real * 0.0501 + 1e-6);
      },
    ),
  );
  expect(quantileMs(new Float64Array(HISTOGRAM_BUCKETS), 0.99)).toBe(0);
});

test('counts at most a bound are exact', () => {
  const bounds = [0.5, 1, 2.5, 10, 100, 60_000];
  const value = fc.oneof(duration, fc.constantFrom(...bounds));
  fc.assert(
    fc.property(
      fc.array(
        value.map((ms) => Math.round(ms * 1000) / 1000),
        { maxLength: 100 },
      ),
      (values) => {
        const counts = new Float64Array(HISTOGRAM_BUCKETS);
        for (const ms of values) counts[bucketOf(ms)] = (counts[bucketOf(ms)] ?? 0) + 1;
        expect(cumulativeCounts(counts, bounds)).toEqual(bounds.map((b) => values.filter((ms) => ms <= b).length));
      },
    ),
  );
});
