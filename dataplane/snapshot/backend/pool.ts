/** Connections, and how much may be under way. All bounds hold for each worker. */
import { z } from 'zod';
import { durationMs } from '../primitives.ts';

export const pool = z.strictObject({
  /** Per endpoint. */
  maxConnections: z.int().min(1).max(65_535),
  /** Requests that may wait for a connection, per endpoint; more are answered 503 at once. */
  maxPending: z.int().min(0).max(1_000_000),
  idleTimeoutMs: durationMs,
  /** How long a request waits for a connection in the queue. Absent: `connectTimeoutMs`. */
  pendingTimeoutMs: durationMs.optional(),
  /** A connection that has served so many is closed. Absent: no limit. */
  maxRequestsPerConnection: z.int().min(1).max(1_000_000).optional(),
  /** An older one, to within a tenth, is closed once it is free. Absent: none is. */
  maxConnectionAgeMs: durationMs.min(1).optional(),
  /** Streams at a time over one HTTP/2 connection; beyond them another one is opened. Absent: 100. */
  maxConcurrentStreams: z.int().min(1).max(10_000).optional(),
  /** Requests in flight to the whole backend; more are answered 503 at once. */
  maxRequests: z.int().min(1).max(1_000_000).optional(),
  /**
   * A limit on the requests in flight to the whole backend that follows its latency (gradient, as in Netflix concurrency-limits and Envoy's
   * adaptive concurrency). It moves between `minLimit` and `maxLimit`.
   */
  adaptive: z
    .strictObject({
      minLimit: z.int().min(1).max(1_000_000),
      maxLimit: z.int().min(1).max(1_000_000),
      /** Latency may grow to this share of the one without load before the limit shrinks. */
      tolerancePercent: z.int().min(100).max(1000),
    })
    .optional(),
});
export type PoolSettings = z.infer<typeof pool>;
