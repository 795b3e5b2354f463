/** The parts several resources share. Durations are integer milliseconds, sizes are bytes. */
import { z } from 'zod';

export const id = z.string().min(1).max(1024);
export const durationMs = z.int().min(0).max(86_400_000);
/** Of another server; whether http is good enough is the controller's to say. */
export const serverUrl = z.url({ protocol: /^https?$/ }).max(2048);
/** A share of the requests, in parts per million: 10,000 is one percent. */
export const perMillion = z.int().min(0).max(1_000_000);
export const headerName = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9a-z]{1,256}$/);
export const headerValue = z
  .string()
  .max(8192)
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/);

const headerField = z.strictObject({ name: headerName, value: headerValue });

/** Edits apply in the order remove, set, add. Names are lower-case (RFC 9110 section 5.1: names are case-insensitive). */
export const headerEdits = z.strictObject({
  remove: z.array(headerName).default([]),
  set: z.array(headerField).default([]),
  add: z.array(headerField).default([]),
});
export type HeaderEdits = z.infer<typeof headerEdits>;

export const timeouts = z.strictObject({
  /** From the first byte of the request to the last byte of the response. 0 switches it off. */
  requestMs: durationMs.optional(),
  /** From the request being sent to the backend until the response head is there. 0 switches it off. */
  backendMs: durationMs.optional(),
  /** Without a byte of the response body. 0 switches it off. */
  idleMs: durationMs.optional(),
  /**
   * The same of streams: events (text/event-stream), gRPC calls, and upgraded connections, where bytes of either direction count. 0 switches it
   * off.
   */
  streamIdleMs: durationMs.optional(),
});
export type Timeouts = z.infer<typeof timeouts>;

/** `prefix` is by path segment, as in Gateway API: `/a` matches `/a` and `/a/b`, not `/ab`. `regex` must match the whole path. */
export const pathMatch = z.strictObject({
  kind: z.enum(['exact', 'prefix', 'regex']),
  value: z.string().min(1).max(1024),
});
export type PathMatch = z.infer<typeof pathMatch>;
