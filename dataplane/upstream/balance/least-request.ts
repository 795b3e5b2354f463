/**
 * Least request with the power of two choices (Mitzenmacher 2001): two different candidates are drawn in proportion to their weights,
 * and the one with fewer requests in flight per weight is taken; on a tie the first drawn. So idle endpoints share in proportion to
 * their weights, and a slow one is avoided without a herd running to the momentarily best.
 */
import { type Balancer, type Candidate, redraw } from './balancer.ts';
import { createSampler } from './sampler.ts';

/** Draws of a second candidate before the first is taken as it is (one weight dominates). */
const DRAWS = 4;

/** `random` gives numbers from 0 to below 1. */
export function createLeastRequest(
  candidates: readonly Pick<Candidate, 'active'>[],
  weights: readonly number[],
  random: () => number,
): Balancer {
  const count = candidates.length;
  if (count < 2) return { pick: () => count - 1, another: (_key, marked) => (marked[0] === 0 ? count - 1 : -1) };
  const draw = createSampler(weights, random);
  const pick = (): number => {
    const one = draw();
    let other = count === 2 ? 1 - one : draw();
    for (let i = 0; i < DRAWS && other === one; i++) other = draw();
    const a = (candidates[one] as Candidate).active * (weights[other] as number);
    const b = (candidates[other] as Candidate).active * (weights[one] as number);
    return b < a ? other : one;
  };
  return { pick, another: (_key, marked) => redraw(pick, count, marked) };
}
