/** What an HTTP/2 session writes: frames of one turn joined into one write, whichever stream they are of. */
import type { Socket } from 'node:net';
import * as h2 from '../../codec/h2-frames.ts';
import { encodeField, FIELD_OVERHEAD } from '../../codec/hpack/encoder.ts';
import { type Flushable, flushLater } from '../../io/turn.ts';

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
  private readonly socket: Socket;
  private buffer: OutBuffer | null = null;
  private length = 0;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  flush(): void {
    const { buffer, length, socket } = this;
    if (buffer === null) return;
    this.buffer = null;
    this.length = 0;
    this.flushes++;
    if (socket.destroyed || socket.writableEnded) buffer.release();
    else if (length <= SMALL && socket.writableLength > 0) {
      socket.write(Buffer.from(buffer.bytes.subarray(0, length)));
      buffer.release();
    } else socket.write(buffer.bytes.subarray(0, length), buffer.release);
  }

  /** The connection preface (RFC 9113 section 3.4). */
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
    return at;
  }

  /** Sets END_STREAM on the frame at `at`, which must not have left. */
  endStream(at: number): void {
    (this.bytes[at + 4] as number) |= h2.END_STREAM;
  }

  /** A frame whose payload is one number: WINDOW_UPDATE, RST_STREAM. */
  word(type: number, stream: number, value: number): void {
    const at = this.reserve(h2.FRAME_HEADER_BYTES + 4);
    h2.writeWord(this.bytes, h2.writeFrameHeader(this.bytes, at, 4, type, 0, stream), value);
    this.length = at + h2.FRAME_HEADER_BYTES + 4;
  }

  /** No stream of the other side was looked at, as there is none. */
  goaway(error: number): void {
    const at = this.reserve(h2.FRAME_HEADER_BYTES + 8);
    const to = h2.writeFrameHeader(this.bytes, at, 8, h2.GOAWAY, 0, 0);
    h2.writeWord(this.bytes, to, 0);
    h2.writeWord(this.bytes, to + 4, error);
    this.length = to + 8;
  }

  /** `fields`: name, value, …. HEADERS, with CONTINUATION where one frame does not hold them. Returns where it begins, see `endStream`; below 0: it has left. */
  headers(stream: number, fields: readonly string[], flags: number): number {
    let bound = 0;
    for (let i = 0; i < fields.length; i += 2)
      bound += (fields[i] as string).length + (fields[i + 1] as string).length + FIELD_OVERHEAD;
    if (bound > h2.MAX_FRAME_BYTES) return this.longHeaders(stream, fields, flags, bound);
    const at = this.reserve(h2.FRAME_HEADER_BYTES + bound);
    const from = at + h2.FRAME_HEADER_BYTES;
    const to = encode(this.bytes, from, fields);
    h2.writeFrameHeader(this.bytes, at, to - from, h2.HEADERS, flags | h2.END_HEADERS, stream);
    this.length = to;
    return at;
  }

  private longHeaders(stream: number, fields: readonly string[], flags: number, bound: number): number {
    const block = Buffer.allocUnsafe(bound);
    const end = encode(block, 0, fields);
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

function encode(out: Buffer, from: number, fields: readonly string[]): number {
  let at = from;
  for (let i = 0; i < fields.length; i += 2) at = encodeField(out, at, fields[i] as string, fields[i + 1] as string);
  return at;
}
