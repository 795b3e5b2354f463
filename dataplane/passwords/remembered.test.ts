import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Remembered } from './remembered.ts';

test('holds the last half of its bound whatever is asked, and never more than the bound', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 200 }), fc.integer({ min: 2, max: 16 }), (keys, max) => {
      const remembered = new Remembered<number>(max);
      for (const [i, key] of keys.entries()) {
        remembered.set(String(key), i);
        expect(remembered.size).toBeLessThanOrEqual(max);
      }
      const lately = [...new Set([...keys].reverse())].slice(0, max >> 1);
      for (const key of lately) expect(remembered.get(String(key))).toBe(keys.lastIndexOf(key));
    }),
  );
});

test('what is asked for stays', () => {
  const remembered = new Remembered<number>(4);
  remembered.set('kept', 1);
  for (let i = 0; i < 100; i++) {
    remembered.set(`other${i}`, i);
    expect(remembered.get('kept')).toBe(1);
  }
  remembered.delete('kept');
  expect(remembered.get('kept')).toBeUndefined();
});
