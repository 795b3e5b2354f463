/** What is tried again: the `retry` section of a policy, and a rule's own. Every figure is there; the defaults are the controller's. */
import { z } from 'zod';
import { durationMs } from './primitives.ts';

export const RETRY_ON = ['connect', 'reset', 'timeout', 'status', 'grpcUnavailable'] as const;

const budget = z.strictObject({
  /** Retries at most, in percent of the requests of the last two seconds; */
  percent: z.int().min(0).max(100),
  /** or so many a second, on the average of ten, where that is more. */
  minPerSecond: z.int().min(0).max(10_000),
});

const backoff = z
  .strictObject({ baseMs: durationMs, maxMs: durationMs })
  .refine(({ baseMs, maxMs }) => baseMs <= maxMs, 'maxMs is less than baseMs');

const hedge = z.strictObject({
  /** Without a response head for so long, another endpoint is asked as well. */
  afterMs: durationMs.min(1),
  max: z.int().min(1).max(3),
});

export const retrySettings = z.strictObject({
  /** Retries after the first try. */
  attempts: z.int().min(0).max(10),
  /** Until the response head. Absent: off. */
  perTryTimeoutMs: durationMs.min(1).optional(),
  on: z.array(z.enum(RETRY_ON)).min(1).max(RETRY_ON.length),
  /** Of `on: status`. */
  statuses: z.array(z.int().min(400).max(599)).max(64),
  /** That may be sent twice. Connect failures are retried for any. */
  methods: z.array(z.string()).max(32),
  budget,
  backoff,
  maxRetryAfterMs: durationMs,
  /** Largest request body kept for a repeat. */
  bodyBytes: z
    .int()
    .min(0)
    .max(16 * 1024 * 1024),
  hedge: hedge.optional(),
});
export type RetrySettings = z.infer<typeof retrySettings>;
