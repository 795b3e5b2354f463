/** What a worker knows of its own overload: the delay of its event loop, and for each target that policies name what share must go. */
import { Apportion } from './apportion.ts';
import { DelayController } from './delay-controller.ts';
import { LoopDelay, type LoopDelayDeps } from './loop-delay.ts';

export interface OverloadState {
  /** Largest own delay of the event loop since the last look, ms. */
  readonly delayMs: number;
  /** 0 to 1: the largest share of requests that some target asks to turn away now. */
  readonly level: number;
}

/** All requests of a worker that go by one target of delay. */
export class LoopGuard {
  readonly controller: DelayController;
  readonly shares = new Apportion();
  readonly #loop: LoopDelay;
  #settledMs = 0;

  constructor(targetMs: number, loop: LoopDelay) {
    this.controller = new DelayController(targetMs);
    this.#loop = loop;
  }

  /** The probability with which a request that began at `nowMs` is turned away. On the hot path. */
  odds(priority: number, nowMs: number): number {
    const loop = this.#loop;
    this.shares.count(priority);
    loop.busy = true;
    if (nowMs >= loop.nextMs) loop.overdue(nowMs);
    return this.shares.odds[priority] as number;
  }

  update(delayMs: number, nowMs: number): void {
    this.controller.update(delayMs, nowMs);
    this.shares.settle(this.controller.level, nowMs - this.#settledMs);
    this.#settledMs = nowMs;
  }
}

export class Overload {
  readonly #loop: LoopDelay;
  readonly #guards = new Map<number, { readonly guard: LoopGuard; users: number }>();
  #peakMs = 0;

  constructor(deps: Omit<LoopDelayDeps, 'onSample'>) {
    this.#loop = new LoopDelay({ ...deps, onSample: (delayMs, nowMs) => this.#sample(delayMs, nowMs) });
  }

  /** The guard of a target; each `hold` needs its `release`. */
  hold(targetMs: number): LoopGuard {
    let held = this.#guards.get(targetMs);
    if (held === undefined) {
      held = { guard: new LoopGuard(targetMs, this.#loop), users: 0 };
      this.#guards.set(targetMs, held);
    }
    held.users++;
    return held.guard;
  }

  release(targetMs: number): void {
    const held = this.#guards.get(targetMs);
    if (held !== undefined && --held.users === 0) this.#guards.delete(targetMs);
  }

  /** For a scrape. */
  look(): OverloadState {
    const delayMs = this.#peakMs;
    this.#peakMs = this.#loop.delayMs;
    let level = 0;
    for (const { guard } of this.#guards.values()) level = Math.max(level, guard.controller.level);
    return { delayMs, level };
  }

  #sample(delayMs: number, nowMs: number): boolean {
    if (delayMs > this.#peakMs) this.#peakMs = delayMs;
    let pressed = false;
    for (const { guard } of this.#guards.values()) {
      guard.update(delayMs, nowMs);
      pressed ||= guard.controller.level > 0;
    }
    return pressed;
  }
}

/** Of this thread, on the clock of performance.now(). */
export function createOverload(): Overload {
  return new Overload({
    now: () => performance.now(),
    cpuMs: () => {
      const { user, system } = process.threadCpuUsage();
      return (user + system) / 1000;
    },
    setTimer: (run, delayMs) => {
      setTimeout(run, delayMs).unref();
    },
  });
}
