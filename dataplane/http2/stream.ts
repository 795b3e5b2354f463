/** What holds for a stream at either end of an HTTP/2 connection: what waits to be sent, and the windows of both directions (RFC 9113 section 5.2). */
import * as h2 from '../codec/http2/frames.ts';
import type { PooledBuffer } from '../io/buffers.ts';
import type { Wire } from '../io/wire.ts';
import type { Output } from './output.ts';

/** Bytes of one body that may be under way, or wait for who takes them. */
export const STREAM_WINDOW = 256 * 1024;

const NO_BYTES = new Uint8Array();

/** Null: the bytes are copied where they have to wait. */
type Release = (() => void) | null;

/** Bytes that wait for a window, or for the socket. */
interface Waiting {
  readonly bytes: Uint8Array;
  at: number;
  readonly release: Release;
}

/** Of the connection. */
export interface StreamHost {
  readonly wire: Wire;
  readonly out: Output;
  readonly waiting: Set<FramedStream>;
  send(stream: FramedStream, bytes: Uint8Array, start: number, most: number): number;
}

export abstract class FramedStream {
  /** 0: it has not begun. */
  abstract readonly id: number;
  /** Bytes of DATA the other side takes. */
  sendWindow: number;
  /** The other side has sent END_STREAM. */
  remoteEnded: boolean;
  protected abstract readonly session: StreamHost;
  protected pending: Waiting[] = [];
  /** Those the other side may send. */
  private receiveWindow = STREAM_WINDOW;
  private consumedBytes = 0;
  /** Where its last frame stands in what was not flushed yet. */
  private lastFrame = -1;
  private lastFlushes = -1;

  constructor(sendWindow: number, remoteEnded: boolean) {
    this.sendWindow = sendWindow;
    this.remoteEnded = remoteEnded;
  }

  /** A DATA frame of so many bytes begins, or trailers. False: it can't be part of the message. */
  abstract announce(length: number, ends: boolean): boolean;
  /** Ownership as in WireOwner.onBytes. */
  abstract onData(bytes: Buffer, pooled: PooledBuffer | null): void;
  abstract onRemoteEnd(trailers: string[] | null): void;
  /** So much of what waited was sent. */
  protected abstract onMoved(bytes: number): void;
  /** All that waited was, and the socket takes more. */
  protected abstract onFlushed(): void;

  /** A frame of it stands at `at` in what was not flushed. */
  sent(at: number): void {
    this.lastFrame = at;
    this.lastFlushes = this.session.out.flushes;
  }

  /** Sends what can be sent of `chunk`; the rest waits. Returns how much that was. */
  protected push(chunk: Uint8Array, release: Release): number {
    const sent = this.pending.length === 0 ? this.session.send(this, chunk, 0, chunk.length) : 0;
    if (sent === chunk.length) {
      if (release !== null) release();
    } else {
      const bytes = release === null ? Buffer.from(chunk.subarray(sent)) : chunk;
      this.pending.push({ bytes, at: release === null ? 0 : sent, release });
    }
    return sent;
  }

  /** Sends of what waits as much as it can, about `most` bytes. True: some of it. */
  pump(most: number): boolean {
    const { session, pending } = this;
    let moved = 0;
    while (pending.length > 0 && moved < most) {
      const part = pending[0] as Waiting;
      const sent = session.send(this, part.bytes, part.at, most - moved);
      if (sent === 0) break;
      moved += sent;
      part.at += sent;
      if (part.at < part.bytes.length) continue;
      pending.shift();
      if (part.release !== null) part.release();
    }
    if (moved > 0) this.onMoved(moved);
    if (pending.length === 0 && !session.wire.blocked) {
      session.waiting.delete(this);
      this.onFlushed();
    }
    return moved > 0;
  }

  /** END_STREAM, on its last frame where that has not left yet. */
  protected endFrames(): void {
    const { out } = this.session;
    if (this.lastFrame >= 0 && this.lastFlushes === out.flushes) out.endStream(this.lastFrame);
    else out.frame(h2.DATA, h2.END_STREAM, this.id, NO_BYTES);
  }

  protected dropPending(): void {
    const { pending } = this;
    this.pending = [];
    for (const { release } of pending) if (release !== null) release();
  }

  /** A DATA frame of so many bytes and so much padding came. False: more than the window. */
  receives(length: number, padding: number): boolean {
    this.receiveWindow -= length + padding;
    if (this.receiveWindow < 0) return false;
    if (padding > 0) this.taken(padding);
    return true;
  }

  /** Bytes of DATA that are held no longer: the other side may send as many again. */
  protected taken(bytes: number): void {
    this.consumedBytes += bytes;
    if (this.consumedBytes < STREAM_WINDOW / 2 || this.remoteEnded) return;
    this.receiveWindow += this.consumedBytes;
    this.session.out.windowUpdate(this.id, this.consumedBytes);
    this.consumedBytes = 0;
  }
}
