/** Cuts what an HTTP/2 connection receives into frames (RFC 9113 section 4), whatever it is read in. DATA goes on as it comes, other frames as a whole. */

import type { PooledBuffer } from '../../io/buffers.ts';
import * as h2 from './frames.ts';

export interface FrameOwner {
  /** A header is read. Below 0: go on; else the error that ends the connection. */
  onFrameHeader(): number;
  /** A whole frame but DATA without padding; `bytes` are valid during this call only. */
  onFrame(bytes: Buffer, from: number, end: number): void;
  /** A DATA frame without padding begins; its `length` bytes follow. */
  onDataFrame(): void;
  /** A part of it; `last`: its last one. Ownership as in WireOwner.onBytes. */
  onDataBytes(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null, last: boolean): void;
  /** Ends the connection for an error of it (section 5.4.1). */
  fail(error: number): void;
}

export class FrameReader {
  length = 0;
  type = 0;
  flags = 0;
  stream = 0;
  /** Nothing is read any more. */
  stopped = false;
  /** Of the DATA frame that is arriving. */
  dataLeft = 0;
  private readonly owner: FrameOwner;
  private readonly head = new Uint8Array(h2.FRAME_HEADER_BYTES);
  private headBytes = 0;
  /** A frame that does not come as one. */
  private payload: Buffer | null = null;
  private payloadBytes = 0;

  constructor(owner: FrameOwner) {
    this.owner = owner;
  }

  read(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): void {
    let at = from;
    while (at < end && !this.stopped) {
      if (this.dataLeft > 0) {
        const to = Math.min(end, at + this.dataLeft);
        this.dataLeft -= to - at;
        this.owner.onDataBytes(bytes, at, to, pooled, this.dataLeft === 0);
        at = to;
      } else if (this.payload !== null) at = this.collect(this.payload, bytes, at, end);
      else at = this.begin(bytes, at, end);
    }
  }

  stop(): void {
    this.stopped = true;
    this.dataLeft = 0;
    this.payload = null;
  }

  private begin(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.headBytes === 0 && end - at >= h2.FRAME_HEADER_BYTES) {
      this.readHeader(bytes, at);
      at += h2.FRAME_HEADER_BYTES;
    } else {
      while (at < end && this.headBytes < h2.FRAME_HEADER_BYTES) this.head[this.headBytes++] = bytes[at++] as number;
      if (this.headBytes < h2.FRAME_HEADER_BYTES) return at;
      this.headBytes = 0;
      this.readHeader(this.head, 0);
    }
    const { length, owner } = this;
    const error = length > h2.MAX_FRAME_BYTES ? h2.FRAME_SIZE_ERROR : owner.onFrameHeader();
    if (error >= 0) {
      owner.fail(error);
      return end;
    }
    if (this.type === h2.DATA && (this.flags & h2.PADDED) === 0) {
      this.dataLeft = length;
      owner.onDataFrame();
    } else if (end - at >= length) {
      owner.onFrame(bytes, at, at + length);
      return at + length;
    } else {
      this.payload = Buffer.allocUnsafe(length);
      this.payloadBytes = 0;
    }
    return at;
  }

  private readHeader(bytes: Uint8Array, at: number): void {
    this.length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    this.type = bytes[at + 3] as number;
    this.flags = bytes[at + 4] as number;
    this.stream = h2.readWord31(bytes, at + 5);
  }

  private collect(payload: Buffer, bytes: Buffer, at: number, end: number): number {
    const length = Math.min(end - at, payload.length - this.payloadBytes);
    bytes.copy(payload, this.payloadBytes, at, at + length);
    this.payloadBytes += length;
    if (this.payloadBytes === payload.length) {
      this.payload = null;
      this.owner.onFrame(payload, 0, payload.length);
    }
    return at + length;
  }
}
