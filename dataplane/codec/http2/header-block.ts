/** The header block of a HEADERS frame and the CONTINUATION frames after it (RFC 9113 sections 6.2 and 6.10), bounded (CVE-2024-27316). */
import * as h2 from './frames.ts';

/** What `begin` and `add` return beside the error that ends the connection: `bytes` has the block; there is more to come. */
export const WHOLE = -1;
export const CONTINUED = -2;

const NO_BYTES: Buffer = Buffer.alloc(0);

export class HeaderBlock {
  /** Of a block that is to be continued; 0: there is none. */
  stream = 0;
  /** Of the last block: its stream ends with it. */
  ends = false;
  /** Of the last block, while the call lasts that was given its last part. */
  bytes: Buffer = NO_BYTES;
  from = 0;
  to = 0;
  private readonly maxBytes: number;
  private readonly maxContinuations: number;
  private parts: Buffer[] = [];
  private length = 0;

  constructor(maxBytes: number, maxContinuations: number) {
    this.maxBytes = maxBytes;
    this.maxContinuations = maxContinuations;
  }

  /** The payload of a HEADERS frame. */
  begin(bytes: Buffer, from: number, end: number, flags: number, stream: number): number {
    let at = from;
    let to = end;
    if ((flags & h2.PADDED) !== 0) to -= at < end ? (bytes[at++] as number) : end;
    if ((flags & h2.HAS_PRIORITY) !== 0) {
      // Priorities are ignored, but for one that is none (RFC 7540 section 5.3.1).
      if (to - at < 5 || h2.readWord31(bytes, at) === stream) return h2.PROTOCOL_ERROR;
      at += 5;
    }
    if (at > to) return h2.PROTOCOL_ERROR;
    this.ends = (flags & h2.END_STREAM) !== 0;
    if ((flags & h2.END_HEADERS) !== 0) {
      this.bytes = bytes;
      this.from = at;
      this.to = to;
      return WHOLE;
    }
    this.stream = stream;
    this.parts = [Buffer.from(bytes.subarray(at, to))];
    this.length = to - at;
    return CONTINUED;
  }

  /** The payload of a CONTINUATION frame of the same stream. */
  add(bytes: Buffer, from: number, end: number, flags: number): number {
    this.length += end - from;
    if (this.length > this.maxBytes || this.parts.length > this.maxContinuations) return h2.ENHANCE_YOUR_CALM;
    this.parts.push(Buffer.from(bytes.subarray(from, end)));
    if ((flags & h2.END_HEADERS) === 0) return CONTINUED;
    this.bytes = Buffer.concat(this.parts);
    this.from = 0;
    this.to = this.length;
    this.parts = [];
    this.stream = 0;
    return WHOLE;
  }
}
