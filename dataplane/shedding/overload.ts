/**
 * What a worker knows of its own overload: the delay of its event loop, the queue of connections before it, and for each target that policies
 * name what share must go.
 */
import { AcceptQueue } from './accept-queue.ts';
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

export interface OverloadDeps extends Omit<LoopDelayDeps, 'onSample'> {
  /** Turns of the event loop so far. */
  readonly turns: () => number;
}

export class Overload {
  /** Connections accepted so far, by listening socket. */
  accepted: readonly number[] = [];
  readonly #turns: () => number;
  readonly #queue = new AcceptQueue();
  readonly #loop: LoopDelay;
  readonly #guards = new Map<number, { readonly guard: LoopGuard; users: number }>();
  #peakMs = 0;

  constructor(deps: OverloadDeps) {
    this.#turns = deps.turns;
    this.#loop = new LoopDelay({ ...deps, onSample: (...sample) => this.#sample(...sample) });
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

  #sample(loopMs: number, nowMs: number, cpuMs: number): boolean {
    const delayMs = Math.max(loopMs, this.#queue.sample(this.#turns(), this.accepted, cpuMs));
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
    turns: () => performance.nodeTiming.uvMetricsInfo.loopCount,
    setTimer: (run, delayMs) => {
      setTimeout(run, delayMs).unref();
    },
  });
}
