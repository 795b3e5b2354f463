/** At random, in proportion to the weights. Of k picks an endpoint of share p gets k × p, give or take √(k × p × (1 - p)). */
import { type Balancer, redraw } from './balancer.ts';
import { createSampler } from './sampler.ts';

/** `random` gives numbers from 0 to below 1. */
export function createRandom(weights: readonly number[], random: () => number): Balancer {
  const count = weights.length;
  if (count === 0) return { pick: () => -1, another: () => -1 };
  const pick = createSampler(weights, random);
  return { pick, another: (_key, marked) => redraw(pick, count, marked) };
}
