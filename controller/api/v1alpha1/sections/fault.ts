/** Fault injection. */
import { z } from 'zod';
import { atLeastOneOf, withRules } from '../../rule.ts';
import { duration, headerName, integer, percent } from '../common.ts';

export const fault = withRules(
  z.strictObject({
    delay: z
      .strictObject({
        duration: duration('How long the request is held back before it is forwarded.'),
        percent: percent('Share of the requests that are delayed, in percent, such as 10 or 0.5.').default(100),
      })
      .optional()
      .describe('Holds requests back; at most 1024 at once in a worker, further ones go on undelayed.'),
    abort: z
      .strictObject({
        status: integer(400, 599).describe('Status of the answer.'),
        percent: percent('Share of the requests that are answered so, in percent, such as 1 or 0.5.').default(100),
        message: z
          .string()
          .min(1)
          .max(1024)
          .optional()
          .describe('What the problem document says. Default: that a policy asked for it.'),
      })
      .optional()
      .describe(
        'Answers in place of the backend, with code fault-injected, after the delay. Its share is drawn apart.',
      ),
    header: headerName
      .optional()
      .meta({ description: 'Only requests that carry this header, with any value. Absent: every request.' }),
  }),
  atLeastOneOf('delay', 'abort'),
).meta({ description: 'Faults put into a share of the requests on purpose, to see what else they break.' });
