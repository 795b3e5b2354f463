import { expect, test } from 'vitest';
import type { DesiredStatus } from './board.ts';
import { heldProgrammed, statusPatch } from './patch.ts';
import type { StatusCondition } from './programmed.ts';

const NOW = '2026-02-02T00:00:00Z';
const BEFORE = '2026-01-01T00:00:00Z';

function condition(type: string, status: 'True' | 'False', reason = type, message = ''): StatusCondition {
  return { type, status, reason, message };
}

function desired(conditions: StatusCondition[], fields: Record<string, string> = {}, generation = 2): DesiredStatus {
  const ref = { kind: 'Route', namespace: 'shop', name: 'orders' } as const;
  return { ref, uid: 'u', generation, conditions, fields, passing: false, detail: '' };
}

test('an object without a status gets everything, with this time', () => {
  const patch = statusPatch(undefined, desired([condition('Accepted', 'True')], { hosts: 'a' }), NOW);
  expect(patch?.status).toEqual({
    hosts: 'a',
    conditions: [{ ...condition('Accepted', 'True'), observedGeneration: 2, lastTransitionTime: NOW }],
  });
  expect(patch?.news).toEqual([]);
});

test('what is held already is not written again', () => {
  const held = {
    hosts: 'a',
    conditions: [{ ...condition('Accepted', 'True'), observedGeneration: 2, lastTransitionTime: BEFORE }],
  };
  expect(statusPatch(held, desired([condition('Accepted', 'True')], { hosts: 'a' }), NOW)).toBeNull();
});

test('the transition time changes with the status alone', () => {
  const held = {
    conditions: [
      { ...condition('Accepted', 'True'), observedGeneration: 1, lastTransitionTime: BEFORE },
      { ...condition('Programmed', 'True'), observedGeneration: 1, lastTransitionTime: BEFORE },
    ],
  };
  const wanted = desired([
    condition('Accepted', 'True', 'Accepted', 'other words'),
    condition('Programmed', 'False', 'Rejected', 'no'),
  ]);
  const patch = statusPatch(held, wanted, NOW);
  expect(
    patch?.status.conditions.map(({ type, lastTransitionTime, observedGeneration }) => [
      type,
      lastTransitionTime,
      observedGeneration,
    ]),
  ).toEqual([
    ['Accepted', BEFORE, 2],
    ['Programmed', NOW, 2],
  ]);
  expect(patch?.news.map(({ reason }) => reason)).toEqual(['Rejected']);
});

test('conditions of others stay, ours that no longer hold go, and so does a field that is no longer ours', () => {
  const foreign = { ...condition('example.com/Audited', 'True'), lastTransitionTime: BEFORE };
  const held = {
    old: 'x',
    conditions: [
      foreign,
      { ...condition('PartiallyInvalid', 'True'), observedGeneration: 1, lastTransitionTime: BEFORE },
    ],
  };
  const patch = statusPatch(held, desired([condition('Accepted', 'True')]), NOW);
  expect(patch?.status.old).toBeNull();
  expect(patch?.status.conditions.map(({ type }) => type)).toEqual(['example.com/Audited', 'Accepted']);
  expect(patch?.status.conditions[0]).toEqual(foreign);
});

test('news is a problem that was not told before; waiting is no problem', () => {
  const told = condition('Accepted', 'False', 'Invalid', 'weight');
  const held = { conditions: [{ ...told, observedGeneration: 1, lastTransitionTime: BEFORE }] };
  expect(statusPatch(held, desired([told]), NOW)?.news).toEqual([]);
  const other = condition('Accepted', 'False', 'Invalid', 'host');
  expect(statusPatch(held, desired([other]), NOW)?.news).toEqual([other]);
  expect(statusPatch(held, desired([told, condition('Programmed', 'False', 'Pending')]), NOW)?.news).toEqual([]);
  const partly = condition('PartiallyInvalid', 'True', 'Invalid', 'rule');
  expect(statusPatch(held, desired([told, partly]), NOW)?.news).toEqual([partly]);
});

test('nonsense in a held status does no harm', () => {
  for (const held of [null, 7, 'x', [], { conditions: 'x' }, { conditions: [null, 1, {}] }]) {
    expect(statusPatch(held, desired([condition('Accepted', 'True')]), NOW)).not.toBeNull();
    expect(heldProgrammed(held, 1)).toBe(false);
  }
});

test('Programmed counts for its generation', () => {
  const held = { conditions: [{ ...condition('Programmed', 'True'), observedGeneration: 3 }] };
  expect(heldProgrammed(held, 3)).toBe(true);
  expect(heldProgrammed(held, 4)).toBe(false);
});
