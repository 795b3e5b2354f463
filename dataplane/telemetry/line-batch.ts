/**
 * Gathers lines of ASCII text and hands them over in few large pieces: when a buffer is full, or a moment after the first line. Each line is
 * written into the buffer at once: ropes of strings that wait together cost the collector more than the lines themselves.
 */

/**
 * What is handed to another thread at once. Waking it costs tens of microseconds whatever the size, so that small batches cost more
 * than the lines themselves.
 */
export const BATCH_BYTES = 128 * 1024;
export const BATCH_DELAY_MS = 200;

export interface LineBatchOptions {
  /** Bytes that are handed over at once. */
  readonly size: number;
  /** The longest a line waits, ms. */
  readonly delayMs: number;
  /** The bytes and their buffer are the receiver's. */
  readonly handOver: (lines: Uint8Array<ArrayBuffer>) => void;
}

export class LineBatch {
  readonly #options: LineBatchOptions;
  #buffer: Buffer<ArrayBuffer> | null = null;
  #spare: Buffer<ArrayBuffer> | null = null;
  #used = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LineBatchOptions) {
    this.#options = options;
  }

  /** `line` is ASCII, with its newline. */
  add(line: string): void {
    const length = line.length;
    if (this.#used + length > this.#options.size) {
      this.flush();
      if (length > this.#options.size) {
        this.#options.handOver(exactly(Buffer.from(line, 'latin1')));
        return;
      }
    }
    if (this.#buffer === null) {
      this.#buffer = this.#spare ?? Buffer.allocUnsafeSlow(this.#options.size);
      this.#spare = null;
    }
    this.#buffer.write(line, this.#used, 'latin1');
    this.#used += length;
    if (this.#timer === null) this.#timer = setTimeout(() => this.#due(), this.#options.delayMs);
  }

  /** Takes back a buffer that was handed over, to be used again; others are left to the collector. */
  giveBack(buffer: ArrayBuffer): void {
    if (buffer.byteLength === this.#options.size) this.#spare ??= Buffer.from(buffer);
  }

  flush(): void {
    const buffer = this.#buffer;
    if (buffer === null || this.#used === 0) return;
    const used = this.#used;
    this.#used = 0;
    if (used * 4 < buffer.length) {
      // Few lines in a moment: the large buffer stays here.
      this.#options.handOver(exactly(buffer.subarray(0, used)));
    } else {
      this.#buffer = null;
      this.#options.handOver(new Uint8Array(buffer.buffer, 0, used));
    }
  }

  // The timer is not cleared when a batch was full: once for each delay is cheaper than once for each batch.
  #due(): void {
    this.#timer = null;
    this.flush();
  }
}

function exactly(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
