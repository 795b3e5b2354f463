/** Durations as Gateway API writes them (GEP-2257): `500ms`, `10s`, `1h30m`. */

const PATTERN = /^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/;
const PART = /([0-9]{1,5})(ms|h|m|s)/g;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** The pattern of GEP-2257, for CEL (RE2). */
export const DURATION_PATTERN = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';

/** Milliseconds, or null when `text` is no duration. */
export function parseDurationMs(text: string): number | null {
  if (!PATTERN.test(text)) return null;
  let total = 0;
  for (const [, digits = '', unit = ''] of text.matchAll(PART)) total += Number(digits) * (UNIT_MS[unit] ?? 0);
  return total;
}

/** Of a text that has been validated. Throws RangeError otherwise: a caller's mistake. */
export function durationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === null) throw new RangeError(`not a duration: ${JSON.stringify(text)}`);
  return ms;
}
