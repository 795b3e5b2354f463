/**
 * What share of the requests must go so that the delay stays at its target: a proportional-integral controller of the queueing delay, as in
 * PIE (RFC 8033 section 4.2). Deviations: it controls the logarithm of the share that is admitted, so that its gain is the same at 1.2 and at
 * 20 times the capacity; and a delay counts only once it has stood for an interval (CoDel, RFC 8289 section 3), so that one long turn
 * of the event loop turns nobody away. Pure: time is what `update` is told.
 */

/** Per target and unit of relative error; and per change of it. Found by simulation (delay-controller.test.ts): fast, without oscillation. */
const INTEGRAL = 0.25;
const PROPORTIONAL = 1;
/** Relative errors beyond this count as this. */
const MOST_ERROR = 4;
/** At half the target and less the pressure fades by e in one target: over when the load is. */
const FADE = 1;
/** How long a delay above the target must stand before the first request goes. CoDel's interval. */
const STANDING_MS = 100;
/** One request in fifty is always admitted. */
const MOST_PRESSURE = Math.log(50);
const OFF_BELOW = 0.01;

export class DelayController {
  readonly targetMs: number;
  /** -ln of the share that is admitted; 0: all are. */
  #pressure = 0;
  #active = false;
  /** Since when the delay is above the target; -1: it is not. */
  #aboveSinceMs = -1;
  #lastMs = 0;
  #lastDelayMs = 0;

  constructor(targetMs: number) {
    this.targetMs = targetMs;
  }

  /** 0 to 0.98: the share of all requests to turn away. */
  get level(): number {
    return this.#active ? 1 - Math.exp(-this.#pressure) : 0;
  }

  /** `delayMs` as measured at `nowMs`, which never goes back. Call it every few ms while there is work. */
  update(delayMs: number, nowMs: number): void {
    const { targetMs } = this;
    const steps = Math.min(nowMs - this.#lastMs, 4 * targetMs) / targetMs;
    this.#lastMs = nowMs;
    if (!this.#active && !this.#stands(delayMs, nowMs)) return;
    const error = Math.min((delayMs - targetMs) / targetMs, MOST_ERROR);
    const change = Math.max(-1, Math.min(1, (delayMs - this.#lastDelayMs) / targetMs));
    this.#lastDelayMs = delayMs;
    let pressure = this.#pressure + INTEGRAL * error * steps + PROPORTIONAL * change;
    if (delayMs < targetMs / 2) pressure *= Math.exp(-steps / FADE);
    this.#pressure = Math.max(0, Math.min(MOST_PRESSURE, pressure));
    if (this.#pressure < OFF_BELOW && delayMs < targetMs) {
      this.#pressure = 0;
      this.#active = false;
      this.#aboveSinceMs = -1;
    }
  }

  #stands(delayMs: number, nowMs: number): boolean {
    if (delayMs <= this.targetMs) this.#aboveSinceMs = -1;
    else if (this.#aboveSinceMs < 0) this.#aboveSinceMs = nowMs;
    else if (nowMs - this.#aboveSinceMs >= STANDING_MS) {
      this.#active = true;
      this.#lastDelayMs = this.targetMs;
    }
    return this.#active;
  }
}
