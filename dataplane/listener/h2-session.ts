/**
 * One client's HTTP/2 connection (RFC 9113): its beginning and its end, requests, and what a client in particular is bounded in. What holds for
 * a backend's connection too is http2/connection.ts. Ours instead of node:http2, which costs more than all of the rest of a request (README, "HTTP/2").
 */
import type { Socket } from 'node:net';
import * as h2 from '../codec/http2/frames.ts';
import { BODY_TOO_LARGE, HEADERS_TOO_LARGE, MISDIRECTED } from '../codec/refusals.ts';
import { Budget } from '../http2/budget.ts';
import { type ConnectionBounds, FramedConnection } from '../http2/connection.ts';
import { Output } from '../http2/output.ts';
import type { PooledBuffer } from '../io/buffers.ts';
import { Timer, type TimerOwner } from '../io/wheel.ts';
import { Wire } from '../io/wire.ts';
import { type ConnectionAddresses, LENGTH_UNKNOWN, NO_BODY } from '../pipeline/exchange.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { plainAddress } from './client-address.ts';
import { H2Request, readRequest } from './h2-request.ts';
import type { FramedHttp2Sessions } from './h2-sessions.ts';
import { H2Stream } from './h2-stream.ts';
import type { ListenerLimits } from './options.ts';

/** Streams of one connection at a time; more are refused and may be tried again. */
export const MAX_STREAMS = 250;
/** Bytes of request bodies that a client may have sent and nobody has taken, of all streams together. */
const SESSION_WINDOW = 1024 * 1024;
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
/** Streams that were reset here, whose frames may still be on their way. */
const REMEMBERED = 128;

const OPEN = 0;
/** FIN is sent; what still arrives is dropped until the client closes. */
const LINGER = 1;
const CLOSED = 2;

const PREFACE: Uint8Array = Buffer.from(h2.PREFACE, 'latin1');
const request = new H2Request();

/** Pseudo-fields come on top of the fields that are allowed. */
export function clientBounds({ head }: ListenerLimits): ConnectionBounds {
  return {
    windowBytes: SESSION_WINDOW,
    takenAtOnce: false,
    blockBytes: BLOCK_BYTES,
    continuations: MAX_CONTINUATIONS,
    listBytes: head.requestLineBytes + head.headerBytes,
    fields: head.headerCount + 5,
  };
}

export class H2Session extends FramedConnection<H2Stream> implements TimerOwner {
  readonly owner: FramedHttp2Sessions;
  readonly wire: Wire;
  readonly out: Output;
  readonly peerAddress: string;
  readonly tls: TlsPeer | null;
  /** What the last GOAWAY named. */
  private servedStream = 0;
  private requests = 0;
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
  private prefaceBytes = 0;
  private readonly timer: Timer = new Timer(this);
  private writeTimer: Timer | null = null;
  private writeProgress = 0;

  constructor(owner: FramedHttp2Sessions, socket: Socket, tls: TlsPeer | null) {
    super(owner.bounds, owner.wheel);
    this.owner = owner;
    this.tls = tls;
    this.peerAddress = plainAddress(socket.remoteAddress);
    this.wire = new Wire(this, tls === null ? owner.readMode : 'data', socket);
    this.wire.socket.setNoDelay(true);
    this.out = new Output(this.wire);
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
    const from = this.prefaceBytes < PREFACE.length ? this.readPreface(bytes, length) : 0;
    if (from < length) this.frames.read(bytes, from, length, pooled);
  }

  onEnd(): void {
    this.peerEnded = true;
    if (this.state !== OPEN || this.streams.size === 0) {
      this.state = LINGER;
      this.frames.stop();
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
    this.frames.stop();
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
    } else if (this.state === OPEN && this.prefaceBytes === PREFACE.length && this.block.stream === 0) {
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
  fail(error: number): void {
    if (this.state !== OPEN) return;
    this.owner.sessionRefused();
    this.out.goaway(this.closing ? this.servedStream : this.lastStream, error);
    for (const stream of this.streams.values()) this.drop(stream);
    this.linger();
  }

  /** FIN after all that was written; reads on, so that no reset destroys it on its way. */
  private linger(): void {
    this.state = LINGER;
    this.frames.stop();
    this.out.end();
    if (this.peerEnded) this.wire.finishAndClose();
    else this.wire.finish();
    this.arm(this.owner.timeouts.lingerMs || 1);
  }

  // For streams.

  /** Resets a stream of its own accord, and forgets it. */
  reset(stream: H2Stream, error: number): void {
    if (this.state === OPEN) this.out.reset(stream.id, error);
    this.remember(stream.id);
    this.remove(stream);
  }

  /** The stream is closed both ways, or reset. */
  remove(stream: H2Stream): void {
    if (!this.forget(stream)) return;
    if (this.streams.size > 0 || this.state !== OPEN) return;
    if (this.closing) this.linger();
    else if (this.peerEnded) this.onEnd();
    else this.rest();
  }

  /** Malformed, or against the rules of a stream (section 5.4.2): reset, and counted against the client. */
  protected streamError(id: number, error: number): void {
    if (this.state !== OPEN || !this.mayReset()) return;
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

  private mayReset(): boolean {
    if (this.resets.take(this.owner.wheel.now())) return true;
    this.fail(h2.ENHANCE_YOUR_CALM);
    return false;
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

  protected onReset(id: number): void {
    if (!this.mayReset()) return;
    const stream = this.streams.get(id);
    if (stream !== undefined) this.drop(stream);
  }

  /** It speaks of streams that we would open; the client's own may still come (section 6.8). */
  protected onGoaway(): void {
    this.leaving = true;
    if (this.streams.size === 0) this.rest();
  }

  protected onSetting(): number {
    return -1;
  }

  protected onSettled(): void {}

  protected onPong(): void {}

  protected onStrayData(id: number): void {
    if (!this.resetStreams.has(id)) this.streamError(id, h2.STREAM_CLOSED);
  }

  // Heads.

  protected mayHaveHeaders(id: number): boolean {
    return (id & 1) === 1;
  }

  protected onBlockHeld(): void {
    this.arm(this.owner.timeouts.headerMs);
  }

  protected onBlockCame(): void {
    if (this.streams.size === 0) this.rest();
    else this.owner.wheel.disarm(this.timer);
  }

  protected onFields(id: number, ends: boolean): void {
    if (id > this.lastStream) {
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
