/** What a rule does with its traffic besides forwarding it by weight: by whom the split goes, copies, and where else it may go. */
import { z } from 'zod';
import { headerValue, id, perMillion } from './primitives.ts';

/** Whose hash decides in place of a random number: one value always gets the same share of unchanged weights. */
export const split = z.strictObject({ by: z.enum(['header', 'cookie']), name: z.string().min(1).max(256) });
export type Split = z.infer<typeof split>;

/** Bytes of a body that may be held for one copy. */
export const MAX_KEPT_BODY_BYTES = 1_048_576;

export const mirror = z.strictObject({
  backend: id,
  perMillion,
  /** Requests with a larger body are not copied. */
  bodyBytes: z.int().min(0).max(MAX_KEPT_BODY_BYTES),
});
export type MirrorConfig = z.infer<typeof mirror>;

const directAnswer = z.strictObject({
  status: z.int().min(200).max(599),
  contentType: headerValue.optional(),
  body: z.string().max(65_536).default(''),
});

/** One of `backends` and `respond`. */
export const fallback = z.strictObject({
  /**
   * `unavailable`: nothing was sent (no endpoint, breaker open, too many requests, no connection). `reset`: no acceptable response came.
   * `timeout`: none came in time. `status`: one of `statuses` came.
   */
  on: z.array(z.enum(['unavailable', 'reset', 'timeout', 'status'])).min(1),
  statuses: z.array(z.int().min(400).max(599)).max(16).default([]),
  /** Methods that go to `backends` although the first backend may have acted on the request. */
  methods: z.array(z.string()).max(16).default([]),
  /** Requests with a larger body that was begun to be sent go nowhere else. */
  bodyBytes: z.int().min(0).max(MAX_KEPT_BODY_BYTES),
  backends: z
    .array(z.strictObject({ weight: z.int().min(0).max(1000), backend: id }))
    .min(1)
    .optional(),
  respond: directAnswer.optional(),
});
export type FallbackConfig = z.infer<typeof fallback>;
