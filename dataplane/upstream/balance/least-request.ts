/**
 * Least request with the power of two choices (Mitzenmacher 2001): two different candidates are drawn in proportion to their weights,
 * and the one with fewer requests in flight per weight is taken; on a tie the first drawn. So idle endpoints share in proportion to
 * their weights, and a slow one is avoided without a herd running to the momentarily best.
 */
import type { Balancer, Candidate } from './balancer.ts';

/** Draws of a second candidate before the first is taken as it is (one weight dominates). */
const DRAWS = 4;

/** `random` gives numbers from 0 to below 1. */
export function createLeastRequest(candidates: readonly Candidate[], random: () => number): Balancer {
  const count = candidates.length;
  if (count < 2) return { pick: () => count - 1 };
  const first = candidates[0] as Candidate;
  const uniform = candidates.every((candidate) => candidate.weight === first.weight);
  const bounds = new Float64Array(count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += (candidates[i] as Candidate).weight;
    bounds[i] = sum;
  }
  const draw = (): number => {
    if (uniform) return Math.floor(random() * count);
    const point = random() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((bounds[middle] as number) > point) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return {
    pick: () => {
      const one = draw();
      let other = count === 2 ? 1 - one : draw();
      for (let i = 0; i < DRAWS && other === one; i++) other = draw();
      const a = candidates[one] as Candidate;
      const b = candidates[other] as Candidate;
      return b.active * a.weight < a.active * b.weight ? other : one;
    },
  };
}
