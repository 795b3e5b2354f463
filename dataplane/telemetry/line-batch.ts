/**
 * Gathers lines and hands them over in few large pieces: when enough came together, or a moment after the first. What gathers is
 * bounded by that size.
 */

/**
 * What is handed to another thread at once. Waking it costs tens of microseconds whatever the size, so that small batches cost more
 * than the lines themselves.
 */
export const BATCH_CHARACTERS = 128 * 1024;
export const BATCH_DELAY_MS = 200;

export interface LineBatchOptions {
  /** Characters that are handed over at once. */
  readonly size: number;
  /** The longest a line waits, ms. */
  readonly delayMs: number;
  readonly handOver: (lines: string) => void;
}

export class LineBatch {
  readonly #options: LineBatchOptions;
  #lines = '';
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LineBatchOptions) {
    this.#options = options;
  }

  add(line: string): void {
    this.#lines += line;
    if (this.#lines.length >= this.#options.size) this.flush();
    else if (this.#timer === null) this.#timer = setTimeout(() => this.#due(), this.#options.delayMs);
  }

  flush(): void {
    if (this.#lines === '') return;
    const lines = this.#lines;
    this.#lines = '';
    this.#options.handOver(lines);
  }

  // The timer is not cleared when a batch was full: once for each delay is cheaper than once for each batch.
  #due(): void {
    this.#timer = null;
    this.flush();
  }
}
