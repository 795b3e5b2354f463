import { expect, test } from 'vitest';
import { AcceptQueue } from './accept-queue.ts';

/** Turns of 50 ms in which each socket accepts as said. */
function after(turns: number, accepts: (turn: number) => readonly number[]): number {
  const queue = new AcceptQueue();
  const totals = [0, 0];
  let standingMs = 0;
  for (let turn = 1; turn <= turns; turn++) {
    for (const [i, count] of accepts(turn).entries()) (totals[i] as number) += count;
    standingMs = queue.sample(turn, totals, 50 * turn);
  }
  return standingMs;
}

test('a socket that accepts in every turn has had a queue all the time; a quarter of a second is free', () => {
  expect(after(5, () => [1, 0])).toBe(0);
  expect(after(6, () => [1, 0])).toBe(50);
  expect(after(30, () => [0, 1])).toBe(1250);
});

test('a turn without a connection empties it', () => {
  expect(after(40, (turn) => [turn % 5 === 0 ? 0 : 1, 0])).toBe(0);
  expect(after(40, (turn) => [turn % 2, turn % 2])).toBe(0);
  expect(after(31, (turn) => [turn === 31 ? 0 : 1, 0])).toBe(0);
});

test('many short turns between two looks need as many connections; within a turn nothing is known yet', () => {
  const queue = new AcceptQueue();
  for (let look = 1; look <= 30; look++) expect(queue.sample(100 * look, [99 * look], 50 * look)).toBe(0);
  for (let look = 31; look <= 60; look++) queue.sample(100 * look, [100 * look], 50 * look);
  expect(queue.sample(6000, [6000], 3500)).toBe(1250);
  expect(queue.sample(6001, [6001], 3600)).toBe(1850);
});
