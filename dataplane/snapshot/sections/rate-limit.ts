/** How much: limits on requests. All limits of a section must admit a request. */
import { z } from 'zod';
import { headerName } from '../primitives.ts';

/** Shown to clients in the RateLimit fields, and part of what its state is kept under. */
const limitName = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const amount = z.int().min(1).max(1_000_000_000);
/** 1 ms to 31 days. */
const windowMs = z.int().min(1).max(2_678_400_000);

/**
 * What requests are told apart by. Where a request lacks it (no consumer, no such claim or header), it counts under the empty value,
 * together with all others that lack it.
 */
const limitKeyPart = z.discriminatedUnion('by', [
  /** The client's address, cut to a prefix: a home has a whole IPv6 /64. */
  z.strictObject({
    by: z.literal('address'),
    prefixV4: z.int().min(1).max(32).default(32),
    prefixV6: z.int().min(1).max(128).default(64),
  }),
  z.strictObject({ by: z.literal('consumer') }),
  z.strictObject({ by: z.literal('claim'), name: z.string().min(1).max(256) }),
  z.strictObject({ by: z.literal('header'), name: headerName }),
  z.strictObject({ by: z.literal('route') }),
  z.strictObject({ by: z.literal('rule') }),
]);
export type LimitKeyPart = z.infer<typeof limitKeyPart>;

/** Units a request takes. A field that is missing or no whole number counts as `default`; what it says is cut to `max`. */
const limitCost = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('fixed'), amount }),
  /** At least 1: who sends the field must not be able to pass for nothing. */
  z.strictObject({ from: z.literal('requestHeader'), name: headerName, default: amount, max: amount }),
  /** Charged when the response is there; admitted while anything is left. 0 is free. */
  z.strictObject({
    from: z.literal('responseHeader'),
    name: headerName,
    default: z.int().min(0).max(1_000_000_000),
    max: amount,
  }),
]);
export type LimitCost = z.infer<typeof limitCost>;

/** Another amount for some callers; the first that names the caller counts. */
const limitOverride = z.strictObject({
  consumers: z.array(z.string().min(1).max(256)).max(1000).default([]),
  groups: z.array(z.string().min(1).max(256)).max(100).default([]),
  limit: amount,
  windowMs: windowMs.optional(),
  burst: amount.optional(),
});
export type LimitOverride = z.infer<typeof limitOverride>;

const limitConfig = z.strictObject({
  name: limitName,
  algorithm: z.enum(['tokenBucket', 'slidingWindow', 'fixedWindow', 'concurrency']),
  /** Units a window; of `concurrency`, requests in flight. */
  limit: amount,
  /** Absent only for `concurrency`. */
  windowMs: windowMs.optional(),
  /** Capacity of a token bucket; absent: `limit`. */
  burst: amount.optional(),
  /** Empty: one for all. */
  key: z.array(limitKeyPart).max(8).default([]),
  cost: limitCost.default({ from: 'fixed', amount: 1 }),
  overrides: z.array(limitOverride).max(64).default([]),
  /** `local`: each data plane by itself; `global`: all data planes of the installation together. */
  scope: z.enum(['local', 'global']).default('local'),
  /** `memory` with `global`: each data plane has its share. */
  store: z.enum(['memory', 'redis']).default('memory'),
  /** Of Redis: asked for each request, or for batches. */
  mode: z.enum(['exact', 'leased']).default('exact'),
  /** `local`: by this data plane's share meanwhile. */
  onStoreFailure: z.enum(['allow', 'deny', 'local']).default('local'),
  /** Counted and logged, never refused, and not told to clients. */
  dryRun: z.boolean().default(false),
});
export type LimitConfig = z.infer<typeof limitConfig>;

export const rateLimitSection = z.strictObject({
  section: z.literal('rateLimit'),
  limits: z.array(limitConfig).min(1).max(16),
  /** Whether responses carry RateLimit and RateLimit-Policy. */
  responseFields: z.boolean().default(true),
});
export type RateLimitSection = z.infer<typeof rateLimitSection>;
