/** Arithmetic of time-outs, ms. 0 is never. */

/** The sooner of two delays. */
export function soonest(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 || a < b ? a : b;
}

/** What is left of a time-out that began at `sinceMs`; at least 1; 0 where it is off. */
export function left(timeoutMs: number, sinceMs: number, nowMs: number): number {
  return timeoutMs === 0 ? 0 : Math.max(1, timeoutMs - (nowMs - sinceMs));
}

/** Until a moment; at least 1; 0 where the moment is 0. */
export function until(momentMs: number, nowMs: number): number {
  if (momentMs === 0) return 0;
  return momentMs > nowMs ? momentMs - nowMs : 1;
}
