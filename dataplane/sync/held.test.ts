import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ResourceBytes } from '../snapshot/decode.ts';
import { ruleFixture } from '../snapshot/fixtures.ts';
import { revisionOf } from '../snapshot/revision.ts';
import { type CompleteDelta, HeldSnapshot, type Plan } from './held.ts';
import { TestSnapshot } from './test-controller.ts';

const ONE = new TestSnapshot([ruleFixture('s/a/r'), ruleFixture('s/b/r')]);
const TWO = new TestSnapshot([ruleFixture('s/a/r', { hosts: ['two'] }), ruleFixture('s/b/r')]);
const THREE = new TestSnapshot([ruleFixture('s/a/r', { hosts: ['three'] }), ruleFixture('s/c/r')]);

function planned(held: HeldSnapshot, delta: CompleteDelta): Plan & { ok: true } {
  const plan = held.plan(delta);
  if (!plan.ok) throw new Error(plan.message);
  return plan;
}
function rejection({ id, hash }: ResourceBytes) {
  return { id, hash, message: 'no' };
}
function hostOf(resource: ResourceBytes | undefined): unknown {
  return JSON.parse(Buffer.from(resource?.body ?? []).toString()).hosts[0];
}

test('any walk through snapshots, by steps or in full, ends with what was sent last', () => {
  const names = fc.constantFrom('a', 'b', 'c', 'd');
  const snapshot = fc
    .dictionary(names, fc.constantFrom('x', 'y', 'z'))
    .map((hosts) => new TestSnapshot(Object.entries(hosts).map(([n, h]) => ruleFixture(`s/${n}/r`, { hosts: [h] }))));
  fc.assert(
    fc.property(fc.array(fc.tuple(snapshot, fc.boolean()), { minLength: 1, maxLength: 8 }), (steps) => {
      const held = new HeldSnapshot();
      let last: TestSnapshot | null = null;
      for (const [next, full] of steps) {
        const plan = planned(held, last === null || full ? next.full() : next.since(last));
        held.commit(plan, []);
        last = next;
        expect(held.revision).toBe(next.revision);
        expect(revisionOf(held.hashes().map(({ id, hash }) => [id, hash]))).toBe(next.revision);
      }
    }),
  );
});

test('a full snapshot names only what changes, and removes what it does not hold', () => {
  const held = new HeldSnapshot();
  held.commit(planned(held, ONE.full()), []);
  const { change } = planned(held, THREE.full());
  expect(change.upsert.map(({ id }) => id)).toEqual(['rule/s/a/r', 'rule/s/c/r']);
  expect(change.removed).toEqual(['rule/s/b/r']);
});

test('nothing changes before the commit', () => {
  const held = new HeldSnapshot();
  held.commit(planned(held, ONE.full()), []);
  planned(held, TWO.since(ONE));
  expect(held.revision).toBe(ONE.revision);
  expect(hostOf(held.get('rule/s/a/r'))).toBe('*');
});

test.each([
  ['another base', { ...TWO.since(ONE), baseRevision: 'else' }],
  ['another end', { ...TWO.since(ONE), revision: 'else' }],
  ['a removal of what is not held', { ...TWO.since(ONE), removed: ['rule/s/zzz/r'] }],
  ['a resource twice', { ...TWO.since(ONE), upsert: [...TWO.since(ONE).upsert, ...TWO.since(ONE).upsert] }],
])('refused: %s', (_, delta) => {
  const held = new HeldSnapshot();
  held.commit(planned(held, ONE.full()), []);
  expect(held.plan(delta).ok).toBe(false);
});

test('a replay ends at the revision, and first restores the form that still runs of what is rejected', () => {
  const held = new HeldSnapshot();
  held.commit(planned(held, ONE.full()), []);
  const step = TWO.since(ONE);
  held.commit(planned(held, step), step.upsert.map(rejection));
  expect(held.rejected).toEqual(step.upsert.map(rejection));

  const [first, second] = held.replay();
  expect(first?.revision).toBe(ONE.revision);
  expect(hostOf(first?.upsert.find(({ id }) => id === 'rule/s/a/r'))).toBe('*');
  expect(second?.revision).toBe(TWO.revision);
  expect(second?.upsert.map(hostOf)).toEqual(['two']);

  // Rejected again in another form: what runs is still the first one.
  const next = new TestSnapshot([ruleFixture('s/a/r', { hosts: ['also bad'] }), ruleFixture('s/b/r')]);
  held.commit(planned(held, next.since(TWO)), next.since(TWO).upsert.map(rejection));
  expect(hostOf(held.replay()[0]?.upsert.find(({ id }) => id === 'rule/s/a/r'))).toBe('*');

  // Good at last: nothing to restore.
  held.commit(planned(held, THREE.since(next)), []);
  expect(held.replay().map(({ revision }) => revision)).toEqual([THREE.revision]);
  expect(held.image().fallback).toEqual([]);
});
