/**
 * One HTTP/2 connection to an endpoint (RFC 9113): the state that its streams share. Ours instead of node:http2, which costs several times
 * the rest of a request. frames.ts cuts what comes into frames, stream.ts is one exchange.
 *
 * Larger than most files here because it is one state machine.
 */
import * as h2 from '../../codec/h2-frames.ts';
import { BLOCK_OK, HpackDecoder } from '../../codec/hpack/decoder.ts';
import type { PooledBuffer } from '../../io/buffers.ts';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import { Wire, type WireOwner } from '../../io/wire.ts';
import type { ProxiedClient } from '../dial/proxy-header.ts';
import { STALL_MS } from '../earlier-dial.ts';
import type { Job } from '../job.ts';
import type { Target } from '../transport.ts';
import { type FrameOwner, FrameReader } from './frames.ts';
import { Output } from './output.ts';
import { BROKEN, LOST, StreamChannel } from './stream.ts';

/** Bytes of one response that may be under way, or wait for a client that is behind. */
export const STREAM_WINDOW = 256 * 1024;
/** Of all responses together; read at once, whatever single streams wait for. */
const SESSION_WINDOW = 4 * 1024 * 1024;
/** Bytes of one header block as it is sent, and CONTINUATION frames of it (CVE-2024-27316). */
const BLOCK_BYTES = 128 * 1024;
const MAX_CONTINUATIONS = 32;
/** Frames that only answer the endpoint's while it takes nothing. */
const MAX_REPLIES = 1000;
/** ms of silence after which it is asked whether the other side is still there, and how long it has to say so. */
const PING_AFTER_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
/** ms until it is asked again in the same silence: gRPC servers take more than one in five minutes for an attack. */
const PING_AGAIN_MS = 300_000;
/** Ids are used up with this one; the session is replaced before. */
const MAX_ID = 2 ** 31 - 2 ** 16;

const DIALING = 0;
const UP = 1;
/** No further streams: the other side said so (GOAWAY), or it is closing. */
const LEAVING = 2;
const CLOSED = 3;

const NO_BYTES = new Uint8Array();

export interface SessionOwner {
  /** A stream has ended, or the session can take streams now. */
  onRoom(session: Session): void;
  /** It takes no further streams. */
  onLeaving(session: Session): void;
  onClosed(session: Session): void;
  /** How many streams at a time the endpoint allows. */
  onLimit(streams: number): void;
}

export class Session implements TimerOwner, WireOwner, FrameOwner {
  readonly target: Target;
  /** Responses that it brought. */
  served = 0;
  /** RFC 8441: the endpoint takes extended CONNECT. */
  extendedConnect = false;
  readonly secure: boolean;
  /** Whose requests alone it carries (PROXY protocol); null: everybody's. */
  readonly proxied: ProxiedClient | null;
  readonly wire: Wire;
  readonly out: Output;
  /** Streams that wait for a window, or for the socket. */
  readonly waiting = new Set<StreamChannel>();
  private readonly owner: SessionOwner;
  private state = DIALING;
  /** Places that are taken: streams, and channels that have not sent yet. */
  private taken = 0;
  private readonly streams = new Map<number, StreamChannel>();
  private lastId = -1;
  /** Streams at a time that the endpoint allows. */
  private allowed: number;
  /** It has refused a stream: it is asked again when one has ended. */
  private full = false;
  /** Who waits for the session to be up. */
  private jobs: Job[] = [];
  private timedOut = false;
  private sendWindow = h2.DEFAULT_WINDOW;
  private initialWindow = h2.DEFAULT_WINDOW;
  private receiveWindow = SESSION_WINDOW;
  private readonly frames: FrameReader = new FrameReader(this);
  private readonly hpack = new HpackDecoder();
  private dataStream: StreamChannel | null = null;
  /** A header block that is to be continued; 0: none. */
  private blockStream = 0;
  private blockEnds = false;
  private block: Buffer[] = [];
  private blockBytes = 0;
  private readonly dialedAtMs: number;
  private readonly expiresAtMs: number;
  private readonly timer: Timer = new Timer(this);
  private heardAtMs = 0;
  private idleSinceMs = 0;
  private pingedAtMs = 0;
  private pinging = false;

  /** `allowed`: what is thought of the endpoint until it says so itself. */
  constructor(target: Target, owner: SessionOwner, allowed: number, proxied: ProxiedClient | null) {
    const { dialer } = target;
    this.target = target;
    this.owner = owner;
    this.allowed = allowed;
    this.dialedAtMs = target.wheel.now();
    this.expiresAtMs = this.dialedAtMs + target.ageLimitMs;
    this.secure = dialer.secure;
    this.proxied = proxied;
    const ready = (): void => this.wire.turn(() => this.begin());
    this.wire = new Wire(this, target.readMode, (onread) => dialer.dial(target, { onread, client: proxied, ready }));
    this.wire.socket.setNoDelay(true);
    this.out = new Output(this.wire.socket);
    if (target.connectTimeoutMs > 0) target.wheel.arm(this.timer, target.connectTimeoutMs);
  }

  /** Takes streams, now or when it is up. */
  get open(): boolean {
    return this.state <= UP;
  }

  /** Streams that it can take. */
  get room(): number {
    if (this.state > UP || this.full) return 0;
    return Math.min(this.allowed, this.target.maxStreams) - this.taken - this.jobs.length;
  }

  get idle(): boolean {
    return this.taken === 0 && this.jobs.length === 0;
  }

  /** Asked only while it reads: whether the next read fetches a large part of a body. */
  get bulk(): boolean {
    return this.frames.dataLeft > 0;
  }

  /** There is room: `job` gets a stream, once the session is up. */
  take(job: Job): void {
    if (this.state === DIALING) this.jobs.push(job);
    else {
      this.taken++;
      job.onReady(new StreamChannel(this));
    }
  }

  /** While it dials: `job` no longer waits, and `heir` does. False: it never did. */
  desert(job: Job, heir: Job | null): boolean {
    const at = this.jobs.indexOf(job);
    if (at < 0) return false;
    if (heir === null) this.jobs.splice(at, 1);
    else this.jobs[at] = heir;
    return true;
  }

  /** See Transport. */
  get stalled(): boolean {
    return (
      this.state === DIALING && this.wire.socket.connecting && this.target.wheel.now() - this.dialedAtMs >= STALL_MS
    );
  }

  /** Takes no more after the streams so far. */
  private get spent(): boolean {
    const { maxRequestsPerConnection, wheel } = this.target;
    return (this.lastId + 1) / 2 >= maxRequestsPerConnection || wheel.now() >= this.expiresAtMs;
  }

  /** Who waits for it; nobody does any more. */
  disown(): Job[] {
    return this.jobs.splice(0);
  }

  /** No further streams; closed when the last one has ended. */
  leave(): void {
    if (this.state > UP) return;
    const dialing = this.state === DIALING;
    this.state = LEAVING;
    if (dialing) this.wire.destroy();
    else if (this.taken === 0) this.shut(h2.NO_ERROR);
    else this.watch();
    this.owner.onLeaving(this);
  }

  // For streams.

  /** The id of a stream that begins now; its HEADERS follow at once. */
  enroll(stream: StreamChannel): number {
    this.lastId += 2;
    stream.sendWindow = this.initialWindow;
    this.streams.set(this.lastId, stream);
    return this.lastId;
  }

  /** The place is free again. `id` 0: it never sent anything. */
  left(id: number): void {
    if (id > 0) this.forget(id);
    this.taken--;
    this.full = false;
    if (this.state === CLOSED) return;
    if (this.taken === 0) {
      this.idleSinceMs = this.target.wheel.now();
      if (this.state === LEAVING) {
        this.shut(h2.NO_ERROR);
        return;
      }
      this.watch();
    }
    if (this.state !== UP) return;
    if (this.lastId >= MAX_ID || this.spent) this.leave();
    else this.owner.onRoom(this);
  }

  /** From a stream that was refused: the endpoint has as many as it takes, whatever it said. */
  refused(): void {
    this.full = this.taken > 0;
  }

  private forget(id: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    this.streams.delete(id);
    this.waiting.delete(stream);
    if (this.dataStream === stream) this.dataStream = null;
  }

  /** Writes as much of `bytes` from `start` on as the windows and the socket take, at most `most`; returns how much. */
  write(stream: StreamChannel, bytes: Uint8Array, start: number, most: number): number {
    let at = start;
    const end = Math.min(bytes.length, start + most);
    while (at < end && !this.wire.blocked) {
      const length = Math.min(end - at, h2.MAX_FRAME_BYTES, stream.sendWindow, this.sendWindow);
      if (length <= 0) break;
      stream.sent(this.out.data(stream.id, bytes, at, length));
      stream.sendWindow -= length;
      this.sendWindow -= length;
      at += length;
    }
    return at - start;
  }

  // The socket.

  onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void {
    this.heardAtMs = this.target.wheel.now();
    this.frames.read(bytes, length, pooled);
  }

  onEnd(): void {
    this.wire.destroy();
  }

  onDrain(): void {
    this.out.replies = 0;
    this.pump();
  }

  onClose(): void {
    if (this.state === CLOSED) return;
    const dialing = this.state === DIALING;
    const jobs = this.jobs.splice(0);
    this.end(LOST);
    if (dialing) for (const job of jobs) job.onFailure(this.timedOut ? 'connect-timeout' : 'connect');
  }

  onTimeout(): void {
    const { wheel, idleTimeoutMs } = this.target;
    const nowMs = wheel.now();
    if (this.state === DIALING) {
      this.timedOut = true;
      this.wire.destroy();
    } else if (this.pinging && nowMs - this.pingedAtMs >= PING_TIMEOUT_MS && this.heardAtMs <= this.pingedAtMs) {
      this.wire.destroy();
    } else if (this.state === UP && this.idle && idleTimeoutMs > 0 && nowMs - this.idleSinceMs >= idleTimeoutMs) {
      this.leave();
    } else {
      if (this.pinging && this.heardAtMs > this.pingedAtMs) this.pinging = false;
      if (!this.pinging && nowMs >= this.pingAtMs) this.ping(nowMs);
      this.watch();
    }
  }

  private begin(): void {
    const settings = Buffer.alloc(18);
    writeSetting(settings, 0, h2.SETTINGS_ENABLE_PUSH, 0);
    writeSetting(settings, 6, h2.SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW);
    writeSetting(settings, 12, h2.SETTINGS_MAX_HEADER_LIST_SIZE, this.target.headLimits.headerBytes);
    this.out.preface();
    this.out.frame(h2.SETTINGS, 0, 0, settings);
    this.out.word(h2.WINDOW_UPDATE, 0, SESSION_WINDOW - h2.DEFAULT_WINDOW);
  }

  /** Over; `reason` is what its streams hear. */
  private end(reason: number): void {
    this.state = CLOSED;
    this.frames.stop();
    this.target.wheel.drop(this.timer);
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.waiting.clear();
    this.owner.onClosed(this);
    for (const stream of streams) stream.gone(reason);
  }

  /** GOAWAY, then FIN. */
  private shut(error: number): void {
    this.out.goaway(error);
    this.out.flush();
    this.wire.finishAndClose();
    // The other side may leave its end open for ever.
    this.frames.stop();
    this.end(error === h2.NO_ERROR ? LOST : BROKEN);
  }

  /** Ends the connection for an error of it (section 5.4.1). */
  onFrameError(error: number): void {
    if (this.state === CLOSED) return;
    if (this.state === DIALING) this.wire.destroy();
    else this.shut(error);
  }

  // Frames.

  onFrameHeader(): number {
    const { type, stream, flags } = this.frames;
    if (this.state === DIALING && (type !== h2.SETTINGS || (flags & h2.ACK) !== 0)) return h2.PROTOCOL_ERROR;
    if (this.blockStream !== 0 && (type !== h2.CONTINUATION || stream !== this.blockStream)) return h2.PROTOCOL_ERROR;
    // Even ones would be pushed, and higher ones were not begun.
    const known = stream > 0 && stream <= this.lastId && (stream & 1) === 1;
    switch (type) {
      case h2.DATA:
      case h2.HEADERS:
      case h2.RST_STREAM:
        return known ? -1 : h2.PROTOCOL_ERROR;
      case h2.WINDOW_UPDATE:
        return known || stream === 0 ? -1 : h2.PROTOCOL_ERROR;
      case h2.CONTINUATION:
        return this.blockStream === 0 ? h2.PROTOCOL_ERROR : -1;
      case h2.SETTINGS:
      case h2.PING:
      case h2.GOAWAY:
        return stream === 0 ? -1 : h2.PROTOCOL_ERROR;
      case h2.PUSH_PROMISE:
        return h2.PROTOCOL_ERROR;
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
        this.onHeaders(bytes, from, end);
        break;
      case h2.CONTINUATION:
        this.onContinuation(bytes, from, end);
        break;
      case h2.RST_STREAM:
        if (end - from !== 4) this.onFrameError(h2.FRAME_SIZE_ERROR);
        else this.streams.get(stream)?.gone(h2.readWord(bytes, from));
        break;
      case h2.WINDOW_UPDATE:
        if (end - from !== 4) this.onFrameError(h2.FRAME_SIZE_ERROR);
        else this.onWindowUpdate(stream, h2.readWord31(bytes, from));
        break;
      case h2.SETTINGS:
        if ((flags & h2.ACK) === 0) this.onSettings(bytes, from, end);
        else if (end !== from) this.onFrameError(h2.FRAME_SIZE_ERROR);
        break;
      case h2.PING:
        if (end - from !== 8) this.onFrameError(h2.FRAME_SIZE_ERROR);
        else if ((flags & h2.ACK) !== 0) this.onPong();
        else if (this.reply()) this.out.frame(h2.PING, h2.ACK, 0, bytes.subarray(from, end));
        break;
      case h2.GOAWAY:
        if (end - from < 8) this.onFrameError(h2.FRAME_SIZE_ERROR);
        else this.onGoaway(h2.readWord31(bytes, from));
        break;
    }
  }

  private onGoaway(lastStream: number): void {
    this.leave();
    if (this.state === CLOSED) return;
    // What lies above was not looked at (section 6.8).
    for (const [id, stream] of [...this.streams]) if (id > lastStream) stream.gone(h2.REFUSED_STREAM);
  }

  /** False: the endpoint asks, and does not read the answers. */
  private reply(): boolean {
    if (this.wire.unsent === 0) this.out.replies = 0;
    if (++this.out.replies <= MAX_REPLIES) return true;
    this.onFrameError(h2.ENHANCE_YOUR_CALM);
    return false;
  }

  private onSettings(bytes: Buffer, from: number, end: number): void {
    if ((end - from) % 6 !== 0) {
      this.onFrameError(h2.FRAME_SIZE_ERROR);
      return;
    }
    const first = this.state === DIALING;
    if (first) this.allowed = Number.POSITIVE_INFINITY;
    for (let at = from; at < end; at += 6) {
      const error = this.onSetting(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
      if (error >= 0) {
        this.onFrameError(error);
        return;
      }
    }
    if (!this.reply()) return;
    this.out.frame(h2.SETTINGS, h2.ACK, 0, NO_BYTES);
    this.owner.onLimit(this.allowed);
    if (first) this.onUp();
    else {
      this.pump();
      if (this.state === UP) this.owner.onRoom(this);
    }
  }

  /** Below 0: taken over. */
  private onSetting(id: number, value: number): number {
    switch (id) {
      case h2.SETTINGS_MAX_CONCURRENT_STREAMS:
        this.allowed = value;
        break;
      case h2.SETTINGS_INITIAL_WINDOW_SIZE: {
        if (value > h2.MAX_WINDOW) return h2.FLOW_CONTROL_ERROR;
        const change = value - this.initialWindow;
        this.initialWindow = value;
        for (const stream of this.streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > h2.MAX_WINDOW) return h2.FLOW_CONTROL_ERROR;
        }
        break;
      }
      case h2.SETTINGS_MAX_FRAME_SIZE:
        if (value < h2.MAX_FRAME_BYTES || value > 0xffffff) return h2.PROTOCOL_ERROR;
        break;
      case h2.SETTINGS_ENABLE_PUSH:
        if (value !== 0) return h2.PROTOCOL_ERROR;
        break;
      case h2.SETTINGS_ENABLE_CONNECT_PROTOCOL:
        if (value > 1) return h2.PROTOCOL_ERROR;
        this.extendedConnect = value === 1;
    }
    return -1;
  }

  private onUp(): void {
    this.state = UP;
    this.idleSinceMs = this.heardAtMs;
    this.watch();
    for (const job of this.jobs.splice(0)) {
      if (this.room > 0) this.take(job);
      else if (this.allowed === 0) job.onFailure('connect');
      else job.onCrowded();
    }
    if (this.allowed === 0) this.leave();
    else this.owner.onRoom(this);
  }

  private onWindowUpdate(id: number, increment: number): void {
    if (id === 0) {
      this.sendWindow += increment;
      if (increment === 0) this.onFrameError(h2.PROTOCOL_ERROR);
      else if (this.sendWindow > h2.MAX_WINDOW) this.onFrameError(h2.FLOW_CONTROL_ERROR);
      else this.pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    stream.sendWindow += increment;
    if (increment === 0 || stream.sendWindow > h2.MAX_WINDOW) stream.malform(h2.FLOW_CONTROL_ERROR);
    else if (this.waiting.has(stream)) while (stream.pump(h2.MAX_FRAME_BYTES));
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

  // Bodies.

  onDataFrame(): void {
    const { frames } = this;
    this.dataStream = null;
    if (!this.receive(frames.length)) return;
    const stream = this.streams.get(frames.stream);
    const ends = (frames.flags & h2.END_STREAM) !== 0;
    if (stream === undefined || !stream.announce(frames.length, ends)) return;
    this.dataStream = stream;
    if (frames.length === 0 && ends) this.endData(stream);
  }

  onDataBytes(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null, last: boolean): void {
    const stream = this.dataStream;
    if (stream === null) return;
    stream.onData(bytes.subarray(from, end), pooled);
    if (last && (this.frames.flags & h2.END_STREAM) !== 0 && this.dataStream === stream) this.endData(stream);
  }

  private endData(stream: StreamChannel): void {
    this.dataStream = null;
    stream.onWhole(null);
  }

  private onPaddedData(bytes: Buffer, from: number, end: number): void {
    const length = end - from;
    const padding = length > 0 ? (bytes[from] as number) : 0;
    if (padding >= length) {
      this.onFrameError(h2.PROTOCOL_ERROR);
      return;
    }
    if (!this.receive(length)) return;
    const stream = this.streams.get(this.frames.stream);
    const ends = (this.frames.flags & h2.END_STREAM) !== 0;
    const to = end - padding;
    if (stream === undefined || !stream.announce(to - from - 1, ends)) return;
    stream.padding(padding + 1);
    if (to > from + 1) stream.onData(bytes.subarray(from + 1, to), null);
    if (ends && this.streams.get(this.frames.stream) === stream) this.endData(stream);
  }

  /** Bytes of DATA: taken at once, as each stream bounds what waits. */
  private receive(length: number): boolean {
    this.receiveWindow -= length;
    if (this.receiveWindow < 0) {
      this.onFrameError(h2.FLOW_CONTROL_ERROR);
      return false;
    }
    if (this.receiveWindow < SESSION_WINDOW / 2) {
      this.out.word(h2.WINDOW_UPDATE, 0, SESSION_WINDOW - this.receiveWindow);
      this.receiveWindow = SESSION_WINDOW;
    }
    return true;
  }

  // Heads.

  private onHeaders(bytes: Buffer, from: number, end: number): void {
    const { flags, stream } = this.frames;
    let at = from;
    let to = end;
    if ((flags & h2.PADDED) !== 0) to -= at < end ? (bytes[at++] as number) : end;
    if ((flags & h2.HAS_PRIORITY) !== 0) at += 5;
    if (at > to) {
      this.onFrameError(h2.PROTOCOL_ERROR);
      return;
    }
    const ends = (flags & h2.END_STREAM) !== 0;
    if ((flags & h2.END_HEADERS) !== 0) {
      this.onBlock(stream, ends, bytes, at, to);
      return;
    }
    this.blockStream = stream;
    this.blockEnds = ends;
    this.block = [Buffer.from(bytes.subarray(at, to))];
    this.blockBytes = to - at;
  }

  private onContinuation(bytes: Buffer, from: number, end: number): void {
    this.blockBytes += end - from;
    if (this.blockBytes > BLOCK_BYTES || this.block.length > MAX_CONTINUATIONS) {
      this.onFrameError(h2.ENHANCE_YOUR_CALM);
      return;
    }
    this.block.push(Buffer.from(bytes.subarray(from, end)));
    if ((this.frames.flags & h2.END_HEADERS) === 0) return;
    const block = Buffer.concat(this.block);
    const id = this.blockStream;
    this.block = [];
    this.blockStream = 0;
    this.onBlock(id, this.blockEnds, block, 0, block.length);
  }

  private onBlock(id: number, ends: boolean, bytes: Buffer, from: number, to: number): void {
    const { hpack } = this;
    const { headerBytes, headerCount } = this.target.headLimits;
    // Also of a stream that is no more: the table is that of the connection.
    if (hpack.decode(bytes, from, to, headerBytes, headerCount + 1) !== BLOCK_OK) {
      this.onFrameError(h2.COMPRESSION_ERROR);
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (hpack.malformed || hpack.tooLarge) stream.malform(h2.PROTOCOL_ERROR);
    else stream.onFields(hpack.fields, ends);
  }

  // Liveness.

  private get pingAtMs(): number {
    if (this.pinging) return this.pingedAtMs + PING_TIMEOUT_MS;
    const silentSinceMs = this.heardAtMs;
    return this.pingedAtMs >= silentSinceMs && this.pingedAtMs > 0
      ? this.pingedAtMs + PING_AGAIN_MS
      : silentSinceMs + PING_AFTER_MS;
  }

  /** Arms the timer for the first thing that can be due. */
  private watch(): void {
    const { wheel, idleTimeoutMs } = this.target;
    let atMs = this.pingAtMs;
    if (this.idle && idleTimeoutMs > 0) atMs = Math.min(atMs, this.idleSinceMs + idleTimeoutMs);
    wheel.arm(this.timer, Math.max(1, atMs - wheel.now()));
  }

  private ping(nowMs: number): void {
    this.pinging = true;
    this.pingedAtMs = nowMs;
    this.out.frame(h2.PING, 0, 0, PING_BYTES);
  }

  private onPong(): void {
    if (!this.pinging) return;
    this.pinging = false;
    // As if it had been silent all the time, so that it is not asked again soon.
    this.heardAtMs = this.pingedAtMs;
    this.watch();
  }
}

const PING_BYTES = Buffer.from('tidegate', 'latin1');

function writeSetting(out: Buffer, at: number, id: number, value: number): void {
  out.writeUInt16BE(id, at);
  out.writeUInt32BE(value, at + 2);
}
