import { describe, expect, test } from 'vitest';
import type { Stage } from '../pipeline/chain.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { Overload } from '../shedding/overload.ts';
import { sheddingSection } from '../snapshot/sections/shedding.ts';
import { contextFixture } from './context.fixture.ts';
import { createShedding } from './shedding.ts';

/** A worker whose event loop is as late as said; time passes when told to. */
class Worker {
  nowMs = 1000;
  /** Below it, what is drawn is turned away. */
  random = 0;
  #timer: (() => void) | null = null;
  #cpuMs = 0;
  readonly overload = new Overload({
    now: () => this.nowMs,
    cpuMs: () => this.#cpuMs,
    turns: () => 0,
    setTimer: (run) => {
      this.#timer = run;
    },
  });
  readonly context = contextFixture({ now: () => this.nowMs, random: () => this.random });

  stage(config: object, previous: Stage | null = null): Stage {
    const services = { ...this.context.services, overload: this.overload };
    return createShedding(sheddingSection.parse({ section: 'shedding', ...config }), {
      ...this.context,
      services,
      previous,
    });
  }

  exchange(fields: readonly string[] = []): Exchange {
    return memoryExchange('GET /', { fields: [...fields], startedAtMs: this.nowMs });
  }

  ask(stage: Stage, fields: readonly string[] = []): Answer | undefined {
    return stage.onRequest?.(this.exchange(fields)) as Answer | undefined;
  }

  /** So many turns of the event loop of this length, all work, with a request in each. */
  turns(stage: Stage, count: number, lengthMs: number): void {
    for (let i = 0; i < count; i++) {
      this.ask(stage);
      this.nowMs += lengthMs;
      this.#cpuMs += lengthMs;
      const run = this.#timer;
      this.#timer = null;
      run?.();
    }
  }

  shed(reason: string): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [key, value] of this.context.counters.image()) {
      const [, priority, reason_] = /priority=(\w+)\0reason=([\w-]+)/.exec(key) ?? [];
      if (priority !== undefined && reason_ === reason && value > 0) counts[priority] = value;
    }
    return counts;
  }
}

describe('by the delay of the event loop', () => {
  test('nothing while it is short; beyond the target 503 at once, with when to come back', () => {
    const worker = new Worker();
    const stage = worker.stage({ eventLoopDelayMs: 100 });
    worker.turns(stage, 20, 90);
    expect(worker.ask(stage)).toBeUndefined();
    worker.turns(stage, 5, 400);
    const answer = worker.ask(stage);
    expect(answer).toMatchObject({ status: 503, code: 'overloaded' });
    expect(answer?.headers.get('retry-after')).toMatch(/^[1-3]$/);
    worker.random = 0.999;
    expect(worker.ask(stage)).toBeUndefined();
    expect(worker.shed('event-loop-delay').normal).toBeGreaterThan(0);
    expect(worker.overload.look()).toMatchObject({ delayMs: 390 });
  });

  test('it ends with the load, and the timer with the requests', () => {
    const worker = new Worker();
    const stage = worker.stage({ eventLoopDelayMs: 50 });
    worker.turns(stage, 10, 300);
    expect(worker.overload.look().level).toBeGreaterThan(0.5);
    worker.turns(stage, 60, 10);
    expect(worker.overload.look().level).toBe(0);
    expect(worker.ask(stage)).toBeUndefined();
  });

  test('a target that is 0 sheds nothing', () => {
    const worker = new Worker();
    const stage = worker.stage({ eventLoopDelayMs: 0 });
    worker.turns(stage, 10, 900);
    expect(worker.ask(stage)).toBeUndefined();
  });

  test('a stage that is closed lets go of its target', () => {
    const worker = new Worker();
    const stages = [worker.stage({ eventLoopDelayMs: 50 }), worker.stage({ eventLoopDelayMs: 50 })];
    worker.turns(stages[0] as Stage, 10, 300);
    stages[0]?.close?.();
    expect(worker.overload.look().level).toBeGreaterThan(0.5);
    stages[1]?.close?.();
    expect(worker.overload.look().level).toBe(0);
  });
});

describe('priorities', () => {
  /** Overloaded by normal requests: all of those below them go. */
  function pressed(config: object): { worker: Worker; stage: Stage } {
    const worker = new Worker();
    worker.turns(worker.stage({ eventLoopDelayMs: 100 }), 8, 400);
    return { worker, stage: worker.stage({ eventLoopDelayMs: 100, ...config }) };
  }

  test.each([
    ['low', true],
    ['normal', true],
    ['high', false],
    ['critical', false],
  ])('%s requests: turned away %s', (priority, away) => {
    const { worker, stage } = pressed({ priority });
    expect(worker.ask(stage) !== undefined).toBe(away);
  });

  test.each([
    // A client lowers, and never raises.
    ['critical', undefined, 'low', true],
    ['critical', undefined, '0', true],
    ['normal', undefined, 'critical', true],
    ['normal', undefined, '3', true],
    // Up to what the policy says.
    ['normal', 'high', 'critical', false],
    ['normal', 'high', '1', true],
    ['low', 'critical', 'critical', false],
    // What is no priority says nothing.
    ['high', undefined, 'urgent', false],
    ['normal', 'critical', '', true],
    ['normal', 'critical', 'critical, low', true],
  ])('of a policy that says %s, header up to %s: %s', (priority, max, value, away) => {
    const { worker, stage } = pressed({ priority, priorityHeader: { name: 'x-priority', max: max ?? priority } });
    expect(worker.ask(stage, ['x-priority', value]) !== undefined).toBe(away);
  });

  test('explained, with nothing counted', () => {
    const { worker, stage } = pressed({ priorityHeader: { name: 'x-priority', max: 'high' } });
    const before = worker.context.counters.image();
    expect(stage.explain?.(worker.exchange(['x-priority', 'high']))).toEqual({
      text: 'priority high; by event-loop delay (target 100 ms): all are admitted',
      answer: null,
    });
    expect(stage.explain?.(worker.exchange())).toMatchObject({ text: expect.stringMatching(/\d+ % are turned away/) });
    expect(worker.context.counters.image()).toEqual(before);
  });
});

describe('by success', () => {
  const config = { eventLoopDelayMs: 0, successRate: { thresholdPercent: 90, minRequests: 10, windowMs: 10_000 } };

  function run(worker: Worker, stage: Stage, status: number, count: number, code = ''): void {
    for (let i = 0; i < count; i++) {
      const exchange = worker.exchange();
      if (stage.onRequest?.(exchange) !== undefined) continue;
      exchange.status = status;
      exchange.code = code;
      worker.nowMs += 10;
      stage.onFinish?.(exchange);
    }
  }

  test('failures turn requests away, success lets them in again', () => {
    const worker = new Worker();
    const stage = worker.stage(config);
    run(worker, stage, 200, 50);
    expect(worker.ask(stage)).toBeUndefined();
    run(worker, stage, 502, 100);
    expect(worker.ask(stage)).toMatchObject({ status: 503, code: 'overloaded' });
    worker.random = 0.9;
    expect(worker.ask(stage)).toBeUndefined();
    run(worker, stage, 200, 1100);
    worker.random = 0;
    expect(worker.ask(stage)).toBeUndefined();
  });

  test('clients that leave, refusals and few requests say nothing', () => {
    const worker = new Worker();
    const stage = worker.stage(config);
    run(worker, stage, 499, 100, 'client-closed');
    run(worker, stage, 503, 100, 'overloaded');
    run(worker, stage, 403, 100);
    run(worker, stage, 404, 100);
    expect(worker.ask(stage)).toBeUndefined();
  });

  test('what was seen outlives a change of something else, not of the window', () => {
    const worker = new Worker();
    const stage = worker.stage(config);
    run(worker, stage, 502, 100);
    worker.nowMs += 100;
    expect(worker.ask(worker.stage({ ...config, priority: 'low' }, stage))).toBeDefined();
    const other = { ...config, successRate: { ...config.successRate, windowMs: 20_000 } };
    expect(worker.ask(worker.stage(other, stage))).toBeUndefined();
  });
});
