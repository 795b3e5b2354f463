/** How it is found out which endpoints serve. */
import { z } from 'zod';
import { durationMs, headerName, headerValue } from '../primitives.ts';

/** 1 ms to a day. */
const positiveMs = durationMs.min(1);
const percent = z.int().min(0).max(100);
const threshold = z.int().min(1).max(1000);
const statusRange = z.strictObject({ from: z.int().min(100).max(599), to: z.int().min(100).max(599) });

const probe = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('http'),
    method: z.enum(['GET', 'HEAD', 'OPTIONS']),
    path: z.string().min(1).max(1024),
    /** Absent: the endpoint's address and port. */
    host: z.string().min(1).max(253).optional(),
    headers: z.array(z.strictObject({ name: headerName, value: headerValue })).max(16),
    /** One of these is healthy. */
    statuses: z.array(statusRange).min(1).max(16),
  }),
  /** A connection that opens. */
  z.strictObject({ kind: z.literal('tcp') }),
  /** grpc.health.v1.Health/Check answers SERVING. */
  z.strictObject({ kind: z.literal('grpc'), service: z.string().max(256) }),
]);

/** One data plane probes each endpoint once an interval, however many workers it has. */
const activeHealth = z.strictObject({
  probe,
  /** Absent: the port of the endpoint. */
  port: z.int().min(1).max(65_535).optional(),
  intervalMs: positiveMs,
  /** Each wait is longer or shorter by up to this part of the interval. */
  jitterPercent: percent,
  timeoutMs: positiveMs,
  /** Successes, or failures, one after the other that change an endpoint's state. */
  healthyThreshold: threshold,
  unhealthyThreshold: threshold,
});
export type ActiveHealth = z.infer<typeof activeHealth>;

/** Outlier ejection, from the requests themselves. Each worker judges by what it sees. An absent detector is off. */
const passiveHealth = z.strictObject({
  /** 5xx answers and failures of any kind, one after the other. */
  consecutiveErrors: threshold.optional(),
  /** Failures to connect, one after the other. */
  consecutiveConnectErrors: threshold.optional(),
  /** Once an interval: those whose share of successes lies below the mean of all by `stdevFactorPercent` / 100 standard deviations. */
  successRate: z
    .strictObject({
      minRequests: threshold,
      minEndpoints: threshold,
      stdevFactorPercent: z.int().min(1).max(10_000),
    })
    .optional(),
  /** Once an interval: those whose mean latency to the head is more than this share of the median of all. */
  latency: z.strictObject({ minRequests: threshold, factorPercent: z.int().min(101).max(100_000) }).optional(),
  intervalMs: positiveMs,
  /** The n-th ejection in a row lasts n times this, up to the maximum. */
  baseEjectionMs: positiveMs,
  maxEjectionMs: positiveMs,
  /** Of all endpoints; at least one may always be ejected where there are two or more. */
  maxEjectedPercent: percent,
});
export type PassiveHealth = z.infer<typeof passiveHealth>;

export const health = z.strictObject({
  active: activeHealth.optional(),
  passive: passiveHealth.optional(),
  /** Where fewer than this share of the endpoints is healthy, health is not looked at: all get requests. 0: never. */
  panicPercent: percent,
});
export type Health = z.infer<typeof health>;
