/** Algorithm → balancer. Exhaustive. */
import type { Balancing } from '../../snapshot/backend/balancing.ts';
import type { Balancer, Candidate } from './balancer.ts';
import { createLeastRequest } from './least-request.ts';
import { createRoundRobin } from './round-robin.ts';

/** `random` gives numbers from 0 to below 1. */
export function createBalancer(
  { algorithm }: Balancing,
  candidates: readonly Candidate[],
  random: () => number,
): Balancer {
  switch (algorithm) {
    case 'leastRequest':
      return createLeastRequest(candidates, random);
    default:
      return createRoundRobin(candidates, Math.floor(random() * 1_000_000));
  }
}
