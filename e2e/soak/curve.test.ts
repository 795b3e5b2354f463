import { expect, test } from 'vitest';
import { type Sample, verdictOn } from './curve.ts';

/** A sample each 5 s for ten minutes: warm-up to `mib`, up and down by 6 MiB as collections do, and `perMinute` on top. */
function curve(mib: number, perMinute: number): Sample[] {
  return Array.from({ length: 121 }, (_, i) => {
    const minute = i / 12;
    const warm = mib * (1 - 0.4 * Math.exp(-minute * 3));
    return { minute, mib: warm + 6 * Math.sin(i * 2.1) + perMinute * minute };
  });
}

test('a curve that goes up and down is flat', () => {
  expect(verdictOn(curve(160, 0), 10)).toMatchObject({ flat: true });
  expect(verdictOn(curve(160, -1), 10)).toMatchObject({ flat: true });
});

test('a step of some MiB at a collection is no growth, a rise is', () => {
  expect(verdictOn(curve(160, 0.5), 10).flat).toBe(true);
  const verdict = verdictOn(curve(160, 2), 10);
  expect(verdict.flat).toBe(false);
  expect(verdict.fittedMib).toBeCloseTo(16, 0);
  expect(verdict.boundMib).toBeCloseTo(8, 0);
});

test('one sample that stands out decides nothing', () => {
  const samples = curve(160, 0);
  samples[120] = { minute: 10, mib: 260 };
  expect(verdictOn(samples, 10).flat).toBe(true);
});

test('the warm-up of a short run is half of it', () => {
  expect(verdictOn(curve(160, 0).slice(0, 37), 3).flat).toBe(true);
  expect(() => verdictOn(curve(160, 0).slice(0, 13), 1)).toThrow('too few');
});
