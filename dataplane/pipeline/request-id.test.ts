import { expect, test } from 'vitest';
import { createRequestIds } from './request-id.ts';

test('ids are UUIDs of version 7 that begin with the time and do not repeat', () => {
  let nowMs = 0x0192f3c10000;
  const next = createRequestIds(() => nowMs);
  const ids = Array.from({ length: 2_000 }, (_, i) => {
    if (i === 1_000) nowMs++;
    return next();
  });
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(ids[0]?.slice(0, 13)).toBe('0192f3c1-0000');
  expect(ids[1_999]?.slice(0, 13)).toBe('0192f3c1-0001');
  expect(new Set(ids).size).toBe(2_000);
});

test('random bytes fill all that is neither time, version nor variant', () => {
  expect(
    createRequestIds(
      () => 0,
      (bytes) => void bytes.fill(0xff),
    )(),
  ).toBe('00000000-0000-7fff-bfff-ffffffffffff');
  expect(
    createRequestIds(
      () => 0,
      (bytes) => void bytes.fill(0),
    )(),
  ).toBe('00000000-0000-7000-8000-000000000000');
});
