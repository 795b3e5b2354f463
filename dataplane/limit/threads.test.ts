/** Real threads on one table. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { Hammer } from './hammer.fixture.ts';
import { createLimitMemory, type LimitMemory, limitClock } from './memory.ts';
import { createMemoryStore } from './memory-store.ts';
import { limiterOptions } from './store.fixture.ts';
import { newDecision } from './store.ts';
import { LimitTable, SUPERVISOR } from './table.ts';

const ENTRY = new URL('./hammer.fixture.ts', import.meta.url);

interface Running {
  readonly thread: Worker;
  readonly result: Promise<number>;
}

async function hammer(memory: LimitMemory, more: Partial<Hammer>, threads: number): Promise<Running[]> {
  const start = new SharedArrayBuffer(4);
  const running = await Promise.all(
    Array.from({ length: threads }, async (_, worker): Promise<Running> => {
      const options = limiterOptions({ algorithm: 'fixedWindow', windowMs: 86_400_000, limit: 10_000 });
      const data: Hammer = { memory, worker, options, asks: 0, keys: 1, start, endless: false, ...more };
      const thread = new Worker(ENTRY, { workerData: data });
      await once(thread, 'message');
      return { thread, result: once(thread, 'message').then(([value]) => value as number) };
    }),
  );
  new Int32Array(start)[0] = 1;
  Atomics.notify(new Int32Array(start), 0);
  return running;
}

test.each(['tokenBucket', 'fixedWindow', 'slidingWindow', 'concurrency'] as const)(
  '%s: three threads that hammer one key are admitted exactly the limit',
  async (algorithm) => {
    const memory = createLimitMemory({ keys: 1024, workers: 3 });
    const options = limiterOptions({
      algorithm,
      limit: 10_000,
      windowMs: algorithm === 'concurrency' ? 0 : 2_678_400_000,
    });
    const running = await hammer(memory, { options, asks: 40_000 }, 3);
    const admitted = await Promise.all(running.map(({ result }) => result));
    expect(admitted.reduce((sum, one) => sum + one, 0)).toBe(10_000);
  },
);

test('threads agree on the time', async () => {
  const memory = createLimitMemory({ keys: 16, workers: 1 });
  const script = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { limitClock } = await import(workerData.module);
    const now = limitClock(workerData.memory);
    parentPort.on('message', () => parentPort.postMessage(now()));`;
  const here = limitClock(memory);
  const module = new URL('./memory.ts', import.meta.url).href;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
    workerData: { memory, module },
  });
  const before = here();
  thread.postMessage('');
  const [there] = (await once(thread, 'message')) as [number];
  const after = here();
  await thread.terminate();
  expect(there).toBeGreaterThan(before - 0.5);
  expect(there).toBeLessThan(after + 0.5);
  expect(memory.epochMs + here()).toBeCloseTo(Date.now(), -2);
});

test('threads that die in the middle of it leave nothing locked, and nothing in flight', async () => {
  const memory = createLimitMemory({ keys: 64, workers: 3 });
  const table = new LimitTable(memory.table, SUPERVISOR);
  const options = limiterOptions({ algorithm: 'concurrency', limit: 1_000_000 });
  const limiter = createMemoryStore({ memory, worker: 2 }).open(options);
  const decision = newDecision();
  for (let round = 0; round < 3; round++) {
    const running = await hammer(memory, { options, keys: 8, endless: true }, 2);
    for (const { result } of running) result.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    // The second one runs on while the first is cleared away.
    for (const [worker, { thread }] of running.entries()) {
      await thread.terminate();
      table.recover(worker);
    }
    for (let key = 0; key < 8; key++) {
      limiter.take(`key ${key}`, 1, decision);
      expect(decision).toMatchObject({ admitted: true, remaining: 999_999 });
      limiter.giveBack(`key ${key}`, 1);
    }
  }
  expect(table.stolen).toBe(0);
}, 60_000);
