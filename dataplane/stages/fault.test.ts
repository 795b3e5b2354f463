/** Shares, bounds and counts of injected faults, with the test's own dice and timers. */
import { expect, test } from 'vitest';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { faultSection } from '../snapshot/sections/fault.ts';
import { contextFixture } from './context.fixture.ts';
import { createFault, MAX_DELAYED } from './fault.ts';

function scene(config: object, draws: readonly number[] = [0]) {
  let drawn = 0;
  const timers: { run: () => void; delayMs: number }[] = [];
  const context = contextFixture({
    random: () => draws[drawn++ % draws.length] as number,
    setTimer: (run, delayMs) => {
      timers.push({ run, delayMs });
      return () => {};
    },
  });
  const stage = createFault(faultSection.parse({ section: 'fault', ...config }), context);
  const counts = () =>
    Object.fromEntries([...context.counters.image()].map(([key, value]) => [key.slice(key.indexOf('=') + 1), value]));
  const ask = (fields: string[] = []) => stage.onRequest?.(memoryExchange('GET /', { fields }));
  return { stage, timers, counts, ask };
}

test('the share that is drawn is answered, the rest goes on', async () => {
  const { ask, counts, timers } = scene({ abort: { status: 503, perMillion: 250_000 } }, [0.249_99, 0.25, 0.9]);
  expect(await ask()).toMatchObject({ status: 503, code: 'fault-injected' });
  expect([ask(), ask()]).toEqual([undefined, undefined]);
  expect(counts()).toEqual({ abort: 1, delay: 0, 'delay-skipped': 0 });
  expect(timers).toEqual([]);
});

test('0 is none and a million all, whatever is drawn', async () => {
  expect(scene({ abort: { status: 500, perMillion: 0 } }, [0]).ask()).toBeUndefined();
  const { ask } = scene({ abort: { status: 500, perMillion: 1_000_000, message: 'gone' } }, [0.999_999]);
  expect(await ask()).toMatchObject({ status: 500, body: expect.stringContaining('"detail":"gone"') });
});

test('a delay holds the request, then the abort is drawn apart', async () => {
  const config = { delay: { durationMs: 700, perMillion: 500_000 }, abort: { status: 503, perMillion: 500_000 } };
  const { ask, timers, counts } = scene(config, [0.1, 0.1, 0.9, 0.1, 0.9, 0.1]);
  const passed = ask();
  const aborted = ask();
  const undelayed = ask();
  expect(passed).toBeInstanceOf(Promise);
  expect(undelayed).toMatchObject({ status: 503 });
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([700, 700]);
  for (const { run } of timers) run();
  expect([await passed, await aborted]).toEqual([undefined, expect.objectContaining({ status: 503 })]);
  expect(counts()).toEqual({ abort: 2, delay: 2, 'delay-skipped': 0 });
});

test('only requests that carry the header are meant', async () => {
  const { ask, stage } = scene({ abort: { status: 503, perMillion: 1_000_000 }, header: 'x-fault' });
  expect(ask()).toBeUndefined();
  expect(await ask(['x-fault', ''])).toMatchObject({ status: 503 });
  expect(stage.explain?.(memoryExchange('GET /'))).toEqual({
    text: 'nothing: the request has no x-fault',
    answer: null,
  });
  expect(stage.explain?.(memoryExchange('GET /', { fields: ['x-fault', '1'] }))).toEqual({
    text: 'answers 100 % with 503 fault-injected',
    answer: { status: 503, code: 'fault-injected' },
  });
});

test('no more than the bound are held back at once; the next are counted and go on, until one is free', async () => {
  const { ask, timers, counts } = scene({ delay: { durationMs: 10, perMillion: 1_000_000 } });
  const held = Array.from({ length: MAX_DELAYED }, () => ask());
  expect(ask()).toBeUndefined();
  expect(counts()).toMatchObject({ delay: MAX_DELAYED, 'delay-skipped': 1 });
  timers[0]?.run();
  expect(await held[0]).toBeUndefined();
  expect(ask()).toBeInstanceOf(Promise);
});
