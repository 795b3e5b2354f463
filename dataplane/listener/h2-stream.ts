/**
 * One HTTP/2 stream as the transport of an exchange. After the exchange's end every call on it does nothing; what it has still to send then,
 * it sends.
 */
import { randomBytes } from 'node:crypto';
import { allowedTrailers } from '../codec/chunked.ts';
import { dateField } from '../codec/head-writer.ts';
import { CANCEL, END_STREAM, INTERNAL_ERROR, NO_ERROR } from '../codec/http2/frames.ts';
import { GRPC } from '../grpc/call.ts';
import { FramedStream } from '../http2/stream.ts';
import type { PooledBuffer } from '../io/buffers.ts';
import { Timer, type TimerOwner } from '../io/wheel.ts';
import {
  type BodySink,
  type ConnectionAddresses,
  type Downstream,
  type Exchange,
  LENGTH_UNKNOWN,
  type Release,
  type TunnelEnd,
} from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { writeHead } from './h2-head.ts';
import type { H2Session } from './h2-session.ts';
import { joinWebSocket } from './h2-websocket.ts';
import { SLOW_BODY_WINDOW_MS } from './options.ts';

const NOTHING = (): void => {};
/** How long a client may go on with a request that is answered. */
const RESET_DELAY_MS = 50;

export class H2Stream extends FramedStream implements Downstream, TimerOwner {
  readonly id: number;
  readonly requestLength: number;
  readonly tunnel: ((status: number, headers: Headers, peer: TunnelEnd) => TunnelEnd) | null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;
  /** Null for a request that was refused. */
  exchange: Exchange | null = null;
  /** A 100 (Continue) is expected and was not sent. */
  expecting = false;
  readonly websocketKey: string;
  /** Bytes go both ways without end: no time-out of a body. */
  tunnelled = false;
  protected readonly session: H2Session;
  private readonly method: string;
  private timer: Timer | null = null;
  // The request's body.
  private sink: BodySink | null = null;
  private paused = false;
  private delivering = false;
  /** Came before it was wanted; always copies. */
  private held: Buffer[] = [];
  private received = 0;
  private trailers: Headers | null = null;
  private paceSinceMs = 0;
  private paceBytes = 0;
  // The response.
  private headWritten = false;
  private bodiless = false;
  /** -1: unknown. */
  private remaining = -1;
  /** The exchange has nothing more to say. */
  private over = false;
  /** No longer one of its session's. */
  private closed = false;
  private ended = false;
  private endSent = false;
  private trailersOut: Headers | null = null;
  private resetTimer: NodeJS.Timeout | null = null;

  constructor(
    session: H2Session,
    id: number,
    method: string,
    requestLength: number,
    remoteEnded: boolean,
    sendWindow: number,
    websocket: boolean,
  ) {
    super(sendWindow, remoteEnded);
    this.session = session;
    this.id = id;
    this.method = method;
    this.requestLength = requestLength;
    this.websocketKey = websocket ? randomBytes(16).toString('base64') : '';
    this.tunnel = websocket ? (_status, headers, peer) => joinWebSocket(this, headers, peer) : null;
  }

  get peerAddress(): string {
    return this.session.peerAddress;
  }

  get tls(): TlsPeer | null {
    return this.session.tls;
  }

  get addresses(): ConnectionAddresses | null {
    return this.session.addresses;
  }

  // The request's body.

  readBody(sink: BodySink): void {
    if (this.closed || this.over) return;
    this.sink = sink;
    if (this.expecting) {
      this.expecting = false;
      // Nothing to encourage when the body is already arriving (RFC 9110 section 10.1.1).
      if (this.held.length === 0 && !this.remoteEnded) writeHead(this.session.out, this.id, 100, null, -1, 0, '');
    }
    this.startPace();
    this.deliver();
    this.watch();
  }

  pauseBody(): void {
    this.paused = true;
    this.watch();
  }

  resumeBody(): void {
    if (this.sink === null) return;
    this.paused = false;
    this.startPace();
    this.deliver();
    this.watch();
  }

  /** A DATA frame of so many bytes begins (or trailers). False: against content-length. */
  announce(length: number, ends: boolean): boolean {
    this.received += length;
    if (this.requestLength < 0) return true;
    return ends ? this.received === this.requestLength : this.received <= this.requestLength;
  }

  onData(bytes: Buffer, pooled: PooledBuffer | null): void {
    const { bodyBytes } = this.session.owner.limits;
    if (bodyBytes > 0 && this.received > bodyBytes && !this.tunnelled) {
      this.session.consumed(bytes.length);
      this.bodyBroke('body-too-large');
      return;
    }
    if (this.over && this.sink === null) {
      this.session.consumed(bytes.length);
      return;
    }
    if (this.sink === null || this.paused || this.held.length > 0) {
      this.held.push(Buffer.from(bytes));
      return;
    }
    if (pooled !== null) pooled.references++;
    this.hand(this.sink, bytes, pooled === null ? null : pooled.release);
    this.watch();
  }

  onRemoteEnd(trailers: string[] | null): void {
    this.remoteEnded = true;
    const allowed = trailers === null ? null : allowedTrailers(trailers);
    this.trailers = allowed === null ? null : new Headers(allowed);
    this.deliver();
    if (this.ended && this.pending.length === 0) this.leave();
  }

  private hand(sink: BodySink, bytes: Uint8Array, release: Release): void {
    const { length } = bytes;
    const { exchange, session } = this;
    session.consumed(length);
    if (!this.closed) this.taken(length);
    if (exchange !== null) exchange.bytesIn += length;
    if (this.tooSlow(length)) {
      if (release !== null) release();
      this.bodyBroke('body-timeout');
      return;
    }
    if (!sink.onData(bytes, release)) this.paused = true;
  }

  /** What is held, then the end. */
  private deliver(): void {
    if (this.delivering) return;
    this.delivering = true;
    while (this.sink !== null && !this.paused && this.held.length > 0)
      this.hand(this.sink, this.held.shift() as Buffer, NOTHING);
    this.delivering = false;
    const { sink } = this;
    if (sink === null || !this.remoteEnded || this.held.length > 0) return;
    this.sink = null;
    this.watch();
    sink.onEnd(this.trailers);
  }

  private startPace(): void {
    this.paceSinceMs = this.session.owner.wheel.now();
    this.paceBytes = 0;
  }

  /** See Http1Connection. */
  private tooSlow(length: number): boolean {
    const { timeouts, wheel } = this.session.owner;
    if (timeouts.bodyBytesPerSecond === 0 || this.tunnelled) return false;
    this.paceBytes += length;
    const tookMs = wheel.now() - this.paceSinceMs;
    if (tookMs < SLOW_BODY_WINDOW_MS) return false;
    if (this.paceBytes * 1000 < timeouts.bodyBytesPerSecond * tookMs) return true;
    this.startPace();
    return false;
  }

  private bodyBroke(reason: 'body-timeout' | 'body-too-large'): void {
    const { sink } = this;
    this.dropHeld();
    this.sink = null;
    this.watch();
    if (sink !== null) sink.onAbort(reason);
    else if (!this.headWritten && !this.over) {
      // Nobody reads it, and nobody needs to.
      const { onClose } = this;
      this.session.owner.refuseBody(this, reason);
      onClose?.();
    }
  }

  private dropHeld(): void {
    for (const { length } of this.held) this.session.consumed(length);
    this.held = [];
  }

  // The response.

  writeInformational(status: number, headers: Headers): void {
    if (this.over || this.headWritten) return;
    if (status === 100) {
      if (!this.expecting) return;
      this.expecting = false;
    }
    writeHead(this.session.out, this.id, status, headers, -1, 0, '');
  }

  writeHead(status: number, headers: Headers, length: number): void {
    if (this.over || this.headWritten) return;
    const { out, owner } = this.session;
    this.headWritten = true;
    this.bodiless = this.method === 'HEAD' || status === 204 || status === 304;
    if (!this.bodiless) this.remaining = length < LENGTH_UNKNOWN ? 0 : length;
    const date = headers.has('date') ? '' : dateField(owner.epochMs());
    // Where nothing can follow the end is said at once: gRPC takes such fields for trailers.
    this.endSent = this.bodiless || this.remaining === 0;
    const flags = this.endSent ? END_STREAM : 0;
    this.sent(writeHead(out, this.id, status, headers, status === 204 ? -1 : length, flags, date));
  }

  write(chunk: Uint8Array, release: Release): boolean {
    const { length } = chunk;
    const { session } = this;
    if (this.over || !this.headWritten || this.bodiless || length === 0) {
      if (release !== null) release();
      return true;
    }
    if (this.remaining >= 0) {
      this.remaining -= length;
      if (this.remaining < 0) {
        if (release !== null) release();
        this.abort();
        return true;
      }
    }
    if (this.exchange !== null) this.exchange.bytesOut += length;
    if (this.push(chunk, release) === length && !session.wire.blocked) {
      // In a call either side's bytes keep the other from being late.
      if (this.sink !== null && this.exchange?.grpc === GRPC) this.watch();
      return true;
    }
    session.waiting.add(this);
    if (session.wire.blocked) session.watchWrite();
    this.watch();
    return false;
  }

  end(trailers: Headers | null): void {
    if (this.over) return;
    if (!this.headWritten || this.remaining > 0) {
      this.abort();
      return;
    }
    this.finish();
    this.trailersOut = trailers;
    this.ended = true;
    if (this.pending.length === 0) this.sendEnd();
  }

  abort(): void {
    if (this.over) return;
    this.finish();
    this.shut(this.headWritten ? INTERNAL_ERROR : CANCEL);
  }

  /** Of a tunnel: no more will be sent; the other direction stays. */
  endTunnel(): void {
    if (this.over || this.ended) return;
    this.ended = true;
    if (this.pending.length === 0) this.sendEnd();
  }

  protected onMoved(): void {
    this.watch();
  }

  protected onFlushed(): void {
    this.watch();
    if (this.ended) this.sendEnd();
    else this.onDrain?.();
  }

  private sendEnd(): void {
    const { session } = this;
    session.waiting.delete(this);
    if (this.endSent) {
      // It was said with the head.
    } else if (this.trailersOut !== null && this.trailersOut.count > 0)
      writeHead(session.out, this.id, 0, this.trailersOut, -1, END_STREAM, '');
    else this.endFrames();
    if (this.remoteEnded) this.leave();
    // A request body that is still coming is of no use any more (RFC 9113 section 8.1). Later: a reset on the heels of an answer makes some
    // clients forget the answer, and most of them end their request by themselves.
    else if (this.over) this.resetTimer = setTimeout(() => this.shut(NO_ERROR), RESET_DELAY_MS);
  }

  // The end.

  onTimeout(): void {
    if (this.pending.length > 0) {
      this.shut(CANCEL);
      this.brokenOff();
    } else if (this.sink !== null) this.bodyBroke('body-timeout');
  }

  /** From the session: reset by the client, or the connection is gone. */
  gone(): void {
    this.letGo();
    this.brokenOff();
  }

  private brokenOff(): void {
    if (this.over) return;
    const { sink } = this;
    this.finish();
    if (sink !== null && !this.remoteEnded) sink.onAbort('client-closed');
    this.onClose?.();
  }

  private finish(): void {
    this.over = true;
    this.sink = null;
    this.dropHeld();
    if (this.exchange !== null) this.session.owner.exchangeEnded();
    this.watch();
  }

  private shut(error: number): void {
    if (this.closed) return;
    this.letGo();
    this.session.reset(this, error);
  }

  private leave(): void {
    if (this.closed) return;
    this.letGo();
    this.session.remove(this);
    // A tunnel that both sides have ended.
    if (!this.over) this.brokenOff();
  }

  private letGo(): void {
    this.closed = true;
    this.dropHeld();
    this.dropPending();
    if (this.timer !== null) this.session.owner.wheel.drop(this.timer);
    if (this.resetTimer !== null) clearTimeout(this.resetTimer);
  }

  /** Waits for a client that must read, or must send; not for one that was told to wait. */
  private watch(): void {
    const { timeouts, wheel } = this.session.owner;
    let delayMs = 0;
    if (this.closed) return;
    if (this.pending.length > 0) delayMs = timeouts.writeMs;
    else if (this.sink !== null && !this.paused && !this.remoteEnded && !this.tunnelled) {
      // A call may be silent for as long as its rule lets both sides be.
      const silenceMs = this.exchange?.grpc === GRPC ? this.exchange.rule?.idleTimeoutMs : undefined;
      delayMs = silenceMs ?? timeouts.bodyMs;
    }
    if (delayMs > 0) {
      this.timer ??= new Timer(this);
      wheel.arm(this.timer, delayMs);
    } else if (this.timer !== null) wheel.disarm(this.timer);
  }
}
