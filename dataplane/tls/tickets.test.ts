import { expect, test } from 'vitest';
import { EPOCH_MS, TicketKeys } from './tickets.ts';

const START_MS = 100 * EPOCH_MS + 5;

test('workers that started in different epochs have the same keys, others for each purpose', () => {
  const supervisor = TicketKeys.random(START_MS);
  const old = new TicketKeys(supervisor.current);
  for (const epochs of [1, 2, 5]) {
    const nowMs = START_MS + epochs * EPOCH_MS;
    supervisor.advance(nowMs);
    old.advance(nowMs);
    const young = new TicketKeys(supervisor.current);
    for (const purpose of ['tls/a', 'tls/b']) expect(young.keyFor(purpose)).toEqual(old.keyFor(purpose));
    expect(young.keyFor('tls/a')).not.toEqual(young.keyFor('tls/b'));
    expect(young.keyFor('tls/a')).toHaveLength(48);
  }
});

test('keys are others after an epoch, the same within it, and do not come back with the clock', () => {
  const keys = TicketKeys.random(START_MS);
  const first = keys.keyFor('tls/a');
  expect(keys.advance(START_MS + EPOCH_MS - 6)).toBe(false);
  expect(keys.keyFor('tls/a')).toEqual(first);
  expect(keys.advance(START_MS + EPOCH_MS)).toBe(true);
  const second = keys.keyFor('tls/a');
  expect(second).not.toEqual(first);
  expect(keys.advance(START_MS)).toBe(false);
  expect(keys.keyFor('tls/a')).toEqual(second);
});
