import { getHeapStatistics } from 'node:v8';
import { expect, test } from 'vitest';
import { shrinkHeap } from './heap.ts';

test('what nobody holds any more is gone, and what is held is not', () => {
  const held = Array.from({ length: 1000 }, (_, i) => ({ i }));
  let dropped: object[] | null = Array.from({ length: 400_000 }, (_, i) => ({ i }));
  const used = usedBytes();
  expect(dropped).toHaveLength(400_000);
  dropped = null;
  shrinkHeap(Number.POSITIVE_INFINITY);
  expect(usedBytes()).toBeLessThan(used - 8_000_000);
  expect(held[999]).toEqual({ i: 999 });
});

test('a large heap is left alone', () => {
  let dropped: object[] | null = Array.from({ length: 400_000 }, (_, i) => ({ i }));
  const used = usedBytes();
  expect(dropped).toHaveLength(400_000);
  dropped = null;
  shrinkHeap(0);
  expect(usedBytes()).toBeGreaterThan(used - 8_000_000);
});

function usedBytes(): number {
  return getHeapStatistics().used_heap_size;
}
