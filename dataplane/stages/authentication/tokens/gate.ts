/** Lets so many works run at a time; the rest wait in turn, up to a bound. */
export class Gate {
  readonly #width: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(width: number, maxWaiting: number) {
    this.#width = width;
    this.#maxWaiting = maxWaiting;
  }

  /** Null: too many wait. */
  run<T>(work: () => Promise<T>): Promise<T> | null {
    if (this.#running < this.#width) {
      this.#running++;
      return this.#finish(work());
    }
    if (this.#waiting.length >= this.#maxWaiting) return null;
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.#finish(work()));
  }

  async #finish<T>(result: Promise<T>): Promise<T> {
    try {
      return await result;
    } finally {
      // The place is handed on, not given up: whoever comes now must not get it first.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
