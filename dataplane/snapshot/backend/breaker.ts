/** Circuit breakers: opossum's options by opossum's names, for each endpoint and for the backend as a whole. */
import { z } from 'zod';
import { durationMs } from '../primitives.ts';

const percent = z.int().min(1).max(100);

const circuit = z.strictObject({
  /** Opens when this share of the window's requests failed … */
  errorThresholdPercentage: percent,
  /** … and there were at least so many. */
  volumeThreshold: z.int().min(1).max(1_000_000),
  /** Length of the sliding window, and the number of its parts. */
  rollingCountTimeoutMs: durationMs.min(1),
  rollingCountBuckets: z.int().min(1).max(100),
  /** Opens after so many failures one after the other, whatever the share. */
  consecutiveFailures: z.int().min(1).max(1_000_000).optional(),
  /** A request that takes longer to its response head is slow; opens when this share was slow. */
  slowCallDurationMs: durationMs.min(1).optional(),
  slowCallThresholdPercentage: percent.optional(),
  /** How long it stays open before it is half open. */
  resetTimeoutMs: durationMs.min(1),
  /** Requests let through while half open; when all of them succeed it closes, one failure opens it again. */
  halfOpenRequests: z.int().min(1).max(1000),
});
export type Circuit = z.infer<typeof circuit>;

export const breaker = z.strictObject({ endpoint: circuit.optional(), backend: circuit.optional() });
export type Breaker = z.infer<typeof breaker>;
