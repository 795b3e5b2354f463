import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RevisionSum, revisionOf } from './revision.ts';

const entry = fc.tuple(fc.string(), fc.string());

test('does not depend on the order, and follows adds and removes', () => {
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: ([id]) => id }), fc.nat(), (held, pick) => {
      const whole = revisionOf(held);
      expect(revisionOf([...held].reverse())).toBe(whole);
      const dropped = held[held.length === 0 ? 0 : pick % held.length];
      if (dropped === undefined) return;
      const sum = RevisionSum.empty();
      for (const [id, hash] of held) sum.add(id, hash);
      sum.remove(...dropped);
      expect(sum.value()).toBe(revisionOf(held.filter((one) => one !== dropped)));
      expect(sum.value()).not.toBe(whole);
      sum.add(...dropped);
      expect(sum.value()).toBe(whole);
    }),
  );
});

test('the border between id and hash counts', () => {
  expect(revisionOf([['ab', 'c']])).not.toBe(revisionOf([['a', 'bc']]));
});

test('a copy goes its own way; the empty set has a revision', () => {
  const sum = RevisionSum.empty();
  const before = sum.value();
  expect(before).toMatch(/^[0-9a-f]{16}$/);
  const copy = sum.copy();
  copy.add('rule/a/b/c', '00');
  expect(sum.value()).toBe(before);
  expect(copy.value()).not.toBe(before);
});
