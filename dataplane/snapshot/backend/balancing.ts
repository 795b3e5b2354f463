/** How a backend's endpoints share its requests. */
import { z } from 'zod';
import { durationMs, headerName } from '../primitives.ts';

/** RFC 6265 section 4.1.1: a token. */
const cookieName = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/);

/** RFC 6265 section 4.1.1: any character but controls and `;`. */
const cookiePath = z.string().regex(/^\/[!-:<-~]{0,1023}$/);

/** What of a request decides its endpoint. Where a request lacks it, it is spread at random. */
const hashKey = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('header'), name: headerName }),
  z.strictObject({ by: z.literal('cookie'), name: cookieName }),
  z.strictObject({ by: z.literal('query'), name: z.string().min(1).max(256) }),
  z.strictObject({ by: z.literal('address') }),
]);
export type HashKey = z.infer<typeof hashKey>;

export const balancing = z.strictObject({
  algorithm: z.enum(['roundRobin', 'random', 'leastRequest', 'peakEwma', 'maglev', 'ringHash']),
  /** Only, and always, with maglev and ringHash. */
  hash: hashKey.optional(),
  /**
   * Bounded load of maglev and ringHash: an endpoint with more requests in flight than this share of the mean passes them on to the next
   * one. Percent; absent: unbounded.
   */
  maxLoadPercent: z.int().min(101).max(1000).optional(),
  /** A client stays at its endpoint as long as that one serves. */
  sticky: z
    .strictObject({
      cookie: cookieName,
      /** 0: until the browser closes. */
      ttlMs: durationMs,
      path: cookiePath,
      /** Of the Backend and not to be guessed: the cookie holds a hash under it, so that it tells no address. */
      key: z.string().min(1).max(512),
    })
    .optional(),
  /** A new or recovered endpoint's share grows from a tenth to its whole over this time. 0 or absent: at once. */
  slowStartMs: durationMs.optional(),
  /** Endpoints of the data plane's own zone first, as far as they can carry their part. */
  preferZone: z.boolean().optional(),
});
export type Balancing = z.infer<typeof balancing>;
