/**
 * How long what is ready waits for the event loop: how late a short timer fires, and, in the middle of a long turn, how much it is overdue
 * already. Only the thread's own work counts: a turn that took long because the thread got no CPU has nothing to shed. The timer runs only
 * while requests come.
 */

export interface LoopDelayDeps {
  /** ms, monotonic: the clock of `exchange.startedAtMs`. */
  readonly now: () => number;
  /** ms of CPU this thread has used. */
  readonly cpuMs: () => number;
  /** Runs `run` after `delayMs`; must not keep the process alive. */
  readonly setTimer: (run: () => void, delayMs: number) => void;
  /** Told of each measurement. True: more are wanted, also where no request comes. */
  readonly onSample: (delayMs: number, nowMs: number, cpuMs: number) => boolean;
}

/** Between two firings of the timer, and between two measurements within a turn. */
export const PERIOD_MS = 10;
/** The timer stops after this many firings without a request: an idle worker has no work. */
const IDLE_FIRINGS = 50;

export class LoopDelay {
  /** When the next request is to call `overdue`. */
  nextMs = 0;
  /** A request came since the last firing. */
  busy = false;
  readonly #deps: LoopDelayDeps;
  #running = false;
  #dueMs = 0;
  #cpuMs = 0;
  /** As the timer last measured it. */
  #delayMs = 0;
  #idle = 0;

  constructor(deps: LoopDelayDeps) {
    this.#deps = deps;
  }

  /** ms; 0 while nothing is measured. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** A request that began at or after `nextMs`: starts the timer, or measures in the middle of a turn. */
  overdue(nowMs: number): void {
    if (!this.#running) {
      this.#running = true;
      this.#idle = 0;
      this.#arm(this.#deps.now(), this.#deps.cpuMs());
      return;
    }
    this.nextMs = nowMs + PERIOD_MS;
    const cpuMs = this.#deps.cpuMs();
    this.#deps.onSample(Math.max(this.#delayMs, this.#own(nowMs, cpuMs)), nowMs, cpuMs);
  }

  #fire(): void {
    const nowMs = this.#deps.now();
    const cpuMs = this.#deps.cpuMs();
    this.#delayMs = this.#own(nowMs, cpuMs);
    const wanted = this.#deps.onSample(this.#delayMs, nowMs, cpuMs);
    this.#idle = this.busy || wanted ? 0 : this.#idle + 1;
    this.busy = false;
    if (this.#idle < IDLE_FIRINGS) {
      this.#arm(nowMs, cpuMs);
      return;
    }
    this.#running = false;
    this.#delayMs = 0;
    this.nextMs = 0;
  }

  #arm(nowMs: number, cpuMs: number): void {
    this.#dueMs = nowMs + PERIOD_MS;
    this.nextMs = this.#dueMs + PERIOD_MS;
    this.#cpuMs = cpuMs;
    this.#deps.setTimer(this.#onTimer, PERIOD_MS);
  }

  readonly #onTimer = (): void => this.#fire();

  #own(nowMs: number, cpuMs: number): number {
    return Math.max(0, Math.min(nowMs - this.#dueMs, cpuMs - this.#cpuMs));
  }
}
