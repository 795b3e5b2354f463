/**
 * Turns requests away at once when not all can be served, before anything is spent on them: by the delay of the worker's event loop
 * (shedding/delay-controller.ts) and by the success of the rule's requests (shedding/success-rate.ts); the lowest priority first, critical never.
 */
import type { Explained, Stage } from '../pipeline/chain.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import { problem } from '../pipeline/respond.ts';
import { Apportion } from '../shedding/apportion.ts';
import type { LoopGuard } from '../shedding/overload.ts';
import { CRITICAL, PRIORITIES, priorityOf, readPriority } from '../shedding/priority.ts';
import { SuccessRate } from '../shedding/success-rate.ts';
import type { SheddingSection } from '../snapshot/sections/shedding.ts';
import type { Counter } from '../telemetry/stage-counters.ts';
import type { StageContext } from './context.ts';

/** Also of what the worker's own bound on requests turns away. */
export const OVERLOADED = 'overloaded';
/** How often the odds follow the success rate. */
const SETTLE_MS = 50;
/** Clients come back spread over so many seconds. */
const RETRY_SPREAD_S = 3;

const BUSY = 'The gateway has more to do than it can; try again later.';
const FAILING = 'Too many requests to this route fail; try again later.';

/** Of one rule. */
interface RuleSuccess {
  readonly rate: SuccessRate;
  readonly shares: Apportion;
  settledMs: number;
}

type Rates = Map<string, RuleSuccess>;
type Setup = Pick<StageContext, 'now' | 'random' | 'counter' | 'previous'> & {
  readonly services: Pick<StageContext['services'], 'overload'>;
};

/** What a stage has seen of its rules, for the one that takes its place. */
const ratesOf = new WeakMap<Stage, { readonly options: string; readonly rates: Rates }>();

export function createShedding(config: SheddingSection, context: Setup): Stage {
  const { eventLoopDelayMs, successRate, priorityHeader } = config;
  const { overload } = context.services;
  const own = priorityOf(config.priority);
  const most = priorityHeader === undefined ? own : priorityOf(priorityHeader.max);
  const guard = eventLoopDelayMs === 0 ? null : overload.hold(eventLoopDelayMs);
  const options = JSON.stringify(successRate);
  const rates: Rates | null = successRate === undefined ? null : ratesBefore(context.previous, options);
  const byDelay = guard === null ? [] : countersOf(context, 'event-loop-delay');
  const bySuccess = rates === null ? [] : countersOf(context, 'success-rate');

  function priority(exchange: Exchange): number {
    if (priorityHeader === undefined) return own;
    const value = exchange.headers.get(priorityHeader.name);
    const said = value === undefined ? -1 : readPriority(value);
    return said < 0 ? own : Math.min(said, most);
  }

  function onRequest(exchange: Exchange): Answer | undefined {
    const worth = priority(exchange);
    if (guard !== null && drawn(guard.odds(worth, exchange.startedAtMs))) return shed(exchange, byDelay, worth, BUSY);
    if (rates !== null && drawn(successOdds(rates, exchange, worth))) return shed(exchange, bySuccess, worth, FAILING);
    return undefined;
  }

  function drawn(odds: number): boolean {
    return odds > 0 && context.random() < odds;
  }

  function shed(exchange: Exchange, counters: readonly Counter[], worth: number, detail: string): Answer {
    (counters[worth] as Counter).value++;
    const seconds = 1 + Math.floor(context.random() * RETRY_SPREAD_S);
    const fields = ['retry-after', String(seconds)];
    return problem(503, OVERLOADED, detail, exchange.requestId, fields);
  }

  function successOdds(known: Rates, exchange: Exchange, worth: number): number {
    const success = successOf(known, exchange);
    const { shares, rate, settledMs } = success;
    const nowMs = exchange.startedAtMs;
    shares.count(worth);
    if (nowMs - settledMs >= SETTLE_MS) {
      shares.settle(rate.share(nowMs), nowMs - settledMs);
      success.settledMs = nowMs;
    }
    return shares.odds[worth] as number;
  }

  function successOf(known: Rates, { rule, startedAtMs }: Exchange): RuleSuccess {
    const id = rule === null ? '' : rule.id;
    let found = known.get(id);
    if (found === undefined) {
      // Of rules that are no more: nothing was counted lately.
      for (const [other, { rate }] of known) if (rate.requests(startedAtMs) === 0) known.delete(other);
      const rate = new SuccessRate(rateOptions(config), startedAtMs);
      found = { rate, shares: new Apportion(), settledMs: startedAtMs };
      known.set(id, found);
    }
    return found;
  }

  function onFinish(exchange: Exchange): void {
    const { code, status } = exchange;
    // What was turned away here says nothing of the backend, nor does a client that left.
    if (rates === null || code === OVERLOADED || code === 'client-closed') return;
    successOf(rates, exchange).rate.record(status > 0 && status < 500, context.now());
  }

  function explain(exchange: Exchange): Explained {
    const worth = priority(exchange);
    const notes = [`priority ${PRIORITIES[worth]}`];
    if (guard !== null) notes.push(delayNote(guard, worth));
    const known = rates?.get(exchange.rule?.id ?? '');
    if (rates !== null) notes.push(`by success: ${oddsNote(known?.shares.odds[worth] ?? 0)}`);
    return { text: notes.join('; '), answer: null };
  }

  const stage: Stage = {
    name: 'shedding',
    onRequest,
    explain,
    ...(rates !== null && { onFinish }),
    close() {
      if (guard !== null) overload.release(eventLoopDelayMs);
    },
  };
  if (rates !== null) ratesOf.set(stage, { options, rates });
  return stage;
}

function ratesBefore(previous: Stage | null, options: string): Rates {
  const before = previous === null ? undefined : ratesOf.get(previous);
  return before?.options === options ? before.rates : new Map();
}

function rateOptions({ successRate }: SheddingSection) {
  const { thresholdPercent = 95, minRequests = 100, windowMs = 10_000 } = successRate ?? {};
  return { threshold: thresholdPercent / 100, minRequests, windowMs };
}

/** By priority; critical is never counted. */
function countersOf({ counter }: Setup, reason: string): Counter[] {
  return PRIORITIES.slice(0, CRITICAL).map((priority) => counter('shed', { priority, reason }));
}

function delayNote({ controller: { targetMs }, shares }: LoopGuard, worth: number): string {
  return `by event-loop delay (target ${targetMs} ms): ${oddsNote(shares.odds[worth] as number)}`;
}

function oddsNote(odds: number): string {
  return odds === 0 ? 'all are admitted' : `${Math.round(odds * 100)} % are turned away now`;
}
