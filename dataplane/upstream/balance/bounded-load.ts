/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2016): of m requests in flight no endpoint takes more than
 * ⌈c × (m + 1) × its share of the weights⌉; a key whose endpoint is full goes on along its ring to the first that is not. There always is one, as
 * the bounds add up to more than m.
 */
import type { Candidate, Tally } from './balancer.ts';

export interface LoadBound {
  /** Whether the candidate has room for one more request. */
  hasRoom(index: number): boolean;
  /** The one with the fewest requests in flight per weight: for when the walk to a free one grows long. */
  idlest(): number;
}

/** `maxLoadPercent` > 100. `tally` counts the requests in flight at all candidates. */
export function createLoadBound(
  candidates: readonly Pick<Candidate, 'active'>[],
  weights: readonly number[],
  maxLoadPercent: number,
  tally: Tally,
): LoadBound {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const factor = Float64Array.from(weights, (weight) => ((maxLoadPercent / 100) * weight) / sum);
  const activeOf = (index: number): number => (candidates[index] as Candidate).active;
  return {
    hasRoom: (index) => activeOf(index) < Math.ceil((factor[index] as number) * (tally.active + 1)),
    idlest: () => {
      let best = 0;
      for (let i = 1; i < candidates.length; i++) {
        if (activeOf(i) * (weights[best] as number) < activeOf(best) * (weights[i] as number)) best = i;
      }
      return best;
    },
  };
}
