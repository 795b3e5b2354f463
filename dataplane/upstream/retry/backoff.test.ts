import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, retryAfterMs } from './backoff.ts';

describe('back-off', () => {
  test('doubles, up to the most', () => {
    const almostOne = (): number => 0.999_999;
    const waits = [1, 2, 3, 4, 5, 10].map((retry) =>
      Math.round(backoffMs(retry, { baseMs: 25, maxMs: 250 }, almostOne)),
    );
    expect(waits).toEqual([25, 50, 100, 200, 250, 250]);
  });

  test('property: full jitter, from nothing to below the whole', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (retry, at) => {
          const waitMs = backoffMs(retry, { baseMs: 25, maxMs: 250 }, () => at);
          expect(waitMs).toBeCloseTo(at * Math.min(250, 25 * 2 ** (retry - 1)), 9);
        },
      ),
    );
  });
});

describe('Retry-After', () => {
  const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0);
  test.each([
    ['0', 0],
    ['1', 1000],
    ['120', 120_000],
    ['Thu, 01 Jan 2026 12:00:05 GMT', 5000],
    ['Thu, 01 Jan 2026 11:00:00 GMT', 0],
    ['', -1],
    ['-1', -1],
    ['1.5', -1],
    ['soon', -1],
    ['9999999999', -1],
    ['2026-01-01T12:00:05Z', -1],
    ['Thu, 99 Jan 2026 12:00:05 GMT', -1],
  ])('%j: %d ms', (value, ms) => expect(retryAfterMs(value, nowMs)).toBe(ms));

  test('none', () => expect(retryAfterMs(undefined, nowMs)).toBe(-1));
});
