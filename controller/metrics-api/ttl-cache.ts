/** Answers remembered for a short while, so that a burst of requests is one question to the API server. Bounded. */
import type { Clock } from '../clock.ts';

interface Held<V> {
  readonly value: Promise<V>;
  readonly untilMs: number;
}

export class TtlCache<V> {
  readonly #held = new Map<string, Held<V>>();
  readonly #ttlMs: number;
  readonly #maxEntries: number;
  readonly #clock: Clock;

  constructor(clock: Clock, ttlMs: number, maxEntries: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#maxEntries = maxEntries;
  }

  /** What `ask` answered last, if that is recent; a failure is not remembered. */
  get(key: string, ask: () => Promise<V>): Promise<V> {
    const nowMs = this.#clock.now();
    const held = this.#held.get(key);
    if (held !== undefined && held.untilMs > nowMs) return held.value;
    this.#held.delete(key);
    const value = ask();
    this.#held.set(key, { value, untilMs: nowMs + this.#ttlMs });
    value.catch(() => {
      if (this.#held.get(key)?.value === value) this.#held.delete(key);
    });
    // The oldest goes first: a Map remembers the order.
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= this.#maxEntries) break;
      this.#held.delete(oldest);
    }
    return value;
  }
}
