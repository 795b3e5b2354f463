/** What an HTTP/2 connection writes: frames of one round of the event loop joined into one write (io/turn.ts), whichever stream they are of. */
import * as h2 from '../codec/http2/frames.ts';
import { type Flushable, flushLater } from '../io/turn.ts';
import type { Wire } from '../io/wire.ts';

const BUFFER_BYTES = 64 * 1024;
/** Buffers kept; more are left to the garbage collector. */
const MAX_FREE = 16;
/** While the socket is stalled less than that is copied, so that it does not hold whole buffers. */
const SMALL = 8 * 1024;

class OutBuffer {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** The kernel (or TLS) has taken it. */
  readonly release = (): void => {
    if (free.length < MAX_FREE) free.push(this);
  };
}

const free: OutBuffer[] = [];

export class Output implements Flushable {
  /** Counts what has left: a frame's place in the buffer is good as long as this stays. */
  flushes = 0;
  /** Frames that only answer the other side's, since it last took all there was. */
  replies = 0;
  /** HEADERS and DATA frames; set back by who counts. */
  messages = 0;
  /** See `openBlock`. */
  block: Buffer = Buffer.alloc(0);
  private readonly wire: Wire;
  private buffer: OutBuffer | null = null;
  private length = 0;
  private ended = false;
  /** The block that is open does not fit in one frame. */
  private long = false;

  constructor(wire: Wire) {
    this.wire = wire;
  }

  /** What was written leaves; what is written from here on is dropped: after the FIN it would break the connection and what is on its way. */
  end(): void {
    this.flush();
    this.ended = true;
  }

  flush(): void {
    const { buffer, length, wire } = this;
    if (buffer === null) return;
    this.buffer = null;
    this.length = 0;
    this.flushes++;
    if (this.ended) {
      buffer.release();
      return;
    }
    const bytes = buffer.bytes.subarray(0, length);
    if (length <= SMALL && wire.unsent > 0) {
      wire.writeJoined(Buffer.from(bytes), null);
      buffer.release();
    } else wire.writeJoined(bytes, buffer.release);
  }

  /** The connection preface of a client (RFC 9113 section 3.4). */
  preface(): void {
    const at = this.reserve(h2.PREFACE.length);
    this.length = at + this.bytes.write(h2.PREFACE, at, 'latin1');
  }

  /** A frame of `payload`, at most MAX_FRAME_BYTES. */
  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const at = this.reserve(h2.FRAME_HEADER_BYTES + payload.length);
    const to = h2.writeFrameHeader(this.bytes, at, payload.length, type, flags, stream);
    this.bytes.set(payload, to);
    this.length = to + payload.length;
  }

  /** A DATA frame of `bytes` from `start` on; returns where it begins, see `endStream`. */
  data(stream: number, bytes: Uint8Array, start: number, length: number): number {
    const at = this.reserve(h2.FRAME_HEADER_BYTES + length);
    const to = h2.writeFrameHeader(this.bytes, at, length, h2.DATA, 0, stream);
    this.bytes.set(start === 0 && length === bytes.length ? bytes : bytes.subarray(start, start + length), to);
    this.length = to + length;
    this.messages++;
    return at;
  }

  /** Sets END_STREAM on the frame at `at`, which must not have left. */
  endStream(at: number): void {
    (this.bytes[at + 4] as number) |= h2.END_STREAM;
  }

  windowUpdate(stream: number, increment: number): void {
    this.word(h2.WINDOW_UPDATE, stream, increment);
  }

  reset(stream: number, error: number): void {
    this.word(h2.RST_STREAM, stream, error);
  }

  private word(type: number, stream: number, value: number): void {
    const at = this.reserve(h2.FRAME_HEADER_BYTES + 4);
    h2.writeWord(this.bytes, h2.writeFrameHeader(this.bytes, at, 4, type, 0, stream), value);
    this.length = at + h2.FRAME_HEADER_BYTES + 4;
  }

  goaway(lastStream: number, error: number): void {
    const at = this.reserve(h2.FRAME_HEADER_BYTES + 8);
    const to = h2.writeFrameHeader(this.bytes, at, 8, h2.GOAWAY, 0, 0);
    h2.writeWord(this.bytes, to, lastStream);
    h2.writeWord(this.bytes, to + 4, error);
    this.length = to + 8;
  }

  /** Where in `block` a header block of at most `bound` bytes is to be encoded; `closeBlock` follows before anything else. */
  openBlock(bound: number): number {
    this.long = bound > h2.MAX_FRAME_BYTES;
    if (this.long) {
      this.block = Buffer.allocUnsafe(bound);
      return 0;
    }
    const at = this.reserve(h2.FRAME_HEADER_BYTES + bound);
    this.block = this.bytes;
    return at + h2.FRAME_HEADER_BYTES;
  }

  /**
   * The block goes to `end`: HEADERS, with CONTINUATION where one frame does not hold it. Returns where it begins, see `endStream`; below 0:
   * that has left already.
   */
  closeBlock(stream: number, end: number, flags: number): number {
    this.messages++;
    if (this.long) return this.split(stream, end, flags);
    const at = this.length;
    const length = end - at - h2.FRAME_HEADER_BYTES;
    h2.writeFrameHeader(this.block, at, length, h2.HEADERS, flags | h2.END_HEADERS, stream);
    this.length = end;
    return at;
  }

  private split(stream: number, end: number, flags: number): number {
    const { block } = this;
    let first = -1;
    let flushes = 0;
    for (let from = 0; from < end; from += h2.MAX_FRAME_BYTES) {
      const to = Math.min(from + h2.MAX_FRAME_BYTES, end);
      const at = this.reserve(h2.FRAME_HEADER_BYTES + to - from);
      if (first < 0) {
        first = at;
        flushes = this.flushes;
      }
      const type = from === 0 ? h2.HEADERS : h2.CONTINUATION;
      const bits = (from === 0 ? flags : 0) | (to === end ? h2.END_HEADERS : 0);
      const payload = h2.writeFrameHeader(this.bytes, at, to - from, type, bits, stream);
      block.copy(this.bytes, payload, from, to);
      this.length = payload + to - from;
    }
    return flushes === this.flushes ? first : -1;
  }

  /** Bytes that are there to be written to at the offset returned. */
  private reserve(bytes: number): number {
    if (this.buffer !== null && this.length + bytes > BUFFER_BYTES) this.flush();
    if (this.buffer === null) {
      this.buffer = free.pop() ?? new OutBuffer();
      flushLater(this);
    }
    return this.length;
  }

  private get bytes(): Buffer {
    return (this.buffer as OutBuffer).bytes;
  }
}
