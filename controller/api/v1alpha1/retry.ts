/** Retries and hedging: the `retry` section of a Policy, and a rule's own. */
import { z } from 'zod';
import { DURATION_PATTERN, parseDurationMs } from '../duration.ts';
import { type Rule, withRules } from '../rule.ts';
import { boundedDuration, duration, eachOnce, integer } from './common.ts';
import { method } from './matching.ts';

const ON = ['connect', 'reset', 'timeout', 'status', 'grpcUnavailable'] as const;

const backoff = withRules(
  z.strictObject({
    base: boundedDuration(
      'Longest wait before the first retry; it doubles with each. Default 25ms.',
      '1ms',
      '1m',
    ).optional(),
    max: boundedDuration(
      'Longest wait before any retry. Default 250ms, or base if that is longer.',
      '1ms',
      '1m',
    ).optional(),
  }),
  {
    // What is no duration is its own rule's.
    cel: `!has(self.base) || !has(self.max) || !self.base.matches('${DURATION_PATTERN}') || !self.max.matches('${DURATION_PATTERN}') || duration(self.base) <= duration(self.max)`,
    message: 'base must not be longer than max',
    test: ({ base, max }) =>
      base === undefined ||
      max === undefined ||
      (parseDurationMs(base) ?? 0) <= (parseDurationMs(max) ?? Number.POSITIVE_INFINITY),
  },
).meta({ description: 'Before a retry it waits for a random part of this (exponential, full jitter).' });

interface Parts {
  retryOn?: readonly string[] | undefined;
  statuses?: readonly number[] | undefined;
  perTryTimeout?: string | undefined;
}

/** With `retryOn` left away, what is given says it. */
const asks = (part: keyof Parts, of: (typeof ON)[number]): Rule<Parts> => ({
  cel: `!has(self.${part}) || !has(self.retryOn) || '${of}' in self.retryOn`,
  message: `${part} needs ${of} in retryOn`,
  test: (value) => value[part] === undefined || value.retryOn === undefined || value.retryOn.includes(of),
});

export const retry = withRules(
  z.strictObject({
    attempts: integer(0, 10)
      .optional()
      .describe(
        'Retries after the first try. Default 1. 0: none, not even of a connect failure at another endpoint, which goes on without a retry policy.',
      ),
    perTryTimeout: boundedDuration(
      'How long a try may take until the head of its response. timeouts.request bounds all of them together, back-off included. Default: as long as timeouts.backend.',
      '1ms',
      '24h',
    ).optional(),
    // Not `on`: to YAML 1.1, which kubectl reads, that key is `true`.
    retryOn: withRules(z.array(z.enum(ON)).min(1).max(ON.length), eachOnce)
      .optional()
      .meta({
        description:
          'What is retried. connect: no connection was had, or none in time. reset: it broke before the head of a response, or what came is none. ' +
          'timeout: no head in time. status: one of statuses came. grpcUnavailable: a gRPC call was answered UNAVAILABLE before any message; it is retried although its method is POST. Default connect and reset, timeout if perTryTimeout is given, status if statuses are.',
        'x-kubernetes-list-type': 'set',
      }),
    statuses: withRules(z.array(integer(400, 599)).min(1).max(16), eachOnce)
      .optional()
      .meta({ description: 'Statuses that are retried. Default 502, 503, 504.', 'x-kubernetes-list-type': 'set' }),
    methods: withRules(z.array(method).min(1).max(16), eachOnce).optional().meta({
      description:
        'Methods that may be sent twice. Default GET, HEAD, OPTIONS, PUT, DELETE (idempotent, RFC 9110). A connect failure is retried for any: nothing was sent.',
      'x-kubernetes-list-type': 'set',
    }),
    budget: z
      .strictObject({
        percent: integer(0, 100)
          .optional()
          .describe('Share of the requests of the last two seconds that may be retried. Default 20.'),
        minPerSecond: integer(0, 1000)
          .optional()
          .describe(
            'Retries a second, on the average of ten seconds, that are allowed where that is more than the share. Default 3.',
          ),
      })
      .optional()
      .describe(
        'Bounds the retries and hedges of each Backend in each worker, so that an outage does not multiply its load. A connect failure that goes to another endpoint at once does not count.',
      ),
    backoff: backoff.optional(),
    maxRetryAfter: duration(
      'A Retry-After up to this is waited for; beyond it the response is passed on. Default 1s.',
    ).optional(),
    bodyBytes: integer(0, 1_048_576)
      .optional()
      .describe(
        'Bytes of the largest request body that is kept for a repeat. Once sending a larger one has begun, there is no retry. Default 65536.',
      ),
    hedge: z
      .strictObject({
        after: boundedDuration(
          'How long a request without a body waits for a response before another endpoint is asked as well. The first response counts; the other try is given up.',
          '1ms',
          '1h',
        ),
        max: integer(1, 3).optional().describe('Endpoints asked besides, one after the other. Default 1.'),
      })
      .optional()
      .describe('Only for methods that may be sent twice, and within the budget. Default: not.'),
  }),
  asks('statuses', 'status'),
  asks('perTryTimeout', 'timeout'),
).meta({ description: 'What is tried again, and how often.' });
export type RetrySpec = z.output<typeof retry>;
