/**
 * ns a request for what shedding costs who is admitted, and for who is turned away: `node --conditions=source dataplane/bench/shedding.ts`.
 */
import type { Stage } from '../pipeline/chain.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { Overload } from '../shedding/overload.ts';
import { sheddingSection } from '../snapshot/sections/shedding.ts';
import { contextFixture } from '../stages/context.fixture.ts';
import { createShedding } from '../stages/shedding.ts';
import { measure, report } from './measure.ts';

const BATCH = 256;
const BATCHES = 600;

let nowMs = 0;
let cpuMs = 0;
let timer: (() => void) | null = null;
const overload = new Overload({
  now: () => nowMs,
  cpuMs: () => cpuMs,
  turns: () => 0,
  setTimer: (run) => {
    timer = run;
  },
});
const context = contextFixture({ random: Math.random });

function stageOf(config: object): Stage {
  const services = { ...context.services, overload };
  return createShedding(sheddingSection.parse({ section: 'shedding', ...config }), { ...context, services });
}

/** Ten requests in each ms, in turns of this length. */
function run(label: string, stage: Stage, fields: string[], turnMs: number): void {
  const exchange = memoryExchange('GET /', { fields });
  let count = 0;
  const one = (): void => {
    if (++count % (10 * turnMs) === 0) {
      nowMs += turnMs;
      cpuMs += turnMs;
      const due = timer;
      timer = null;
      due?.();
    }
    Object.assign(exchange, { startedAtMs: nowMs, status: 200 });
    stage.onRequest?.(exchange);
    stage.onFinish?.(exchange);
  };
  report(label, measure(one, BATCH, BATCHES));
}

run('admitted, by delay', stageOf({}), [], 1);
run(
  'admitted, by delay, priority from a header',
  stageOf({ priorityHeader: { name: 'x-priority', max: 'high' } }),
  ['x-priority', 'low'],
  1,
);
run('admitted, by delay and success', stageOf({ successRate: {} }), [], 1);
run('turned away, nearly all', stageOf({ eventLoopDelayMs: 20 }), [], 500);
