/**
 * Smooth weighted round-robin (nginx's algorithm): in each round every candidate gains its weight, the richest is chosen and pays
 * the sum. Within any run of `sum of weights` picks each is chosen exactly `weight` times, and never in a burst. O(1) where all weights are
 * equal, O(n) otherwise. `offset` turns the starting point, so that workers don't all begin with the same endpoint.
 */
import type { Balancer, Candidate } from './balancer.ts';

export function createRoundRobin(candidates: readonly Candidate[], offset = 0): Balancer {
  const count = candidates.length;
  if (count === 0) return { pick: () => -1 };
  const first = candidates[0] as Candidate;
  if (candidates.every((candidate) => candidate.weight === first.weight)) {
    let next = offset % count;
    return {
      pick: () => {
        const index = next;
        next = index + 1 === count ? 0 : index + 1;
        return index;
      },
    };
  }
  const credit = new Float64Array(count);
  const weights = Float64Array.from(candidates, (candidate) => candidate.weight);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const pick = (): number => {
    let best = 0;
    for (let i = 0; i < count; i++) {
      credit[i] = (credit[i] as number) + (weights[i] as number);
      if ((credit[i] as number) > (credit[best] as number)) best = i;
    }
    credit[best] = (credit[best] as number) - sum;
    return best;
  };
  for (let i = offset % sum; i > 0; i--) pick();
  return { pick };
}
