/** The clock's windows: they begin at whole multiples of their length since the epoch, for all data planes at once. */
export interface Window {
  /** Number since the epoch. */
  index: number;
  /** ms of the limit clock. */
  endMs: number;
}

export class Windows {
  readonly #lengthMs: number;
  readonly #epochMs: number;
  readonly #window: Window = { index: -1, endMs: 0 };

  constructor(lengthMs: number, epochMs: number) {
    this.#lengthMs = lengthMs;
    this.#epochMs = epochMs;
  }

  /** The window that holds `nowMs`; the same object each time. */
  at(nowMs: number): Readonly<Window> {
    const window = this.#window;
    if (nowMs < window.endMs && nowMs >= window.endMs - this.#lengthMs) return window;
    window.index = Math.floor((nowMs + this.#epochMs) / this.#lengthMs);
    window.endMs = (window.index + 1) * this.#lengthMs - this.#epochMs;
    return window;
  }
}
