/** Algorithm → balancer. Exhaustive. */
import type { Balancing } from '../../snapshot/backend/balancing.ts';
import type { Balancer, Candidate, Tally } from './balancer.ts';
import { createLoadBound } from './bounded-load.ts';
import { createLeastRequest } from './least-request.ts';
import { createMaglev } from './maglev.ts';
import { createPeakEwma } from './peak-ewma.ts';
import { createRandom } from './random.ts';
import { createRingHash } from './ring-hash.ts';
import { createRoundRobin } from './round-robin.ts';

export interface BalancerInput {
  readonly candidates: readonly Candidate[];
  /** Above 0, one a candidate; need not be whole numbers. */
  readonly weights: readonly number[];
  /** See createRingHash. */
  readonly unit: number;
  /** Of the candidates. */
  readonly tally: Tally;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Where a round begins, from 0 to below 1. */
  readonly start: number;
}

export function createBalancer({ algorithm, maxLoadPercent }: Balancing, input: BalancerInput): Balancer {
  const { candidates, weights, random } = input;
  const bound = () =>
    maxLoadPercent === undefined ? null : createLoadBound(candidates, weights, maxLoadPercent, input.tally);
  switch (algorithm) {
    case 'roundRobin':
      return createRoundRobin(weights, input.start);
    case 'random':
      return createRandom(weights, random);
    case 'leastRequest':
      return createLeastRequest(candidates, weights, random);
    case 'peakEwma':
      return createPeakEwma(candidates, weights, random, input.now);
    case 'maglev':
      return createMaglev(candidates, weights, bound());
    case 'ringHash':
      return createRingHash(candidates, weights, input.unit, bound());
  }
}
