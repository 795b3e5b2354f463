/** From the outcomes of probes to the state of an endpoint. Pure. */

export interface ProbedState {
  /** True until a probe says otherwise: whoever sent the endpoint (Kubernetes, for one) took it for ready. */
  readonly healthy: boolean;
  /** It was probed at least once. */
  readonly probed: boolean;
  /** Outcomes, one after the other, that speak against `healthy`. */
  readonly streak: number;
}

export const UNPROBED: ProbedState = { healthy: true, probed: false, streak: 0 };

export interface Thresholds {
  /** 1 or more. */
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

/**
 * The first outcome alone decides, as in HAProxy and Envoy: an endpoint that was never seen to serve should not get requests for as
 * long as it takes to be sure. Later ones have to repeat themselves.
 */
export function judge(before: ProbedState, succeeded: boolean, thresholds: Thresholds): ProbedState {
  if (!before.probed) return { healthy: succeeded, probed: true, streak: 0 };
  if (succeeded === before.healthy) return before.streak === 0 ? before : { ...before, streak: 0 };
  const streak = before.streak + 1;
  const needed = before.healthy ? thresholds.unhealthyThreshold : thresholds.healthyThreshold;
  return streak < needed ? { ...before, streak } : { healthy: succeeded, probed: true, streak: 0 };
}

/** ms until the next probe: the interval, longer or shorter by up to `jitterPercent` of it. `random` is from 0 to below 1. */
export function waitMs(intervalMs: number, jitterPercent: number, random: number): number {
  return Math.max(1, Math.round(intervalMs * (1 + (jitterPercent / 100) * (2 * random - 1))));
}

/** Where more endpoints than AT_ONCE appear together, their first probes are spread evenly over this part of the interval. */
const AT_ONCE = 16;
const SPREAD = 0.25;

/** ms until the first probe of number `index` of `count` endpoints that appeared together. */
export function firstWaitMs(index: number, count: number, intervalMs: number): number {
  return count <= AT_ONCE ? 0 : Math.floor((index / count) * SPREAD * intervalMs);
}
