/** A copy of what was read of a request body, so that it can be sent again. One buffer that grows: a client's tiny chunks cost nothing more. */

const FIRST_BYTES = 1024;

export class BodyCopy {
  private readonly maxBytes: number;
  private buffer: Buffer;
  private length = 0;

  /** `expectedBytes`: what the request announces, below 0 where it announces none. */
  constructor(maxBytes: number, expectedBytes: number) {
    this.maxBytes = maxBytes;
    this.buffer = Buffer.allocUnsafe(expectedBytes >= 0 ? expectedBytes : Math.min(maxBytes, FIRST_BYTES));
  }

  /** More than may be kept: there is no further repeat after the one that takes it. */
  get over(): boolean {
    return this.length > this.maxBytes;
  }

  add(chunk: Uint8Array): void {
    const length = this.length + chunk.length;
    if (length > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, Math.min(this.maxBytes, this.buffer.length * 2)));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    this.buffer.set(chunk, this.length);
    this.length = length;
  }

  /** Stays as it is while more is added. */
  get bytes(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}
