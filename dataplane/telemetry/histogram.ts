/**
 * A log-linear histogram of durations with two significant decimal digits (as circllhist: Hartmann and Schlossnagle, "Circllhist", 2020),
 * from 1 µs to 1000 s. A bucket holds the values in (a, b] where a and b are neighbours among 0, 1, …, 99, 100, 110, …, 990, 1000, 1100, …
 * microseconds. So a bucket is at most 10 % wide, a quantile is off by at most 5 % (1 µs below 20 µs), and a count "at
 * most b" is exact for every b with two significant digits, which Prometheus' usual bounds are.
 *
 * Pure: the counts live in an array of the caller's, one writer.
 */

/** Highest decade: (b up to) 1000 s. Larger values count in the last bucket. */
const DECADES = 7;
/** Buckets, and the length of the array of counts. */
export const HISTOGRAM_BUCKETS = 100 + 90 * DECADES;

/** The bucket of a duration in ms. NaN and negative values count in the first. */
export function bucketOf(ms: number): number {
  // (a, b]: the integer below the upper bound.
  let us = Math.ceil(ms * 1000 - 1e-6) - 1;
  if (!(us > 0)) return 0;
  if (us < 100) return us;
  let base = 90;
  while (us >= 1000) {
    us /= 10;
    base += 90;
    if (base > 90 * DECADES) return HISTOGRAM_BUCKETS - 1;
  }
  return base + ((us / 10) | 0);
}

/** The upper bound of a bucket in ms, itself included. */
export function upperBoundMs(bucket: number): number {
  if (bucket < 100) return (bucket + 1) / 1000;
  const decade = ((bucket - 10) / 90) | 0;
  return ((bucket - 90 * decade + 1) * 10 ** decade) / 1000;
}

function lowerBoundMs(bucket: number): number {
  return bucket === 0 ? 0 : upperBoundMs(bucket - 1);
}

/** The value below which a share `q` (0 to 1) of the counted values lie, in ms: the middle of its bucket; 0 where nothing was counted. */
export function quantileMs(counts: ArrayLike<number>, q: number): number {
  let total = 0;
  for (let i = 0; i < HISTOGRAM_BUCKETS; i++) total += counts[i] as number;
  if (total === 0) return 0;
  let left = Math.max(1, Math.ceil(q * total));
  for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
    left -= counts[i] as number;
    if (left <= 0) return (lowerBoundMs(i) + upperBoundMs(i)) / 2;
  }
  return upperBoundMs(HISTOGRAM_BUCKETS - 1);
}

/** For each bound (ms, rising, two significant digits) how many values were at most it: exact. */
export function cumulativeCounts(counts: ArrayLike<number>, boundsMs: readonly number[]): number[] {
  const out: number[] = [];
  let bucket = 0;
  let sum = 0;
  for (const bound of boundsMs) {
    // The tolerance is far below a bucket's width: it only takes up the rounding of the division.
    while (bucket < HISTOGRAM_BUCKETS && upperBoundMs(bucket) <= bound * (1 + 1e-9)) sum += counts[bucket++] as number;
    out.push(sum);
  }
  return out;
}
