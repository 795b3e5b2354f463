/** Circuit breakers, by the names of opossum's options. */
import { z } from 'zod';
import { atLeastOneOf, type Rule, withRules } from '../../rule.ts';
import { boundedDuration, integer } from '../common.ts';

const slowNeedsDuration: Rule<{
  slowCallDuration?: string | undefined;
  slowCallThresholdPercentage?: number | undefined;
}> = {
  cel: '!has(self.slowCallThresholdPercentage) || has(self.slowCallDuration)',
  message: 'slowCallThresholdPercentage needs slowCallDuration',
  test: (value) => value.slowCallThresholdPercentage === undefined || value.slowCallDuration !== undefined,
};

const circuit = (text: string) =>
  withRules(
    z.strictObject({
      errorThresholdPercentage: integer(1, 100)
        .optional()
        .describe(
          'Share of failures within the window at which it opens: 5xx answers and requests without a whole response; 4xx are none. Default 50.',
        ),
      volumeThreshold: integer(1, 1_000_000)
        .optional()
        .describe('With fewer requests within the window no share opens it. Default 20.'),
      rollingCountTimeout: boundedDuration('Length of the window. Default 10s.', '100ms', '1h').optional(),
      rollingCountBuckets: integer(1, 100)
        .optional()
        .describe('Parts of the window; the oldest is dropped as a whole. Default 10.'),
      consecutiveFailures: integer(1, 1_000_000)
        .optional()
        .describe('Opens it after so many failures one after the other, whatever the share. Absent: not by this.'),
      slowCallDuration: boundedDuration(
        'A request that takes longer from the choice of its endpoint to the head of the response is slow. Absent: none is.',
        '1ms',
        '1h',
      ).optional(),
      slowCallThresholdPercentage: integer(1, 100)
        .optional()
        .describe('Share of slow requests within the window at which it opens. Default 50.'),
      resetTimeout: boundedDuration(
        'How long it stays open; then it is half open. Default 30s.',
        '100ms',
        '24h',
      ).optional(),
      halfOpenRequests: integer(1, 1000)
        .optional()
        .describe(
          'Requests let through while half open. When all of them succeeded it closes; one that fails, or is slow, opens it again. Default 3.',
        ),
    }),
    slowNeedsDuration,
  ).meta({ description: text });

export const breaker = withRules(
  z.strictObject({
    endpoint: circuit(
      'For each endpoint: while open, requests go to the others; with all of them open they get 503.',
    ).optional(),
    backend: circuit('For all endpoints together: while open, requests get 503 at once, with Retry-After.').optional(),
  }),
  atLeastOneOf('endpoint', 'backend'),
).describe(
  'Circuit breakers: what fails is left alone for a while. Each worker of a data plane has its own, and counts what it sees itself. Default: none.',
);
export type BreakerSpec = z.output<typeof breaker>;
export type CircuitSpec = NonNullable<BreakerSpec['endpoint']>;
