/** Time, injected: tests turn it by hand. */

export interface Clock {
  /** Monotonic, ms. */
  now(): number;
  /** Wall clock, for time stamps that people and the API server see. */
  date(): Date;
  /** Calls `run` once after `delayMs`; the returned function cancels. Does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void;
  /** 0 to 1, for jitter. */
  random(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/**
 * Delay before attempt `attempt` (0-based): full jitter over an exponential bound, `random` in [0, 1) (AWS Architecture Blog, "Exponential
 * Backoff And Jitter"), never below a tenth of `baseMs` so that a lucky draw is no busy loop.
 */
export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: number): number {
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 20));
  return Math.max(baseMs / 10, random * bound);
}
