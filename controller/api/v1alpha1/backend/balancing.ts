/** How endpoints share the requests. */
import { z } from 'zod';

export const balancing = z
  .strictObject({
    algorithm: z
      .enum(['roundRobin', 'leastRequest'])
      .default('roundRobin')
      .describe('roundRobin: in turn, by weight. leastRequest: the less busy of two picked at random.'),
  })
  .describe('How endpoints share the requests.');
export type BalancingSpec = z.output<typeof balancing>;
