/**
 * Waiting times between attempts: exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture
 * Blog 2015): uniform between 0 and min(cap, base × 2^attempt), so that a fleet that lost one controller does not come back at once.
 */
export interface BackoffOptions {
  readonly baseMs: number;
  readonly capMs: number;
}

/** `attempt` counts from 0; `random` is uniform in [0, 1). ms. */
export function backoffMs(attempt: number, options: BackoffOptions, random: number): number {
  return random * Math.min(options.capMs, options.baseMs * 2 ** Math.min(attempt, 30));
}
