/** Which endpoints get requests. */
import { z } from 'zod';
import { atLeastOneOf, withRules } from '../../rule.ts';
import { integer } from '../common.ts';
import { activeHealth } from './active-health.ts';
import { passiveHealth } from './passive-health.ts';

export const health = withRules(
  z.strictObject({
    active: activeHealth.optional(),
    passive: passiveHealth.optional(),
    panicPercent: integer(0, 100)
      .optional()
      .describe(
        'Where less than this share of the endpoints is healthy, health counts no more: all get requests, as the rest could not carry the load. 0: never. Default 50.',
      ),
  }),
  atLeastOneOf('active', 'passive'),
).describe('How it is found out which endpoints serve. Default: an endpoint of the list serves.');
export type HealthSpec = z.output<typeof health>;
