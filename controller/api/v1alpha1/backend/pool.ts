/** Connections kept to each endpoint, and how much may be under way. */
import { z } from 'zod';
import { type Rule, withRules } from '../../rule.ts';
import { boundedDuration, duration, integer } from '../common.ts';

const ordered: Rule<{ minLimit?: number | undefined; maxLimit?: number | undefined }> = {
  cel: '!has(self.minLimit) || !has(self.maxLimit) || self.minLimit <= self.maxLimit',
  message: 'minLimit must not be above maxLimit',
  test: ({ minLimit, maxLimit }) => minLimit === undefined || maxLimit === undefined || minLimit <= maxLimit,
};

const adaptive = withRules(
  z.strictObject({
    minLimit: integer(1, 1_000_000)
      .optional()
      .describe('It begins with this many and never allows fewer. Default 10, or maxLimit if that is less.'),
    maxLimit: integer(1, 1_000_000)
      .optional()
      .describe('It never allows more. Default 1000, or minLimit if that is more.'),
    tolerancePercent: integer(100, 1000)
      .optional()
      .describe('Mean latency, in percent of the one without waiting, above which it allows fewer. Default 150.'),
  }),
  ordered,
).meta({
  description:
    'A limit on the requests under way to the whole backend, of each worker, that follows its latency; more are answered 503 at once. Not for responses that stream without end: they count as long as they last. Absent: none.',
});

export const pool = z
  .strictObject({
    maxConnections: integer(1, 65535)
      .optional()
      .describe('Connections to one endpoint, of each worker of a data plane. Default 512.'),
    maxConcurrentStreams: integer(1, 10_000)
      .optional()
      .describe(
        'Requests at a time over one connection of HTTP/2, where the endpoint does not allow fewer; then another connection is opened. Default 100.',
      ),
    maxPending: integer(0, 1_000_000)
      .optional()
      .describe('Requests that may wait for a connection; more are answered 503 at once. Default 1024.'),
    pendingTimeout: duration(
      'How long a request waits for a connection before it is answered 503. Default: timeouts.connect.',
    ).optional(),
    idleTimeout: duration('How long a connection is kept without a request. Default 60s.').optional(),
    maxRequestsPerConnection: integer(1, 1_000_000)
      .optional()
      .describe('A connection that has served so many requests is closed. Absent: no limit.'),
    maxConnectionAge: boundedDuration(
      'An older connection is closed once its requests are done; up to a tenth sooner, so that not all are at a time. Absent: no limit.',
      '1s',
      '24h',
    ).optional(),
    maxRequests: integer(1, 1_000_000)
      .optional()
      .describe(
        'Requests under way to the whole backend, of each worker of a data plane; more are answered 503 at once. Absent: no limit.',
      ),
    adaptive: adaptive.optional(),
  })
  .describe('Connections kept to each endpoint.');
export type PoolSpec = z.output<typeof pool>;
