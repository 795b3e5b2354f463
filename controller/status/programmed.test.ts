import { describe, expect, test } from 'vitest';
import { firstReason } from '../model/conditions.ts';
import type { DesiredCondition, ObjectOutcome } from '../model/outcome.ts';
import { type FleetSummary, programmed } from './programmed.ts';

const ID = 'policy/shop/partners/authentication';
const condition = (
  type: DesiredCondition['type'],
  status: 'True' | 'False',
  reason: string = type,
): DesiredCondition => ({
  type,
  status,
  reason,
  message: '',
});
const policy = (more: Partial<ObjectOutcome> = {}): ObjectOutcome => ({
  ref: { kind: 'Policy', namespace: 'shop', name: 'partners' },
  uid: 'u',
  generation: 1,
  problems: [],
  conditions: [condition('Accepted', 'True'), condition('ResolvedRefs', 'True')],
  summary: { targets: 'Route/orders', sections: 'authentication' },
  resources: [ID],
  ...more,
});
const fleet = (more: Partial<FleetSummary> = {}): FleetSummary => ({
  ready: 2,
  sequence: 5,
  rejected: new Map(),
  refusal: '',
  ...more,
});
const rejected = (hash: string, message: string): FleetSummary =>
  fleet({ rejected: new Map([[ID, new Map([[hash, message]])]]) });
const say = (outcome: ObjectOutcome, summary: FleetSummary, since = 5) => {
  const { condition: said, passing } = programmed(outcome, since, summary, () => 'h1');
  return [said.status, said.reason, said.message, passing];
};

describe('a section that could not be built', () => {
  const closed = policy({
    closed: ['authentication', 'rateLimit'],
    conditions: [condition('Accepted', 'True'), condition('ResolvedRefs', 'False', 'SecretNotFound')],
  });

  test('is FailedClosed, which lasts, however far the data planes are', () => {
    const message =
      'authentication, rateLimit: could not be built, so its requests are answered 503; ResolvedRefs and PartiallyInvalid say why';
    for (const summary of [fleet(), fleet({ ready: 0, sequence: -1 }), fleet({ sequence: 1 })])
      expect(say(closed, summary)).toEqual(['False', 'FailedClosed', message, false]);
  });

  test('of a policy that is not accepted refuses nobody', () => {
    const lost = { ...closed, conditions: [condition('Accepted', 'False', 'Conflicted')] };
    expect(say(lost, fleet())).toEqual(['False', 'Conflicted', 'not accepted, so nothing of it serves', false]);
  });

  test('the Reason column names the cause, not the consequence', () => {
    const { condition: said } = programmed(closed, 5, fleet(), () => 'h1');
    expect(firstReason([...closed.conditions, said])).toBe('SecretNotFound');
    expect(firstReason([condition('Accepted', 'True'), condition('ResolvedRefs', 'True'), said])).toBe('FailedClosed');
  });
});

describe('what a data plane says of it', () => {
  test('shows while it holds, with the resource and the words, and goes when it goes', () => {
    const message = `${ID}: JWKS https://login.example.com/keys can not be fetched`;
    const trouble = rejected('h1', 'JWKS https://login.example.com/keys can not be fetched');
    expect(say(policy(), trouble)).toEqual(['False', 'Rejected', message, false]);
    expect(say(policy(), fleet())).toEqual(['True', 'Programmed', '', false]);
  });

  test('of an older version of the resource, or of another object, does not count', () => {
    expect(say(policy(), rejected('h0', 'old'))).toEqual(['True', 'Programmed', '', false]);
    expect(say(policy({ resources: ['policy/shop/other/cors'] }), rejected('h1', 'x'))).toEqual([
      'True',
      'Programmed',
      '',
      false,
    ]);
  });
});

test('not there yet passes; a refused snapshot lasts', () => {
  expect(say(policy(), fleet({ ready: 0, sequence: -1 }))).toEqual([
    'False',
    'NoDataPlane',
    'no data plane is ready',
    true,
  ]);
  expect(say(policy(), fleet(), 6)).toEqual(['False', 'Pending', 'not every ready data plane has it yet', true]);
  expect(say(policy(), fleet({ refusal: 'too large' }), 6)).toEqual([
    'False',
    'Rejected',
    'a data plane refused the snapshot: too large',
    false,
  ]);
});
