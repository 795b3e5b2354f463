/** Endpoints that are new or have come back rise from a tenth of their weight to all of it, in ten steps of a timer: requests don't pay for it. */
import { Timer, type TimerOwner, type TimerWheel } from '../io/wheel.ts';

const STEPS = 10;

/** One a backend. `T` is what rises. */
export class SlowStart<T extends object> implements TimerOwner {
  readonly #wheel: TimerWheel;
  readonly #onStep: () => void;
  readonly #timer = new Timer(this);
  readonly #sinceMs = new Map<T, number>();
  #durationMs = 0;

  /** `onStep`: what `risen` says has changed. */
  constructor(wheel: TimerWheel, onStep: () => void) {
    this.#wheel = wheel;
    this.#onStep = onStep;
  }

  /** 0: everything is at its whole weight at once. */
  configure(durationMs: number): void {
    this.#durationMs = durationMs;
    if (durationMs === 0) this.close();
  }

  begin(one: T): void {
    if (this.#durationMs === 0) return;
    if (this.#sinceMs.size === 0) this.#wheel.arm(this.#timer, this.#stepMs);
    this.#sinceMs.set(one, this.#wheel.now());
  }

  end(one: T): void {
    this.#sinceMs.delete(one);
  }

  /** 0.1, 0.2, … 1. */
  risen(one: T): number {
    const sinceMs = this.#sinceMs.get(one);
    if (sinceMs === undefined) return 1;
    const steps = Math.floor(((this.#wheel.now() - sinceMs) / this.#durationMs) * STEPS);
    return Math.min(STEPS, Math.max(1, steps)) / STEPS;
  }

  onTimeout(): void {
    const endedMs = this.#wheel.now() - this.#durationMs;
    for (const [one, sinceMs] of this.#sinceMs) if (sinceMs <= endedMs) this.#sinceMs.delete(one);
    if (this.#sinceMs.size > 0) this.#wheel.arm(this.#timer, this.#stepMs);
    this.#onStep();
  }

  close(): void {
    this.#sinceMs.clear();
    this.#wheel.drop(this.#timer);
  }

  get #stepMs(): number {
    return Math.max(1, this.#durationMs / STEPS);
  }
}
