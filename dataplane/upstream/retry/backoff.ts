/** How long to wait before a retry. Pure. */

export interface BackoffSettings {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * Exponential with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): anything from 0 to below
 * min(max, base × 2^(n-1)) ms before the n-th retry. `random`: at least 0, less than 1.
 */
export function backoffMs(retry: number, { baseMs, maxMs }: BackoffSettings, random: () => number): number {
  return random() * Math.min(maxMs, baseMs * 2 ** (retry - 1));
}

/** RFC 9110 section 5.6.7, the form that is to be sent. */
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** What a Retry-After says (RFC 9110 section 10.2.3), ms from now, 0 for a date that has passed; -1: nothing that could be read. */
export function retryAfterMs(value: string | undefined, nowEpochMs: number): number {
  if (value === undefined) return -1;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  if (!HTTP_DATE.test(value)) return -1;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? -1 : Math.max(0, atMs - nowEpochMs);
}
