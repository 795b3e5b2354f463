/** Load shedding, from how a user writes it to how a data plane runs it. */
import { durationMs } from '../../api/duration.ts';
import type { SectionSpec } from '../../model/policy.ts';
import type { Compiled } from './compile.ts';

const DEFAULT_DELAY_MS = 100;

export function compileShedding(spec: SectionSpec<'shedding'>): Compiled<'shedding'> {
  const { eventLoopDelay, successRate, priority = 'normal', priorityHeader, maxHeaderPriority = priority } = spec;
  return {
    section: 'shedding',
    eventLoopDelayMs: eventLoopDelay === undefined ? DEFAULT_DELAY_MS : durationMs(eventLoopDelay),
    ...(successRate === undefined ? {} : { successRate: compileSuccessRate(successRate) }),
    priority,
    ...(priorityHeader === undefined
      ? {}
      : { priorityHeader: { name: priorityHeader.toLowerCase(), max: maxHeaderPriority } }),
  };
}

function compileSuccessRate({
  threshold = 95,
  minRequests = 100,
  window = '10s',
}: NonNullable<SectionSpec<'shedding'>['successRate']>): NonNullable<Compiled<'shedding'>['successRate']> {
  return { thresholdPercent: threshold, minRequests, windowMs: durationMs(window) };
}
