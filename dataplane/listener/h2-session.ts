/**
 * One client's HTTP/2 connection (RFC 9113): cuts what arrives into frames, keeps the state that all streams share, and bounds what a client can
 * make it do. Ours instead of node:http2, which costs more than all of the rest of a request (README, "HTTP/2").
 *
 * Larger than most files here because it is one state machine; a stream is h2-stream.ts, what is written h2-output.ts.
 */
import type { Socket } from 'node:net';
import * as h2 from '../codec/h2-frames.ts';
import { BLOCK_OK, HpackDecoder } from '../codec/hpack/decoder.ts';
import { BODY_TOO_LARGE, HEADERS_TOO_LARGE, MISDIRECTED } from '../codec/refusals.ts';
import type { PooledBuffer } from '../io/buffers.ts';
import { Timer, type TimerOwner } from '../io/wheel.ts';
import { Wire, type WireOwner } from '../io/wire.ts';
import { type ConnectionAddresses, LENGTH_UNKNOWN, NO_BODY } from '../pipeline/exchange.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { plainAddress } from './client-address.ts';
import { Budget } from './h2-budget.ts';
import { H2Output } from './h2-output.ts';
import { H2Request, readRequest } from './h2-request.ts';
import type { FramedHttp2Sessions } from './h2-sessions.ts';
import { H2Stream } from './h2-stream.ts';

/** Streams of one connection at a time; more are refused and may be tried again. */
export const MAX_STREAMS = 250;
/** Bytes of request bodies that a client may have sent and nobody has taken: of one stream, and of all together. */
export const STREAM_WINDOW = 256 * 1024;
export const SESSION_WINDOW = 1024 * 1024;
/** How long a client that has said that it goes may still send a request. */
const LEAVING_MS = 1_000;
/** The first GOAWAY names the highest id: nothing is refused by it, the client is only told to go elsewhere (section 6.8). */
const EVERY_STREAM = 2 ** 31 - 1;
/** Bytes of one header block as it is sent, and CONTINUATION frames of it (CVE-2024-27316). */
const BLOCK_BYTES = 64 * 1024;
const MAX_CONTINUATIONS = 16;
/** Resets, by the client or provoked by it (CVE-2023-44487, CVE-2025-8671): at once, and a second. */
const RESET_BURST = 500;
const RESETS_PER_S = 50;
/** PING, SETTINGS, PRIORITY, empty and unknown frames. */
const CONTROL_BURST = 1000;
const CONTROLS_PER_S = 100;
/** WINDOW_UPDATE frames: so many at first, and for each DATA frame that was sent. */
const UPDATES = 1000;
const UPDATES_A_FRAME = 4;
const MAX_UPDATES = 10_000;
/** Frames that answer the client's (acknowledgements, resets) while it takes nothing. */
const MAX_REPLIES = 1000;
/** Streams that were reset here, whose frames may still be on their way. */
const REMEMBERED = 128;

const OPEN = 0;
/** FIN is sent; what still arrives is dropped until the client closes. */
const LINGER = 1;
const CLOSED = 2;

const PREFACE: Uint8Array = Buffer.from(h2.PREFACE, 'latin1');
const NO_BYTES = new Uint8Array();
const request = new H2Request();

export class H2Session implements WireOwner, TimerOwner {
  bulk = false;
  readonly owner: FramedHttp2Sessions;
  readonly wire: Wire;
  readonly out: H2Output;
  readonly peerAddress: string;
  readonly tls: TlsPeer | null;
  /** Streams that wait for a window, or for the socket. */
  readonly waiting = new Set<H2Stream>();
  /** Bytes of DATA the client takes of all streams. */
  sendWindow = h2.DEFAULT_WINDOW;
  private initialWindow = h2.DEFAULT_WINDOW;
  private receiveWindow = SESSION_WINDOW;
  private consumedBytes = 0;
  private readonly streams = new Map<number, H2Stream>();
  private lastStream = 0;
  /** What the last GOAWAY named. */
  private servedStream = 0;
  private requests = 0;
  private readonly hpack = new HpackDecoder();
  private state = OPEN;
  /** The last GOAWAY is sent: it ends with its last stream. */
  private closing = false;
  /** The first GOAWAY is sent. */
  private saidGoodbye = false;
  private peerEnded = false;
  /** The client has sent a GOAWAY. */
  private leaving = false;
  private readonly resetStreams = new Set<number>();
  private readonly resets = new Budget(RESET_BURST, RESETS_PER_S);
  private readonly controls = new Budget(CONTROL_BURST, CONTROLS_PER_S);
  private updates = UPDATES;
  // Input.
  private prefaceBytes = 0;
  private settingsSeen = false;
  private readonly head = new Uint8Array(h2.FRAME_HEADER_BYTES);
  private headBytes = 0;
  private frameLength = 0;
  private frameType = 0;
  private frameFlags = 0;
  private frameStream = 0;
  /** A frame that did not come as one. */
  private payload: Buffer | null = null;
  private payloadBytes = 0;
  /** Of the DATA frame that is arriving. */
  private dataLeft = 0;
  private dataStream: H2Stream | null = null;
  /** A header block that is to be continued; 0: none. */
  private blockStream = 0;
  private blockEnds = false;
  private block: Buffer[] = [];
  private blockBytes = 0;
  private readonly timer: Timer = new Timer(this);
  private writeTimer: Timer | null = null;
  private writeProgress = 0;

  constructor(owner: FramedHttp2Sessions, socket: Socket, tls: TlsPeer | null) {
    this.owner = owner;
    this.tls = tls;
    this.peerAddress = plainAddress(socket.remoteAddress);
    this.wire = new Wire(this, tls === null ? owner.readMode : 'data', socket);
    this.wire.socket.setNoDelay(true);
    this.out = new H2Output(this.wire);
    this.wire.start();
    this.arm(owner.timeouts.headerMs);
    this.out.frame(h2.SETTINGS, 0, 0, owner.settings);
    this.out.windowUpdate(0, SESSION_WINDOW - h2.DEFAULT_WINDOW);
  }

  /** Asked only where a backend wants them. */
  get addresses(): ConnectionAddresses {
    const { remotePort = 0, localAddress, localPort = 0 } = this.wire.socket;
    return { peerPort: remotePort, localAddress: plainAddress(localAddress), localPort };
  }

  // The socket.

  onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void {
    if (this.state !== OPEN) return;
    let at = this.prefaceBytes < PREFACE.length ? this.readPreface(bytes, length) : 0;
    while (at < length && this.state === OPEN) {
      if (this.dataLeft > 0) at = this.readData(bytes, at, length, pooled);
      else if (this.payload !== null) at = this.collect(this.payload, bytes, at, length);
      else at = this.readFrame(bytes, at, length);
    }
    this.bulk = this.dataLeft > 0;
  }

  onEnd(): void {
    this.peerEnded = true;
    if (this.state !== OPEN || this.streams.size === 0) {
      this.state = LINGER;
      this.out.end();
      this.wire.finishAndClose();
      this.arm(this.owner.timeouts.lingerMs || 1);
      return;
    }
    for (const stream of this.streams.values()) if (!stream.remoteEnded) this.drop(stream);
    this.arm(this.owner.timeouts.halfCloseMs || 1);
  }

  onDrain(): void {
    if (this.writeTimer !== null) this.owner.wheel.disarm(this.writeTimer);
    this.out.replies = 0;
    this.pump();
  }

  onClose(): void {
    this.state = CLOSED;
    this.owner.wheel.drop(this.timer);
    if (this.writeTimer !== null) this.owner.wheel.drop(this.writeTimer);
    this.out.flush();
    for (const stream of this.streams.values()) this.drop(stream);
    this.owner.closed(this);
  }

  onTimeout(timer: Timer): void {
    if (timer === this.writeTimer) {
      const { progress } = this.wire;
      if (progress === this.writeProgress) this.wire.destroy();
      else this.watchWrite();
    } else if (this.state === OPEN && this.prefaceBytes === PREFACE.length && this.blockStream === 0) {
      if (this.streams.size === 0 && !this.peerEnded) this.close();
      else if (this.peerEnded) this.wire.destroy();
    } else this.wire.destroy();
  }

  /** Looks that a client whose socket is full takes something. */
  watchWrite(): void {
    const { writeMs } = this.owner.timeouts;
    if (writeMs === 0) return;
    this.writeTimer ??= new Timer(this);
    if (this.writeTimer.deadlineMs !== 0) return;
    this.writeProgress = this.wire.progress;
    this.owner.wheel.arm(this.writeTimer, writeMs);
  }

  private arm(delayMs: number): void {
    if (delayMs > 0) this.owner.wheel.arm(this.timer, delayMs);
    else this.owner.wheel.disarm(this.timer);
  }

  /** Without a stream: closed after the idle time-out, and soon where the client has said that it goes. */
  private rest(): void {
    const { idleMs } = this.owner.timeouts;
    this.arm(this.leaving && (idleMs === 0 || idleMs > LEAVING_MS) ? LEAVING_MS : idleMs);
  }

  // The end.

  /** Tells the client to go elsewhere with what it has not sent yet. */
  sayGoodbye(): void {
    if (this.state !== OPEN || this.closing || this.saidGoodbye) return;
    this.saidGoodbye = true;
    this.out.goaway(EVERY_STREAM, h2.NO_ERROR);
  }

  /** No further streams; closed when those that are there have ended. */
  close(): void {
    if (this.state !== OPEN || this.closing) return;
    this.closing = true;
    this.servedStream = this.lastStream;
    this.out.goaway(this.lastStream, h2.NO_ERROR);
    if (this.streams.size === 0) this.linger();
  }

  /** Ends the connection for an error of it (section 5.4.1). */
  private fail(error: number): void {
    if (this.state !== OPEN) return;
    this.owner.sessionRefused();
    this.out.goaway(this.closing ? this.servedStream : this.lastStream, error);
    for (const stream of this.streams.values()) this.drop(stream);
    this.linger();
  }

  /** FIN after all that was written; reads on, so that no reset destroys it on its way. */
  private linger(): void {
    this.state = LINGER;
    this.payload = null;
    this.block = [];
    this.out.end();
    if (this.peerEnded) this.wire.finishAndClose();
    else this.wire.finish();
    this.arm(this.owner.timeouts.lingerMs || 1);
  }

  // For streams.

  /** Writes as much of `bytes` from `start` on as the windows and the socket take, at most `most`; returns how much. */
  send(stream: H2Stream, bytes: Uint8Array, start: number, most: number): number {
    const { out } = this;
    let at = start;
    const end = Math.min(bytes.length, start + most);
    while (at < end && !this.wire.blocked) {
      const length = Math.min(end - at, h2.MAX_FRAME_BYTES, stream.sendWindow, this.sendWindow);
      if (length <= 0) break;
      stream.sent(out.data(stream.id, bytes, at, length, 0));
      stream.sendWindow -= length;
      this.sendWindow -= length;
      at += length;
      if (this.updates < MAX_UPDATES) this.updates += UPDATES_A_FRAME;
    }
    return at - start;
  }

  /** Bytes of DATA that are held no longer: the client may send as many again. */
  consumed(bytes: number): void {
    this.consumedBytes += bytes;
    if (this.consumedBytes < SESSION_WINDOW / 2 || this.state !== OPEN) return;
    this.receiveWindow += this.consumedBytes;
    this.out.windowUpdate(0, this.consumedBytes);
    this.consumedBytes = 0;
  }

  /** Resets a stream of its own accord, and forgets it. */
  reset(stream: H2Stream, error: number): void {
    if (this.state === OPEN) this.out.reset(stream.id, error);
    this.remember(stream.id);
    this.remove(stream);
  }

  /** The stream is closed both ways, or reset. */
  remove(stream: H2Stream): void {
    if (!this.streams.delete(stream.id)) return;
    this.waiting.delete(stream);
    if (this.dataStream === stream) this.dataStream = null;
    if (this.streams.size > 0 || this.state !== OPEN) return;
    if (this.closing) this.linger();
    else if (this.peerEnded) this.onEnd();
    else this.rest();
  }

  /** Malformed, or against the rules of a stream (section 5.4.2): reset, and counted against the client. */
  streamError(id: number, error: number): void {
    if (this.state !== OPEN) return;
    if (!this.resets.take(this.owner.wheel.now())) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return;
    }
    const stream = this.streams.get(id);
    this.reply();
    this.out.reset(id, error);
    this.remember(id);
    if (stream !== undefined) this.drop(stream);
  }

  private drop(stream: H2Stream): void {
    this.remove(stream);
    stream.gone();
  }

  private remember(id: number): void {
    const { resetStreams } = this;
    resetStreams.add(id);
    if (resetStreams.size > REMEMBERED) resetStreams.delete(resetStreams.values().next().value as number);
  }

  private reply(): void {
    if (this.wire.unsent === 0) this.out.replies = 0;
    else if (++this.out.replies > MAX_REPLIES) this.fail(h2.ENHANCE_YOUR_CALM);
  }

  /** Sends what waits, a frame of each stream in turn. */
  private pump(): void {
    const { waiting, wire } = this;
    let moving = true;
    while (moving && waiting.size > 0 && !wire.blocked) {
      moving = false;
      for (const stream of waiting) if (stream.pump(h2.MAX_FRAME_BYTES)) moving = true;
    }
  }

  // Input.

  private readPreface(bytes: Buffer, length: number): number {
    let at = 0;
    while (at < length && this.prefaceBytes < PREFACE.length) {
      if (bytes[at++] !== PREFACE[this.prefaceBytes++]) {
        this.fail(h2.PROTOCOL_ERROR);
        return length;
      }
    }
    return at;
  }

  private readFrame(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.headBytes === 0 && end - at >= h2.FRAME_HEADER_BYTES) {
      this.readFrameHeader(bytes, at);
      at += h2.FRAME_HEADER_BYTES;
    } else {
      while (at < end && this.headBytes < h2.FRAME_HEADER_BYTES) this.head[this.headBytes++] = bytes[at++] as number;
      if (this.headBytes < h2.FRAME_HEADER_BYTES) return at;
      this.headBytes = 0;
      this.readFrameHeader(this.head, 0);
    }
    const { frameLength, frameType } = this;
    if (frameLength > h2.MAX_FRAME_BYTES) this.fail(h2.FRAME_SIZE_ERROR);
    else if (!this.settingsSeen && frameType !== h2.SETTINGS) this.fail(h2.PROTOCOL_ERROR);
    else if (this.blockStream !== 0 && (frameType !== h2.CONTINUATION || this.frameStream !== this.blockStream))
      this.fail(h2.PROTOCOL_ERROR);
    else if (frameType === h2.DATA && (this.frameFlags & h2.PADDED) === 0) this.beginData(frameLength);
    else if (end - at >= frameLength) {
      this.onFrame(bytes, at, at + frameLength);
      return at + frameLength;
    } else {
      this.payload = Buffer.allocUnsafe(frameLength);
      this.payloadBytes = 0;
    }
    return at;
  }

  private readFrameHeader(bytes: Uint8Array, at: number): void {
    this.frameLength = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    this.frameType = bytes[at + 3] as number;
    this.frameFlags = bytes[at + 4] as number;
    this.frameStream = h2.readWord31(bytes, at + 5);
  }

  private collect(payload: Buffer, bytes: Buffer, at: number, end: number): number {
    const length = Math.min(end - at, payload.length - this.payloadBytes);
    bytes.copy(payload, this.payloadBytes, at, at + length);
    this.payloadBytes += length;
    if (this.payloadBytes === payload.length) {
      this.payload = null;
      this.onFrame(payload, 0, payload.length);
    }
    return at + length;
  }

  private onFrame(bytes: Buffer, from: number, end: number): void {
    switch (this.frameType) {
      case h2.DATA:
        this.onPaddedData(bytes, from, end);
        break;
      case h2.HEADERS:
        this.onHeaders(bytes, from, end);
        break;
      case h2.CONTINUATION:
        this.onContinuation(bytes, from, end);
        break;
      case h2.WINDOW_UPDATE:
        this.onWindowUpdate(bytes, from);
        break;
      case h2.RST_STREAM:
        this.onReset();
        break;
      case h2.PUSH_PROMISE:
        this.fail(h2.PROTOCOL_ERROR);
        break;
      default:
        if (!this.controls.take(this.owner.wheel.now())) this.fail(h2.ENHANCE_YOUR_CALM);
        else this.onControl(bytes, from, end);
    }
  }

  private onControl(bytes: Buffer, from: number, end: number): void {
    const { frameType, frameStream, frameLength } = this;
    const acknowledges = (this.frameFlags & h2.ACK) !== 0;
    switch (frameType) {
      case h2.SETTINGS:
        if (frameStream !== 0) this.fail(h2.PROTOCOL_ERROR);
        else if (acknowledges ? frameLength !== 0 : frameLength % 6 !== 0) this.fail(h2.FRAME_SIZE_ERROR);
        else if (!acknowledges) this.onSettings(bytes, from, end);
        break;
      case h2.PING:
        if (frameStream !== 0) this.fail(h2.PROTOCOL_ERROR);
        else if (frameLength !== 8) this.fail(h2.FRAME_SIZE_ERROR);
        else if (!acknowledges) {
          this.reply();
          if (this.state === OPEN) this.out.frame(h2.PING, h2.ACK, 0, bytes.subarray(from, end));
        }
        break;
      case h2.GOAWAY:
        if (frameStream !== 0) this.fail(h2.PROTOCOL_ERROR);
        else if (frameLength < 8) this.fail(h2.FRAME_SIZE_ERROR);
        else {
          // It speaks of streams that we would open; the client's own may still come (section 6.8).
          this.leaving = true;
          if (this.streams.size === 0) this.rest();
        }
        break;
      case h2.PRIORITY:
        // Ignored, but for what is no priority at all (section 5.3.2).
        if (frameStream === 0) this.fail(h2.PROTOCOL_ERROR);
        else if (frameLength !== 5) this.streamOrSessionError(h2.FRAME_SIZE_ERROR);
        else if (h2.readWord31(bytes, from) === frameStream) this.streamOrSessionError(h2.PROTOCOL_ERROR);
    }
  }

  /** Of a stream that was never opened it can only be the connection's. */
  private streamOrSessionError(error: number): void {
    if (this.frameStream > this.lastStream) this.fail(error);
    else this.streamError(this.frameStream, error);
  }

  private onSettings(bytes: Buffer, from: number, end: number): void {
    this.settingsSeen = true;
    for (let at = from; at < end; at += 6) {
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const value = h2.readWord(bytes, at + 2);
      if (id === h2.SETTINGS_INITIAL_WINDOW_SIZE) {
        const change = value - this.initialWindow;
        this.initialWindow = value;
        if (value > h2.MAX_WINDOW) {
          this.fail(h2.FLOW_CONTROL_ERROR);
          return;
        }
        for (const stream of this.streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > h2.MAX_WINDOW) {
            this.fail(h2.FLOW_CONTROL_ERROR);
            return;
          }
        }
      } else if (id === h2.SETTINGS_ENABLE_PUSH && value > 1) {
        this.fail(h2.PROTOCOL_ERROR);
        return;
      } else if (id === h2.SETTINGS_MAX_FRAME_SIZE && (value < h2.MAX_FRAME_BYTES || value > 0xffffff)) {
        this.fail(h2.PROTOCOL_ERROR);
        return;
      }
    }
    this.reply();
    if (this.state !== OPEN) return;
    this.out.frame(h2.SETTINGS, h2.ACK, 0, NO_BYTES);
    this.pump();
  }

  private onWindowUpdate(bytes: Buffer, from: number): void {
    const id = this.frameStream;
    if (this.frameLength !== 4) {
      this.fail(h2.FRAME_SIZE_ERROR);
      return;
    }
    if (--this.updates < 0) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return;
    }
    const increment = h2.readWord31(bytes, from);
    if (id === 0) {
      this.sendWindow += increment;
      if (increment === 0) this.fail(h2.PROTOCOL_ERROR);
      else if (this.sendWindow > h2.MAX_WINDOW) this.fail(h2.FLOW_CONTROL_ERROR);
      else this.pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (id > this.lastStream) this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    stream.sendWindow += increment;
    if (increment === 0) this.streamError(id, h2.PROTOCOL_ERROR);
    else if (stream.sendWindow > h2.MAX_WINDOW) this.streamError(id, h2.FLOW_CONTROL_ERROR);
    else if (this.waiting.has(stream)) while (stream.pump(h2.MAX_FRAME_BYTES));
  }

  private onReset(): void {
    const id = this.frameStream;
    if (this.frameLength !== 4) {
      this.fail(h2.FRAME_SIZE_ERROR);
      return;
    }
    if (id === 0 || id > this.lastStream) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    if (!this.resets.take(this.owner.wheel.now())) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return;
    }
    const stream = this.streams.get(id);
    if (stream !== undefined) this.drop(stream);
  }

  // Bodies.

  /** Checks a DATA frame; its bytes go to `dataStream` or, where that is null, nowhere. */
  private beginData(length: number): void {
    const id = this.frameStream;
    this.dataStream = null;
    this.dataLeft = length;
    if (id === 0 || id > this.lastStream) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) {
      this.fail(h2.FLOW_CONTROL_ERROR);
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined || stream.remoteEnded) {
      if (!this.resetStreams.has(id)) this.streamError(id, h2.STREAM_CLOSED);
      return;
    }
    const ends = (this.frameFlags & h2.END_STREAM) !== 0;
    if (length === 0 && !ends && !this.controls.take(this.owner.wheel.now())) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return;
    }
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      this.streamError(id, h2.FLOW_CONTROL_ERROR);
      return;
    }
    if (!stream.announce(length, ends)) {
      this.streamError(id, h2.PROTOCOL_ERROR);
      return;
    }
    this.dataStream = stream;
    if (length === 0 && ends) this.endData(stream);
  }

  private readData(bytes: Buffer, at: number, end: number, pooled: PooledBuffer | null): number {
    const length = Math.min(end - at, this.dataLeft);
    this.dataLeft -= length;
    const stream = this.dataStream;
    if (stream === null) this.consumed(length);
    else {
      stream.onData(bytes.subarray(at, at + length), pooled);
      if (this.dataLeft === 0 && (this.frameFlags & h2.END_STREAM) !== 0 && this.dataStream === stream)
        this.endData(stream);
    }
    return at + length;
  }

  private endData(stream: H2Stream): void {
    this.dataStream = null;
    stream.onRemoteEnd(null);
  }

  private onPaddedData(bytes: Buffer, from: number, end: number): void {
    const length = end - from;
    const padding = length > 0 ? (bytes[from] as number) : 0;
    if (padding >= length) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    const to = end - padding;
    // Padding counts for the windows, and as a body it would be empty frames (section 6.1).
    this.receiveWindow -= padding + 1;
    this.consumed(padding + 1);
    const stream = this.streams.get(this.frameStream);
    if (stream !== undefined) stream.padding(padding + 1);
    this.beginData(to - from - 1);
    if (this.state === OPEN && this.dataLeft > 0) this.readData(bytes, from + 1, to, null);
  }

  // Heads.

  private onHeaders(bytes: Buffer, from: number, end: number): void {
    const { frameFlags, frameStream } = this;
    let at = from;
    let to = end;
    if (frameStream === 0) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    if ((frameFlags & h2.PADDED) !== 0) to -= at < end ? (bytes[at++] as number) : end;
    let dependsOnItself = false;
    if ((frameFlags & h2.HAS_PRIORITY) !== 0) {
      dependsOnItself = to - at >= 5 && h2.readWord31(bytes, at) === frameStream;
      at += 5;
    }
    if (at > to) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    if (dependsOnItself) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    const ends = (frameFlags & h2.END_STREAM) !== 0;
    if ((frameFlags & h2.END_HEADERS) !== 0) {
      this.onBlock(frameStream, ends, bytes, at, to);
      return;
    }
    this.blockStream = frameStream;
    this.blockEnds = ends;
    this.block = [Buffer.from(bytes.subarray(at, to))];
    this.blockBytes = to - at;
    this.arm(this.owner.timeouts.headerMs);
  }

  private onContinuation(bytes: Buffer, from: number, end: number): void {
    if (this.blockStream === 0) {
      this.fail(h2.PROTOCOL_ERROR);
      return;
    }
    this.blockBytes += end - from;
    if (this.blockBytes > BLOCK_BYTES || this.block.length > MAX_CONTINUATIONS) {
      this.fail(h2.ENHANCE_YOUR_CALM);
      return;
    }
    this.block.push(Buffer.from(bytes.subarray(from, end)));
    if ((this.frameFlags & h2.END_HEADERS) === 0) return;
    const block = Buffer.concat(this.block);
    const id = this.blockStream;
    this.block = [];
    this.blockStream = 0;
    this.owner.wheel.disarm(this.timer);
    this.onBlock(id, this.blockEnds, block, 0, block.length);
    if (this.streams.size === 0 && this.state === OPEN) this.rest();
  }

  private onBlock(id: number, ends: boolean, bytes: Buffer, from: number, to: number): void {
    const { head } = this.owner.limits;
    // What is refused must be decoded all the same: the table is that of the connection.
    const listBytes = head.requestLineBytes + head.headerBytes;
    if (this.hpack.decode(bytes, from, to, listBytes, head.headerCount + 5) !== BLOCK_OK) {
      this.fail(h2.COMPRESSION_ERROR);
      return;
    }
    if (id > this.lastStream) {
      if ((id & 1) === 0) {
        this.fail(h2.PROTOCOL_ERROR);
        return;
      }
      // After the last GOAWAY: the client knows that it has to try elsewhere.
      const { closing } = this;
      this.lastStream = id;
      if (closing) {
        this.remember(id);
        return;
      }
      this.requests++;
      if (this.streams.size >= MAX_STREAMS) this.streamError(id, h2.REFUSED_STREAM);
      else this.begin(id, ends);
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (!this.resetStreams.has(id)) this.fail(h2.STREAM_CLOSED);
    } else if (stream.remoteEnded) this.streamError(id, h2.STREAM_CLOSED);
    else this.onTrailers(stream, ends);
  }

  private onTrailers(stream: H2Stream, ends: boolean): void {
    const { fields, malformed, tooLarge } = this.hpack;
    const wrong = !ends || malformed || tooLarge || fields.some((name, i) => i % 2 === 0 && name.startsWith(':'));
    if (wrong || !stream.announce(0, true)) this.streamError(stream.id, h2.PROTOCOL_ERROR);
    else stream.onRemoteEnd(fields);
  }

  private begin(id: number, ends: boolean): void {
    const { hpack, owner } = this;
    owner.requestCame();
    if (!hpack.tooLarge) {
      if (hpack.malformed || !readRequest(hpack.fields, owner.limits, request) || (ends && request.contentLength > 0)) {
        this.streamError(id, h2.PROTOCOL_ERROR);
        return;
      }
    }
    let refusal = hpack.tooLarge ? HEADERS_TOO_LARGE : request.refusal;
    if (refusal === 0) {
      if (request.fields.length > owner.limits.head.headerCount * 2) refusal = HEADERS_TOO_LARGE;
      else if (this.tls !== null && owner.misdirected(this.tls, request.host)) refusal = MISDIRECTED;
      else if (owner.limits.bodyBytes > 0 && request.contentLength > owner.limits.bodyBytes) refusal = BODY_TOO_LARGE;
    }
    const websocket = refusal === 0 && request.websocket;
    let length = NO_BODY;
    if (!ends && !websocket) length = hpack.tooLarge ? LENGTH_UNKNOWN : request.contentLength;
    const stream = new H2Stream(this, id, request.method, length, ends, this.initialWindow, websocket);
    if (this.streams.size === 0) owner.wheel.disarm(this.timer);
    this.streams.set(id, stream);
    if (owner.draining) this.sayGoodbye();
    if (refusal !== 0) owner.refuseStream(stream, refusal);
    else {
      stream.expecting = request.expectContinue && !ends;
      owner.handle(stream, request);
    }
    const { maxRequestsPerConnection } = owner.limits;
    if (maxRequestsPerConnection > 0 && this.requests >= maxRequestsPerConnection) this.close();
  }
}
