import { expect, test } from 'vitest';
import type { ObjectEvent } from '../store/objects.ts';
import { type Batch, Loop } from './loop.ts';

function event(name: string): ObjectEvent {
  return { type: 'delete', ref: { kind: 'Route', namespace: 'shop', name } };
}

function names(batch: Batch | undefined): string[] {
  return (batch?.events ?? []).map((e) => (e.type === 'delete' ? e.ref.name : ''));
}

function setUp() {
  const batches: Batch[] = [];
  const finish: (() => void)[] = [];
  const failures: unknown[] = [];
  const loop = new Loop({
    run: (batch) => {
      batches.push(batch);
      return new Promise((resolve) => finish.push(resolve));
    },
    refused: () => {},
    failed: (error) => failures.push(error),
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { loop, batches, finish, failures, turn };
}

test('nothing runs before everything there was at the start is in', async () => {
  const { loop, batches, turn } = setUp();
  loop.apply([event('a')]);
  loop.apply([event('b')]);
  await turn();
  expect(batches).toHaveLength(0);
  loop.synced();
  await turn();
  expect(batches.map(names)).toEqual([['a', 'b']]);
});

test('an empty source is a batch too: what waits for the start is not kept waiting', async () => {
  const { loop, batches, finish, turn } = setUp();
  loop.synced();
  await turn();
  expect(batches).toHaveLength(1);
  expect(loop.ready).toBe(false);
  finish[0]?.();
  await turn();
  expect(loop.ready).toBe(true);
});

test('one batch in flight, the next gathering', async () => {
  const { loop, batches, finish, turn } = setUp();
  loop.synced();
  loop.apply([event('a')]);
  await turn();
  loop.apply([event('b')]);
  loop.apply([event('c')]);
  await turn();
  expect(batches.map(names)).toEqual([['a']]);
  finish[0]?.();
  await turn();
  expect(batches.map(names)).toEqual([['a'], ['b', 'c']]);
  finish[1]?.();
  await loop.idle();
  loop.apply([event('d')]);
  await turn();
  expect(batches.map(names)).toEqual([['a'], ['b', 'c'], ['d']]);
});

test('a batch that throws is told and does not stop the loop', async () => {
  const seen: string[][] = [];
  const failures: unknown[] = [];
  const loop = new Loop({
    run: async (batch) => {
      seen.push(names(batch));
      if (seen.length === 1) throw new Error('broken');
    },
    refused: () => {},
    failed: (error) => failures.push(error),
  });
  loop.synced();
  await loop.idle();
  loop.apply([event('a')]);
  await loop.idle();
  expect(failures).toEqual([new Error('broken')]);
  expect(seen).toEqual([[], ['a']]);
});

test('while the first batch fails nobody is served, and the next change brings all of it again', async () => {
  const batches: Batch[] = [];
  const failures: unknown[] = [];
  const loop = new Loop({
    run: async (batch) => {
      batches.push(batch);
      if (batches.length === 1) throw new Error('a bug');
    },
    refused: () => {},
    failed: (error) => failures.push(error),
  });
  loop.apply([event('a')]);
  loop.synced();
  await loop.idle();
  expect(failures).toHaveLength(1);
  expect(loop.ready).toBe(false);
  loop.apply([event('b')]);
  await loop.idle();
  expect(batches.map(names)).toEqual([['a'], ['a', 'b']]);
  expect(loop.ready).toBe(true);
});
