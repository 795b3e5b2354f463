/** Which endpoints of a backend stand out, and for how long they are ejected. Pure. */
import type { PassiveHealth } from '../../snapshot/backend/health.ts';

/** What was seen of one endpoint in an interval. */
export interface Seen {
  /** Attempts that came to something. */
  readonly requests: number;
  /** Of them, those answered below 500 and not broken off. */
  readonly good: number;
  /** Response heads, whatever their status, and the sum of their latencies. */
  readonly answered: number;
  readonly latencySumMs: number;
}

/** Below this mean latency nobody is too slow: it is noise that makes the factor. */
const LATENCY_FLOOR_MS = 5;

/**
 * Envoy's success-rate outliers: of those with enough requests, where there are enough, the ones whose share of good requests lies
 * more than `stdevFactorPercent` / 100 (population) standard deviations below the mean. The worst first.
 */
export function lowSuccess<E extends { readonly seen: Seen }>(
  all: Iterable<E>,
  { minRequests, minEndpoints, stdevFactorPercent }: NonNullable<PassiveHealth['successRate']>,
): E[] {
  const judged = [...all].filter(({ seen }) => seen.requests >= minRequests);
  if (judged.length < minEndpoints) return [];
  const rate = ({ seen }: E): number => seen.good / seen.requests;
  const mean = judged.reduce((sum, one) => sum + rate(one), 0) / judged.length;
  const variance = judged.reduce((sum, one) => sum + (rate(one) - mean) ** 2, 0) / judged.length;
  const bound = mean - (stdevFactorPercent / 100) * Math.sqrt(variance);
  return judged.filter((one) => rate(one) < bound).sort((a, b) => rate(a) - rate(b));
}

/**
 * Those whose mean latency is more than `factorPercent` / 100 times the median of the means: of an even number of endpoints the lower
 * one of the middle, so that of two endpoints one can stand out. The slowest first.
 */
export function slow<E extends { readonly seen: Seen }>(
  all: Iterable<E>,
  { minRequests, factorPercent }: NonNullable<PassiveHealth['latency']>,
): E[] {
  const judged = [...all].filter(({ seen }) => seen.answered >= minRequests);
  if (judged.length < 2) return [];
  const mean = ({ seen }: E): number => seen.latencySumMs / seen.answered;
  const means = judged.map(mean).sort((a, b) => a - b);
  const median = means[(means.length - 1) >> 1] as number;
  const bound = Math.max(LATENCY_FLOOR_MS, (median * factorPercent) / 100);
  return judged.filter((one) => mean(one) > bound).sort((a, b) => mean(b) - mean(a));
}

/** How many of so many endpoints may be ejected at a time: the share, but one where there are two or more. */
export function ejectable(endpoints: number, maxEjectedPercent: number): number {
  return Math.max(endpoints > 1 ? 1 : 0, Math.floor((endpoints * maxEjectedPercent) / 100));
}

/** ms of the `count`-th ejection (from 1): `count` times the base, up to the maximum, and up to a tenth more so that not all come back at once. */
export function ejectionMs(
  count: number,
  { baseEjectionMs, maxEjectionMs }: Pick<PassiveHealth, 'baseEjectionMs' | 'maxEjectionMs'>,
  random: number,
): number {
  return Math.min(count * baseEjectionMs, Math.max(baseEjectionMs, maxEjectionMs)) * (1 + random / 10);
}
