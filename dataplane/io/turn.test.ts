import { setImmediate as round } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { beginTurn, endTurn, type Flushable, flushLater } from './turn.ts';

/** A callback of a socket, in which `wire` was written to. */
function turn(wire: Flushable): void {
  beginTurn();
  flushLater(wire);
  endTurn();
}

test('what several callbacks write leaves after the last of them, in order', async () => {
  const left: string[] = [];
  turn({ flush: () => left.push('a') });
  turn({ flush: () => left.push('b') });
  flushLater({ flush: () => left.push('c') });
  await null;
  expect(left).toEqual([]);
  await round();
  expect(left).toEqual(['a', 'b', 'c']);
});

test('many are not waited for, and each leaves once; what is written while others leave, leaves too', async () => {
  let left = 0;
  const wire = { flush: () => left++ };
  for (let i = 0; i < 63; i++) turn(wire);
  expect(left).toBe(0);
  turn({ flush: () => flushLater(wire) });
  expect(left).toBe(64);
  await round();
  expect(left).toBe(64);
  turn(wire);
  await round();
  expect(left).toBe(65);
});
