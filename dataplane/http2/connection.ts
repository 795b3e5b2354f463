/**
 * What holds for an HTTP/2 connection at either end (RFC 9113): which frames may come when, header blocks, settings, windows, and how much it may
 * be made to do. Clients' sessions (listener/h2-session.ts) and endpoints' (upstream/http2/session.ts) add their own. On both of them streams
 * are begun by the client, so all ids are odd.
 */

import { BLOCK_OK, HpackDecoder } from '../codec/hpack/decoder.ts';
import { type FrameOwner, FrameReader } from '../codec/http2/frame-reader.ts';
import * as h2 from '../codec/http2/frames.ts';
import { CONTINUED, HeaderBlock, WHOLE } from '../codec/http2/header-block.ts';
import type { PooledBuffer } from '../io/buffers.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { Wire, WireOwner } from '../io/wire.ts';
import { Budget } from './budget.ts';
import type { Output } from './output.ts';
import type { FramedStream } from './stream.ts';

/** PING, SETTINGS, PRIORITY, empty and unknown frames: at once, and a second; and one for each frame of a message that was sent. */
const CONTROL_BURST = 1000;
const CONTROLS_PER_S = 100;
/** WINDOW_UPDATE frames: so many at first, and for each frame of a message that was sent. Go gives back 4 KiB at a time, of stream and connection. */
const UPDATES = 1000;
const UPDATES_A_FRAME = 20;
const MAX_UPDATES = 10_000;
/** Frames that only answer the other side's (acknowledgements, resets) while it takes nothing. */
const MAX_REPLIES = 1000;

const NO_BYTES = new Uint8Array();

export interface ConnectionBounds {
  /** Bytes of DATA, of all streams, that may have come and nobody has taken. */
  readonly windowBytes: number;
  /** DATA counts as taken when it comes, as each stream bounds what waits; else when `consumed` says so. */
  readonly takenAtOnce: boolean;
  /** Of a header block as it is sent: bytes, and CONTINUATION frames. */
  readonly blockBytes: number;
  readonly continuations: number;
  /** Of a field list: bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts, and fields. */
  readonly listBytes: number;
  readonly fields: number;
}

export abstract class FramedConnection<S extends FramedStream> implements WireOwner, FrameOwner {
  abstract readonly wire: Wire;
  abstract readonly out: Output;
  /** Streams that wait for a window, or for the socket. */
  readonly waiting = new Set<FramedStream>();
  protected readonly streams = new Map<number, S>();
  /** The highest id that was begun; below 1: none. */
  protected lastStream = 0;
  /** Bytes of DATA the other side takes of a new stream. */
  protected initialWindow = h2.DEFAULT_WINDOW;
  protected readonly frames: FrameReader = new FrameReader(this);
  protected readonly block: HeaderBlock;
  protected readonly hpack = new HpackDecoder();
  private readonly bounds: ConnectionBounds;
  private readonly wheel: TimerWheel;
  private settingsSeen = false;
  /** Bytes of DATA the other side takes of all streams, and those it may send. */
  private sendWindow = h2.DEFAULT_WINDOW;
  private receiveWindow: number;
  private consumedBytes = 0;
  /** Of the DATA frame that is arriving; null: nobody's. */
  private dataStream: S | null = null;
  private readonly controls = new Budget(CONTROL_BURST, CONTROLS_PER_S);
  private earnedControls = 0;
  private updates = UPDATES;

  constructor(bounds: ConnectionBounds, wheel: TimerWheel) {
    this.bounds = bounds;
    this.wheel = wheel;
    this.receiveWindow = bounds.windowBytes;
    this.block = new HeaderBlock(bounds.blockBytes, bounds.continuations);
  }

  abstract onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void;
  abstract onEnd(): void;
  abstract onDrain(): void;
  abstract onClose(): void;
  /** GOAWAY, and no more is read. */
  abstract fail(error: number): void;
  /** Resets a stream, or answers for one that is no more, as the other side broke its rules (section 5.4.2). */
  protected abstract streamError(id: number, error: number): void;
  /** Whether HEADERS may be of this stream. */
  protected abstract mayHaveHeaders(id: number): boolean;
  /** `hpack` has the fields. */
  protected abstract onFields(id: number, ends: boolean): void;
  /** DATA of a stream that is no more, or whose other side had ended it. */
  protected abstract onStrayData(id: number): void;
  protected abstract onReset(id: number, error: number): void;
  protected abstract onGoaway(lastStream: number): void;
  /** A setting within its range. Below 0: taken over; else the error that ends the connection. */
  protected abstract onSetting(id: number, value: number): number;
  /** Settings were taken over and acknowledged. */
  protected abstract onSettled(first: boolean): void;
  protected abstract onPong(): void;
  /** A header block goes on in another frame; and has come to its end. */
  protected abstract onBlockHeld(): void;
  protected abstract onBlockCame(): void;

  /** Asked only while it reads: whether the next read fetches a large part of a body. */
  get bulk(): boolean {
    return this.frames.dataLeft > 0;
  }

  // For streams.

  /** Writes as much of `bytes` from `start` on as the windows and the socket take, at most `most`; returns how much. */
  send(stream: FramedStream, bytes: Uint8Array, start: number, most: number): number {
    const { out, wire } = this;
    let at = start;
    const end = Math.min(bytes.length, start + most);
    while (at < end && !wire.blocked) {
      const length = Math.min(end - at, h2.MAX_FRAME_BYTES, stream.sendWindow, this.sendWindow);
      if (length <= 0) break;
      stream.sent(out.data(stream.id, bytes, at, length));
      stream.sendWindow -= length;
      this.sendWindow -= length;
      at += length;
    }
    return at - start;
  }

  /** Bytes of DATA that are held no longer: the other side may send as many again. */
  consumed(bytes: number): void {
    const half = this.bounds.windowBytes / 2;
    this.consumedBytes += bytes;
    if (this.consumedBytes < half || this.frames.stopped) return;
    this.receiveWindow += this.consumedBytes;
    this.out.windowUpdate(0, this.consumedBytes);
    this.consumedBytes = 0;
  }

  /** The stream is no more. */
  protected forget(stream: S): boolean {
    if (!this.streams.delete(stream.id)) return false;
    this.waiting.delete(stream);
    if (this.dataStream === stream) this.dataStream = null;
    return true;
  }

  /** Sends what waits, a frame of each stream in turn. */
  protected pump(): void {
    const { waiting, wire } = this;
    let moving = true;
    while (moving && waiting.size > 0 && !wire.blocked) {
      moving = false;
      for (const stream of waiting) if (stream.pump(h2.MAX_FRAME_BYTES)) moving = true;
    }
  }

  /** To be asked before each frame that only answers one. False: the other side asks and does not read; the connection has ended. */
  protected reply(): boolean {
    if (this.wire.unsent === 0) this.out.replies = 0;
    else if (++this.out.replies > MAX_REPLIES) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return false;
    }
    return true;
  }

  /** Begun, and not necessarily there any more. */
  protected known(id: number): boolean {
    return id <= this.lastStream && (id & 1) === 1;
  }

  // Frames.

  onFrameHeader(): number {
    const { type, stream, flags, length } = this.frames;
    if (!this.settingsSeen && (type !== h2.SETTINGS || (flags & h2.ACK) !== 0)) return h2.PROTOCOL_ERROR;
    const error = h2.frameError(type, flags, stream, length);
    if (error >= 0) return error;
    const held = this.block.stream;
    if (type === h2.CONTINUATION ? stream !== held : held !== 0) return h2.PROTOCOL_ERROR;
    switch (type) {
      case h2.HEADERS:
        return this.mayHaveHeaders(stream) ? -1 : h2.PROTOCOL_ERROR;
      case h2.DATA:
      case h2.RST_STREAM:
        return this.known(stream) ? -1 : h2.PROTOCOL_ERROR;
      case h2.WINDOW_UPDATE:
        return stream === 0 || this.known(stream) ? -1 : h2.PROTOCOL_ERROR;
      default:
        return -1;
    }
  }

  onFrame(bytes: Buffer, from: number, end: number): void {
    const { type, stream, flags } = this.frames;
    switch (type) {
      case h2.DATA:
        this.onPaddedData(bytes, from, end);
        break;
      case h2.HEADERS:
        this.onBlock(this.block.begin(bytes, from, end, flags, stream), stream);
        break;
      case h2.CONTINUATION: {
        const state = this.block.add(bytes, from, end, flags);
        if (state === WHOLE) this.onBlockCame();
        if (state !== CONTINUED) this.onBlock(state, stream);
        break;
      }
      case h2.WINDOW_UPDATE:
        this.onWindowUpdate(stream, h2.readWord31(bytes, from));
        break;
      case h2.RST_STREAM:
        this.onReset(stream, h2.readWord(bytes, from));
        break;
      default:
        if (this.mayControl()) this.onControl(bytes, from, end);
    }
  }

  private onControl(bytes: Buffer, from: number, end: number): void {
    const { type, stream, flags } = this.frames;
    switch (type) {
      case h2.SETTINGS:
        if ((flags & h2.ACK) === 0) this.onSettings(bytes, from, end);
        break;
      case h2.PING:
        if ((flags & h2.ACK) !== 0) this.onPong();
        else if (this.reply()) this.out.frame(h2.PING, h2.ACK, 0, bytes.subarray(from, end));
        break;
      case h2.GOAWAY:
        this.onGoaway(h2.readWord31(bytes, from));
        break;
      case h2.PRIORITY: {
        let error = -1;
        if (end - from !== 5) error = h2.FRAME_SIZE_ERROR;
        else if (h2.readWord31(bytes, from) === stream) error = h2.PROTOCOL_ERROR;
        if (error < 0) break;
        // Of a stream that was never opened it can only be the connection's.
        if (this.known(stream)) this.streamError(stream, error);
        else this.fail(error);
      }
    }
  }

  /** Counts what was sent: clients and servers of gRPC ask (PING) and give back as often as they get something. */
  private earn(): void {
    const { messages } = this.out;
    if (messages === 0) return;
    this.out.messages = 0;
    this.earnedControls += messages;
    this.updates = Math.min(MAX_UPDATES, this.updates + messages * UPDATES_A_FRAME);
  }

  private mayControl(): boolean {
    this.earn();
    const earned = this.earnedControls;
    this.earnedControls = 0;
    if (this.controls.take(this.wheel.now(), earned)) return true;
    this.fail(h2.ENHANCE_YOUR_CALM);
    return false;
  }

  private onSettings(bytes: Buffer, from: number, end: number): void {
    const first = !this.settingsSeen;
    this.settingsSeen = true;
    for (let at = from; at < end; at += 6) {
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const value = h2.readWord(bytes, at + 2);
      let error = h2.settingError(id, value);
      if (error < 0) error = id === h2.SETTINGS_INITIAL_WINDOW_SIZE ? this.setWindow(value) : this.onSetting(id, value);
      if (error >= 0) {
        this.fail(error);
        return;
      }
    }
    if (!this.reply()) return;
    this.out.frame(h2.SETTINGS, h2.ACK, 0, NO_BYTES);
    this.pump();
    this.onSettled(first);
  }

  /** Section 6.9.2. */
  private setWindow(value: number): number {
    const change = value - this.initialWindow;
    this.initialWindow = value;
    for (const stream of this.streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > h2.MAX_WINDOW) return h2.FLOW_CONTROL_ERROR;
    }
    return -1;
  }

  private onWindowUpdate(id: number, increment: number): void {
    this.earn();
    if (--this.updates < 0) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return;
    }
    if (id === 0) {
      this.sendWindow += increment;
      if (increment === 0) this.fail(h2.PROTOCOL_ERROR);
      else if (this.sendWindow > h2.MAX_WINDOW) this.fail(h2.FLOW_CONTROL_ERROR);
      else this.pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    stream.sendWindow += increment;
    if (increment === 0) this.streamError(id, h2.PROTOCOL_ERROR);
    else if (stream.sendWindow > h2.MAX_WINDOW) this.streamError(id, h2.FLOW_CONTROL_ERROR);
    else if (this.waiting.has(stream)) while (stream.pump(h2.MAX_FRAME_BYTES));
  }

  // Bodies.

  onDataFrame(): void {
    const { frames } = this;
    const { length } = frames;
    const stream = this.beginData(length, 0);
    this.dataStream = stream;
    if (length === 0 && stream !== null && (frames.flags & h2.END_STREAM) !== 0) this.endData(stream);
  }

  onDataBytes(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null, last: boolean): void {
    const stream = this.dataStream;
    if (stream === null) {
      if (!this.bounds.takenAtOnce) this.consumed(end - from);
      return;
    }
    stream.onData(bytes.subarray(from, end), pooled);
    if (last && (this.frames.flags & h2.END_STREAM) !== 0 && this.dataStream === stream) this.endData(stream);
  }

  private onPaddedData(bytes: Buffer, from: number, end: number): void {
    const padding = end > from ? (bytes[from] as number) : 0;
    if (padding >= end - from) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    const to = end - padding;
    const length = to - from - 1;
    const stream = this.beginData(length, padding + 1);
    this.dataStream = stream;
    if (length > 0) this.onDataBytes(bytes, from + 1, to, null, true);
    else if (stream !== null && (this.frames.flags & h2.END_STREAM) !== 0) this.endData(stream);
  }

  /** Checks a DATA frame, whose padding counts for the windows and is used up as it comes (section 6.1). Null: nobody gets it. */
  private beginData(length: number, padding: number): S | null {
    const { frames } = this;
    const id = frames.stream;
    this.receiveWindow -= length + padding;
    if (this.receiveWindow < 0) {
      this.fail(h2.FLOW_CONTROL_ERROR);
      return null;
    }
    if (this.bounds.takenAtOnce) this.consumed(length + padding);
    else if (padding > 0) this.consumed(padding);
    const stream = this.streams.get(id);
    if (stream === undefined || stream.remoteEnded) {
      this.onStrayData(id);
      return null;
    }
    const ends = (frames.flags & h2.END_STREAM) !== 0;
    if (length === 0 && !ends && !this.mayControl()) return null;
    if (!stream.receives(length, padding)) this.streamError(id, h2.FLOW_CONTROL_ERROR);
    else if (!stream.announce(length, ends)) this.streamError(id, h2.PROTOCOL_ERROR);
    else return stream;
    return null;
  }

  private endData(stream: S): void {
    this.dataStream = null;
    stream.onRemoteEnd(null);
  }

  // Heads.

  private onBlock(state: number, id: number): void {
    const { block, bounds, hpack } = this;
    if (state === CONTINUED) this.onBlockHeld();
    else if (state !== WHOLE) this.fail(state);
    // Also of a stream that is no more, or is refused: the table is that of the connection.
    else if (hpack.decode(block.bytes, block.from, block.to, bounds.listBytes, bounds.fields) !== BLOCK_OK)
      this.fail(h2.COMPRESSION_ERROR);
    else this.onFields(id, block.ends);
  }
}
