/** What an HTTP/2 session writes: frames of one turn joined into one write, whoever's they are. */
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_HEADER_BYTES,
  GOAWAY,
  HEADERS,
  MAX_FRAME_BYTES,
  RST_STREAM,
  WINDOW_UPDATE,
  writeFrameHeader,
  writeWord,
} from '../codec/h2-frames.ts';
import { encodeField, encodeStatus, FIELD_OVERHEAD } from '../codec/hpack/encoder.ts';
import { type Flushable, flushLater } from '../io/turn.ts';
import type { Wire } from '../io/wire.ts';
import type { Headers } from '../pipeline/headers.ts';

const BUFFER_BYTES = 64 * 1024;
const MAX_FREE = 16;
/** Of a stalled client less than that is copied, so that it does not hold whole buffers. */
const SMALL = 8 * 1024;
const CONTINUATION = 9;

class OutBuffer {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** The kernel (or TLS) has taken it. */
  readonly release = (): void => {
    if (free.length < MAX_FREE) free.push(this);
  };
}

const free: OutBuffer[] = [];

/** Fields of an HTTP/1.1 connection, which must not appear in HTTP/2 (RFC 9113 section 8.2.2), and content-length, which is the caller's. */
function isPassed(name: string): boolean {
  switch (name.length) {
    case 7:
      return name !== 'upgrade';
    case 10:
      return name !== 'connection' && name !== 'keep-alive';
    case 14:
      return name !== 'content-length';
    case 16:
      return name !== 'proxy-connection';
    case 17:
      return name !== 'transfer-encoding';
    default:
      return true;
  }
}

export class H2Output implements Flushable {
  private readonly wire: Wire;
  private buffer: OutBuffer | null = null;
  private length = 0;
  private ended = false;
  /** Counts what has left: a frame's place in the buffer is good as long as this stays. */
  flushes = 0;
  /** Frames that only answer the client's, since the client last took all there was. */
  replies = 0;

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

  /** A frame of `payload`, at most MAX_FRAME_BYTES. */
  frame(type: number, flags: number, stream: number, payload: Uint8Array): void {
    const at = this.reserve(FRAME_HEADER_BYTES + payload.length);
    const to = writeFrameHeader(this.bytes, at, payload.length, type, flags, stream);
    this.bytes.set(payload, to);
    this.length = to + payload.length;
  }

  /** A DATA frame of `bytes` from `start` on; returns where it begins, see `endStream`. */
  data(stream: number, bytes: Uint8Array, start: number, length: number, flags: number): number {
    const at = this.reserve(FRAME_HEADER_BYTES + length);
    const to = writeFrameHeader(this.bytes, at, length, DATA, flags, stream);
    if (length > 0)
      this.bytes.set(start === 0 && length === bytes.length ? bytes : bytes.subarray(start, start + length), to);
    this.length = to + length;
    return at;
  }

  /** Sets END_STREAM on the frame at `at`, which must not have left. */
  endStream(at: number): void {
    (this.bytes[at + 4] as number) |= END_STREAM;
  }

  windowUpdate(stream: number, increment: number): void {
    const at = this.reserve(FRAME_HEADER_BYTES + 4);
    writeWord(this.bytes, writeFrameHeader(this.bytes, at, 4, WINDOW_UPDATE, 0, stream), increment);
    this.length = at + FRAME_HEADER_BYTES + 4;
  }

  reset(stream: number, error: number): void {
    const at = this.reserve(FRAME_HEADER_BYTES + 4);
    writeWord(this.bytes, writeFrameHeader(this.bytes, at, 4, RST_STREAM, 0, stream), error);
    this.length = at + FRAME_HEADER_BYTES + 4;
  }

  goaway(lastStream: number, error: number): void {
    const at = this.reserve(FRAME_HEADER_BYTES + 8);
    const to = writeFrameHeader(this.bytes, at, 8, GOAWAY, 0, 0);
    writeWord(this.bytes, to, lastStream);
    writeWord(this.bytes, to + 4, error);
    this.length = to + 8;
  }

  /**
   * A HEADERS frame, with CONTINUATION where one does not hold it. `status` 0: trailers. `length`: what content-length says; below 0: there
   * is none. `date`: a line of HTTP/1.1 for a field that is added; empty: none. Returns where it begins, see `endStream`.
   */
  headers(
    stream: number,
    status: number,
    headers: Headers | null,
    length: number,
    flags: number,
    date: string,
  ): number {
    const fields = headers === null ? NO_FIELDS : headers.fields;
    let bound = FIELD_OVERHEAD * 4 + date.length;
    for (let i = 0; i < fields.length; i += 2)
      bound += (fields[i] as string).length + (fields[i + 1] as string).length + FIELD_OVERHEAD;
    if (bound > MAX_FRAME_BYTES) return this.longHeaders(stream, status, fields, length, flags, date, bound);
    const at = this.reserve(FRAME_HEADER_BYTES + bound);
    const from = at + FRAME_HEADER_BYTES;
    const to = encode(this.bytes, from, status, fields, length, date);
    writeFrameHeader(this.bytes, at, to - from, HEADERS, flags | END_HEADERS, stream);
    this.length = to;
    return at;
  }

  private longHeaders(
    stream: number,
    status: number,
    fields: readonly string[],
    length: number,
    flags: number,
    date: string,
    bound: number,
  ): number {
    const block = Buffer.allocUnsafe(bound);
    const end = encode(block, 0, status, fields, length, date);
    let first = -1;
    let flushes = 0;
    for (let from = 0; from < end; from += MAX_FRAME_BYTES) {
      const to = Math.min(from + MAX_FRAME_BYTES, end);
      const last = to === end ? END_HEADERS : 0;
      const at = this.reserve(FRAME_HEADER_BYTES + to - from);
      if (first < 0) {
        first = at;
        flushes = this.flushes;
      }
      const payload = writeFrameHeader(
        this.bytes,
        at,
        to - from,
        from === 0 ? HEADERS : CONTINUATION,
        (from === 0 ? flags : 0) | last,
        stream,
      );
      block.copy(this.bytes, payload, from, to);
      this.length = payload + to - from;
    }
    // Its beginning has left already: a place that no longer counts.
    return flushes === this.flushes ? first : -1;
  }
}

const NO_FIELDS: readonly string[] = [];

function encode(
  out: Buffer,
  from: number,
  status: number,
  fields: readonly string[],
  length: number,
  date: string,
): number {
  let at = status === 0 ? from : encodeStatus(out, from, status);
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (isPassed(name)) at = encodeField(out, at, name, fields[i + 1] as string);
  }
  if (date !== '') at = encodeField(out, at, 'date', date.slice(6, -2));
  return length >= 0 ? encodeField(out, at, 'content-length', String(length)) : at;
}
