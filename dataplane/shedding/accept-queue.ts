/**
 * Connections that wait to be accepted: a queue before the event loop, which its delay does not show. libuv accepts one connection a turn from
 * each listening socket, so a socket that accepts one in every turn has had others waiting behind it. Pure.
 */

/** A herd of clients that connect at once is no overload: that much work is free. */
const ALLOWANCE_MS = 250;

export class AcceptQueue {
  #turns = 0;
  #cpuMs = 0;
  #before: number[] = [];
  #standingMs: number[] = [];

  /**
   * For how much of the thread's work the queue of some socket has not been empty, beyond the allowance. All are totals: `turns` of the event
   * loop, `accepted` connections by socket, and the CPU time of the thread.
   */
  sample(turns: number, accepted: readonly number[], cpuMs: number): number {
    const passed = turns - this.#turns;
    const workMs = cpuMs - this.#cpuMs;
    if (passed > 0) {
      this.#turns = turns;
      this.#cpuMs = cpuMs;
    }
    let longestMs = 0;
    for (let i = 0; i < accepted.length; i++) {
      const total = accepted[i] as number;
      let standingMs = this.#standingMs[i] ?? 0;
      if (passed > 0) {
        standingMs = total - (this.#before[i] ?? 0) >= passed ? standingMs + workMs : 0;
        this.#before[i] = total;
        this.#standingMs[i] = standingMs;
      }
      longestMs = Math.max(longestMs, standingMs);
    }
    return Math.max(0, longestMs - ALLOWANCE_MS);
  }
}
