import { expect, test } from 'vitest';
import { SuccessRate } from './success-rate.ts';

const OPTIONS = { threshold: 0.95, minRequests: 100, windowMs: 10_000 };

function after(good: number, bad: number, atMs = 0): SuccessRate {
  const rate = new SuccessRate(OPTIONS, atMs);
  for (let i = 0; i < good; i++) rate.record(true, atMs);
  for (let i = 0; i < bad; i++) rate.record(false, atMs);
  return rate;
}

test('nothing is rejected with few requests, nor at the threshold', () => {
  expect(after(0, 99).share(0)).toBe(0);
  expect(after(95, 5).share(0)).toBe(0);
  expect(after(200, 0).share(0)).toBe(0);
});

test('below, in proportion to what is missing, and never more than four of five', () => {
  expect(after(475, 525).share(0)).toBeCloseTo(0.5, 2);
  expect(after(0, 1000).share(0)).toBe(0.8);
});

test('what is older than the window is forgotten, slice by slice', () => {
  const rate = after(0, 200);
  for (let i = 0; i < 200; i++) rate.record(true, 5_000);
  expect(rate.share(9_999)).toBeCloseTo(0.47, 1);
  expect(rate.requests(10_000)).toBe(200);
  expect(rate.share(10_000)).toBe(0);
  expect(rate.requests(14_999)).toBe(200);
  expect(rate.requests(15_000)).toBe(0);
  expect(rate.requests(1e9)).toBe(0);
});

test('a backend that is back is believed at once: rejected requests do not count', () => {
  const rate = after(0, 1000);
  let passed = 0;
  // One in five passes, and succeeds.
  for (let atMs = 0; atMs < 11_000; atMs += 10) {
    rate.record(true, atMs);
    passed++;
  }
  expect(passed).toBe(1100);
  expect(rate.share(11_000)).toBe(0);
});
