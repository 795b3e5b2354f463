/** Outlier ejection: endpoints that stand out by what requests to them came to get none for a while. */
import { z } from 'zod';
import { DURATION_PATTERN, parseDurationMs } from '../../duration.ts';
import { type Rule, withRules } from '../../rule.ts';
import { boundedDuration, integer } from '../common.ts';

const successRate = z
  .strictObject({
    minRequests: integer(1, 1000)
      .optional()
      .describe('Endpoints with fewer requests in an interval are not judged. Default 100.'),
    minEndpoints: integer(1, 1000).optional().describe('With fewer endpoints that can be judged none is. Default 5.'),
    stdevFactorPercent: integer(1, 10_000)
      .optional()
      .describe(
        'How many standard deviations, times 100, below the mean share of all an endpoint stands out. Default 190, that is 1.9.',
      ),
  })
  .describe('Ejects endpoints whose share of good answers lies far below that of the others. Absent: not by this.');

const latency = z
  .strictObject({
    minRequests: integer(1, 1000)
      .optional()
      .describe('Endpoints with fewer answers in an interval are not judged. Default 100.'),
    factorPercent: integer(101, 100_000)
      .optional()
      .describe(
        'Share of the median of all, in percent, above which the mean latency of an endpoint stands out. Means below 5 ms never do. Default 500.',
      ),
  })
  .describe(
    'Ejects endpoints whose mean latency, from their choice to the head of the response, is many times that of the others. Absent: not by this.',
  );

interface Parts {
  consecutiveErrors?: number | undefined;
  consecutiveConnectErrors?: number | undefined;
  successRate?: object | undefined;
  latency?: object | undefined;
  baseEjection?: string | undefined;
  maxEjection?: string | undefined;
}

const detects: Rule<Parts> = {
  cel: 'has(self.successRate) || has(self.latency) || !has(self.consecutiveErrors) || self.consecutiveErrors > 0 || !has(self.consecutiveConnectErrors) || self.consecutiveConnectErrors > 0',
  message: 'must not switch everything off: leave passive away instead',
  test: (value) =>
    value.successRate !== undefined ||
    value.latency !== undefined ||
    value.consecutiveErrors !== 0 ||
    value.consecutiveConnectErrors !== 0,
};

const ordered: Rule<Parts> = {
  // What is no duration is its own rule's.
  cel: `!has(self.baseEjection) || !has(self.maxEjection) || !self.baseEjection.matches('${DURATION_PATTERN}') || !self.maxEjection.matches('${DURATION_PATTERN}') || duration(self.baseEjection) <= duration(self.maxEjection)`,
  message: 'baseEjection must not be longer than maxEjection',
  test: ({ baseEjection, maxEjection }) =>
    baseEjection === undefined ||
    maxEjection === undefined ||
    (parseDurationMs(baseEjection) ?? 0) <= (parseDurationMs(maxEjection) ?? Number.POSITIVE_INFINITY),
};

export const passiveHealth = withRules(
  z.strictObject({
    consecutiveErrors: integer(0, 1000)
      .optional()
      .describe(
        'Ejects an endpoint after so many errors one after the other: 5xx answers, failed connections, time-outs, responses that broke off. 0: not by this. Default 5.',
      ),
    consecutiveConnectErrors: integer(0, 1000)
      .optional()
      .describe(
        'Ejects an endpoint to which so many connections one after the other failed. 0: not by this. Default 3.',
      ),
    successRate: successRate.optional(),
    latency: latency.optional(),
    interval: boundedDuration(
      'How often successRate and latency judge; an endpoint that stayed for an interval is ejected for shorter the next time. Default 5s.',
      '1s',
      '1h',
    ).optional(),
    baseEjection: boundedDuration(
      'How long the first ejection lasts; the n-th in a row lasts n times that. Up to a tenth more, so that not all come back at once. Default 30s.',
      '1s',
      '24h',
    ).optional(),
    maxEjection: boundedDuration(
      'The longest an ejection lasts. Default 5m, or baseEjection if that is longer.',
      '1s',
      '24h',
    ).optional(),
    maxEjectedPercent: integer(0, 100)
      .optional()
      .describe('Share of the endpoints that may be ejected at a time; of two or more always one. Default 50.'),
  }),
  detects,
  ordered,
).describe(
  'Ejects endpoints by what requests to them came to. Each worker of a data plane judges by what it sees itself. Default: not.',
);
export type PassiveHealthSpec = z.output<typeof passiveHealth>;
