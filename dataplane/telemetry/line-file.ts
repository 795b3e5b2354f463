/**
 * Appends lines to a regular file from the thread that makes them: to hand them to another thread costs more than to write them. Several
 * threads may append to the same file, each by its own descriptor: what goes there in one call stays together (write(2), O_APPEND). One
 * call runs at a time, in the thread pool, so that a slow disk keeps nobody waiting.
 */
import { close, closeSync, openSync, write } from 'node:fs';

/** For whoever opens such a file. */
export const LINE_FILE_MODE = 0o640;

export interface LineFileOptions {
  readonly path: string;
  /** What may wait for the disk; beyond, it is dropped and counted. */
  readonly maxWaitingBytes: number;
  /** These bytes are no longer needed. */
  readonly onDone: (buffer: ArrayBuffer) => void;
  /** The file can't be opened; told once, tried again with each piece. */
  readonly onError: (error: unknown) => void;
}

const NONE = -1;

export class LineFile {
  readonly #options: LineFileOptions;
  /** The first one is being written. */
  readonly #waiting: Uint8Array<ArrayBuffer>[] = [];
  #waitingBytes = 0;
  #fd = NONE;
  #reopen = false;
  #dropped = 0;
  #failed = false;
  #whenIdle = (): void => {};

  constructor(options: LineFileOptions) {
    this.#options = options;
    this.#open();
  }

  /** Pieces that could not be written, or not in time. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whole lines; the bytes are kept until `onDone`. */
  write(lines: Uint8Array<ArrayBuffer>): void {
    if (this.#fd === NONE) this.#open();
    if (this.#fd === NONE || this.#waitingBytes + lines.byteLength > this.#options.maxWaitingBytes) {
      this.#dropped++;
      this.#options.onDone(lines.buffer);
      return;
    }
    this.#waitingBytes += lines.byteLength;
    if (this.#waiting.push(lines) === 1) this.#next();
  }

  /** For rotation: what is not being written yet goes to the file that then has the name. The old one stays where there is none. */
  reopen(): void {
    this.#reopen = true;
    if (this.#waiting.length === 0) this.#open();
  }

  /** Closes the file when all is written. */
  async end(): Promise<void> {
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    if (this.#fd !== NONE) closeSync(this.#fd);
    this.#fd = NONE;
  }

  #open(): void {
    this.#reopen = false;
    try {
      const fd = openSync(this.#options.path, 'a', LINE_FILE_MODE);
      if (this.#fd !== NONE) close(this.#fd, () => {});
      this.#fd = fd;
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#options.onError(error);
      this.#failed = true;
    }
  }

  #next(): void {
    if (this.#reopen) this.#open();
    const lines = this.#waiting[0];
    if (lines !== undefined) this.#write(lines, 0);
    else this.#whenIdle();
  }

  #write(lines: Uint8Array<ArrayBuffer>, from: number): void {
    write(this.#fd, lines, from, lines.byteLength - from, null, (error, written) => {
      if (error === null && from + written < lines.byteLength) {
        this.#write(lines, from + written);
        return;
      }
      // A full disk: the gateway goes on without.
      if (error !== null) this.#dropped++;
      this.#waiting.shift();
      this.#waitingBytes -= lines.byteLength;
      this.#options.onDone(lines.buffer);
      this.#next();
    });
  }
}
