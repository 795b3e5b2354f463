/**
 * Gathers lines of ASCII text and hands them over in few large pieces: when a buffer is full, or a moment after the first line. Lines are
 * written into the buffer at once: strings that wait together cost the collector more than the lines themselves.
 */
import type { LineSink } from './access-log.ts';

/**
 * What is written, or handed to another thread, at once. Waking it costs tens of microseconds whatever the size, so that small batches
 * cost more than the lines themselves.
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

export class LineBatch implements LineSink {
  readonly #options: LineBatchOptions;
  #buffer: Buffer<ArrayBuffer> | null = null;
  #spare: Buffer<ArrayBuffer> | null = null;
  #used = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LineBatchOptions) {
    this.#options = options;
  }

  get used(): number {
    return this.#used;
  }

  /** For one line, until `commit`. */
  reserve(bytes: number): Buffer<ArrayBuffer> {
    let buffer = this.#buffer;
    if (buffer !== null && this.#used + bytes <= buffer.length) return buffer;
    this.flush();
    buffer = this.#buffer ?? this.#spare;
    if (buffer === this.#spare) this.#spare = null;
    if (buffer === null || buffer.length < bytes) buffer = Buffer.allocUnsafeSlow(Math.max(bytes, this.#options.size));
    this.#buffer = buffer;
    return buffer;
  }

  /** `end`: where the line in the reserved bytes ends. */
  commit(end: number): void {
    this.#used = end;
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
      this.#options.handOver(new Uint8Array(buffer.subarray(0, used)));
    } else {
      this.#buffer = null;
      this.#options.handOver(new Uint8Array(buffer.buffer, 0, used));
    }
    // One that was made for a very long line.
    if (buffer.length > this.#options.size) this.#buffer = null;
  }

  // The timer is not cleared when a batch was full: once for each delay is cheaper than once for each batch.
  #due(): void {
    this.#timer = null;
    this.flush();
  }
}
