/** What goes first when not all can be served. */
import { z } from 'zod';
import { DURATION_PATTERN, parseDurationMs } from '../../duration.ts';
import { withRules } from '../../rule.ts';
import { headerName, integer, show } from '../common.ts';

const priority = z.enum(['low', 'normal', 'high', 'critical']);

const delay = withRules(z.string().min(1).max(24), {
  cel: `self.matches('${DURATION_PATTERN}') && (duration(self) == duration('0s') || (duration(self) >= duration('20ms') && duration(self) <= duration('1s')))`,
  message: 'must be 0s, or a duration from 20ms to 1s such as 100ms',
  test: (value) => {
    const ms = parseDurationMs(value) ?? -1;
    return ms === 0 || (ms >= 20 && ms <= 1000) || `must be 0s, or a duration from 20ms to 1s, got ${show(value)}`;
  },
}).meta({
  description:
    'How long requests may wait for the event loop of a worker, by its own work; beyond, as many are turned away as keep it there. 0s: never. Default 100ms.',
});

const window = withRules(z.string().min(1).max(24), {
  cel: `self.matches('${DURATION_PATTERN}') && duration(self) >= duration('1s') && duration(self) <= duration('5m')`,
  message: 'must be a duration from 1s to 5m such as 10s',
  test: (value) => {
    const ms = parseDurationMs(value) ?? 0;
    return (ms >= 1000 && ms <= 300_000) || `must be a duration from 1s to 5m such as 10s, got ${show(value)}`;
  },
}).meta({ description: 'How far back requests count. Default 10s.' });

const successRate = z
  .strictObject({
    threshold: integer(1, 100)
      .optional()
      .describe(
        'Percent of the requests that should succeed; below, new ones are turned away in proportion. Default 95.',
      ),
    minRequests: integer(1, 1_000_000)
      .optional()
      .describe('Within the window, of each rule and worker; with fewer none is turned away. Default 100.'),
    window: window.optional(),
  })
  .describe(
    'Turns requests away by how those of the same rule end: a status of 500 and more is a failure. At most 80 percent of them. Absent: not by this.',
  );

export const shedding = withRules(
  z.strictObject({
    eventLoopDelay: delay.optional(),
    successRate: successRate.optional(),
    priority: priority
      .optional()
      .describe(
        'What requests are worth: low ones are turned away first, then normal, then high; critical never. Default normal.',
      ),
    priorityHeader: headerName
      .optional()
      .describe(
        'A request header that says another priority: low, normal, high or critical, or 0 to 3. A client may lower it; see maxHeaderPriority.',
      ),
    maxHeaderPriority: priority
      .optional()
      .describe(
        'The highest priority the header may give. Above priority only where every client is trusted: shedding runs before authentication. Default: priority.',
      ),
  }),
  {
    cel: '!has(self.maxHeaderPriority) || has(self.priorityHeader)',
    message: 'maxHeaderPriority needs priorityHeader',
    test: ({ maxHeaderPriority, priorityHeader }) => maxHeaderPriority === undefined || priorityHeader !== undefined,
  },
).meta({
  description:
    'What goes first when not all can be served: requests are answered 503 with Retry-After at once, before anything is spent on them. Without a policy, TIDEGATE_SHEDDING_DELAY_MS of the data plane holds.',
});
