/**
 * One HTTP/1.x client connection: cuts what arrives into requests and hands them to the handler one at a time, so that answers are in
 * order by construction; what a client pipelines is held, bounded, until its turn.
 *
 * Larger than most files here because it is one state machine; the response half is http1-downstream.ts.
 */
import type { Socket } from 'node:net';
import { CHUNK_BAD, CHUNK_DATA, CHUNK_END, CHUNK_MORE, ChunkedDecoder } from '../codec/chunked.ts';
import { dateField, statusLine } from '../codec/head-writer.ts';
import { BAD_CHUNK, BODY_TOO_LARGE, type Refusal, refusalOf } from '../codec/refusals.ts';
import { parseRequestHead, RequestHead } from '../codec/request-head.ts';
import { type PooledBuffer, SHARED_BYTES } from '../io/buffers.ts';
import { Timer, type TimerOwner } from '../io/wheel.ts';
import { type OpenSocket, Wire, type WireOwner } from '../io/wire.ts';
import {
  type BodySink,
  type ConnectionAddresses,
  Exchange,
  LENGTH_UNKNOWN,
  NO_BODY,
  type TunnelEnd,
} from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { originOf, plainAddress } from './client-address.ts';
import type { Http1Listener } from './http1.ts';
import { Http1Downstream } from './http1-downstream.ts';
import { SLOW_BODY_WINDOW_MS } from './options.ts';

/** Between requests, or in the middle of a head. */
const HEAD = 0;
/** A request body is arriving. */
const BODY = 1;
/** The request is complete, its response is not. */
const AWAIT = 2;
/** FIN is sent; what still arrives is dropped until the client closes. */
const LINGER = 3;
const TUNNEL = 4;
const CLOSED = 5;

const LF = 10;
const PARSE_AGAIN_BYTES = 1024;
/** One for the whole worker: it is read before another head is parsed. */
const head = new RequestHead();

/** Takes what remains of a body after its answer. */
const DISCARD: BodySink = { onData: () => true, onEnd: () => {}, onAbort: () => {} };

export class Http1Connection implements WireOwner, TimerOwner {
  bulk = false;
  readonly listener: Http1Listener;
  readonly wire: Wire;
  readonly peerAddress: string;
  readonly tls: TlsPeer | null;
  /** The request body is complete (or there is none). */
  bodyDone = true;
  /** Bytes of a body with a length still to come. */
  bodyRemaining = 0;
  /** A 100 (Continue) is expected and was not sent. */
  expecting = false;
  /** The client sends no more. */
  peerEnded = false;
  private state = HEAD;
  private current: Http1Downstream | null = null;
  private sink: BodySink | null = null;
  private decoder: ChunkedDecoder | null = null;
  private discarded = 0;
  /** Bytes of a body without a length that may still come. */
  private allowance = 0;
  /** Since when, and from which count of its bytes on, the pace of the body is judged. */
  private paceSinceMs = 0;
  private paceBytes = 0;
  /** Requests that began. */
  private requests = 0;
  /** A part of a head, a body nobody reads yet, or pipelined requests; always a copy. */
  private held: Buffer | null = null;
  /** Length of the partial head when it was parsed last. */
  private parsedLength = 0;
  private processing = false;
  private peer: TunnelEnd | null = null;
  /** The timer runs for the pause between two requests, not for a head. */
  private timerIsIdle = false;
  private readonly timer: Timer = new Timer(this);
  private writeTimer: Timer | null = null;
  private writeProgress = 0;

  constructor(listener: Http1Listener, socket: Socket | OpenSocket, tls: TlsPeer | null = null) {
    this.listener = listener;
    this.tls = tls;
    // A shell that is opened anew (wire.ts) knows no more, and of one that a proxy opened it alone knows for whom.
    const accepted = typeof socket === 'function' ? null : plainAddress(socket.remoteAddress);
    this.wire = new Wire(this, listener.readMode, socket);
    this.peerAddress = accepted ?? plainAddress(this.wire.socket.remoteAddress);
    this.wire.socket.setNoDelay(true);
    this.wire.start();
    this.armRead(listener.timeouts.headerMs);
  }

  /** Asked only where a backend wants them. */
  get addresses(): ConnectionAddresses {
    const { remotePort = 0, localAddress, localPort = 0 } = this.wire.socket;
    return { peerPort: remotePort, localAddress: plainAddress(localAddress), localPort };
  }

  /** No request has begun that is not answered. */
  get idle(): boolean {
    return this.state === HEAD && this.held === null;
  }

  /** Held bytes of further requests. */
  get pipelined(): boolean {
    return this.held !== null;
  }

  onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void {
    this.bulk = this.state !== HEAD && this.state !== LINGER && length >= SHARED_BYTES;
    if (this.state === TUNNEL) {
      this.tunnelBytes(bytes, 0, length, pooled);
      return;
    }
    const held = this.held;
    if (held === null) {
      this.process(bytes, 0, length, pooled);
      return;
    }
    const joined = Buffer.concat([held, bytes.subarray(0, length)]);
    this.held = joined;
    if (this.state === HEAD) {
      // Parsed again only when a line was completed (or much arrived): a byte at a time must not cost the square.
      if (joined.length - this.parsedLength < PARSE_AGAIN_BYTES && joined.indexOf(LF, held.length) < 0) return;
      this.processHeld();
    } else if (joined.length > this.listener.limits.pipelineBytes) {
      this.wire.pause();
    }
  }

  onEnd(): void {
    this.peerEnded = true;
    switch (this.state) {
      case HEAD:
      case LINGER:
        this.closeGently();
        break;
      case AWAIT:
        this.armRead(this.listener.timeouts.halfCloseMs || 1);
        break;
      case TUNNEL:
        this.peer?.end();
        break;
      default:
        this.wire.destroy();
    }
  }

  onDrain(): void {
    if (this.writeTimer !== null) this.listener.wheel.disarm(this.writeTimer);
    if (this.state === TUNNEL) this.peer?.resume();
    else this.current?.onDrain?.();
  }

  onClose(): void {
    const peer = this.peer;
    const downstream = this.current;
    const sink = this.sink;
    const broken = this.state === BODY && sink !== null && sink !== DISCARD;
    this.state = CLOSED;
    this.held = null;
    this.sink = null;
    this.peer = null;
    this.listener.wheel.drop(this.timer);
    if (this.writeTimer !== null) this.listener.wheel.drop(this.writeTimer);
    this.listener.closed(this);
    if (downstream !== null) {
      this.release(downstream);
      if (peer !== null) peer.destroy();
      else if (broken) sink.onAbort('client-closed');
      downstream.onClose?.();
    }
  }

  onTimeout(timer: Timer): void {
    if (timer === this.writeTimer) {
      const progress = this.wire.progress;
      if (progress === this.writeProgress) this.wire.destroy();
      else this.watchWrite();
      return;
    }
    if (this.state === HEAD) {
      if (this.held !== null) this.refuse(TIMED_OUT);
      else this.closeGently();
    } else if (this.state === BODY) {
      this.bodyBroke('body-timeout');
    } else if (this.state === LINGER && this.wire.unsent > 0 && this.wire.progress !== this.writeProgress) {
      this.writeProgress = this.wire.progress;
      this.armRead(this.listener.timeouts.writeMs || this.listener.timeouts.lingerMs);
    } else {
      this.wire.destroy();
    }
  }

  /** The listener stops: closed at once when idle. */
  drain(): void {
    if (this.idle) this.closeGently();
  }

  // For the downstream of the current exchange.

  readBody(sink: BodySink): void {
    if (this.bodyDone && this.state !== BODY) {
      sink.onEnd(null);
      return;
    }
    this.sink = sink;
    this.startPace();
    if (this.expecting) {
      this.expecting = false;
      // Nothing to encourage when the body is already arriving (RFC 9110 section 10.1.1).
      if (this.held === null) this.wire.write('HTTP/1.1 100 Continue\r\n\r\n');
    }
    this.armRead(this.listener.timeouts.bodyMs);
    this.continueInput();
  }

  pauseBody(): void {
    if (this.state !== BODY) return;
    this.listener.wheel.disarm(this.timer);
    this.wire.pause();
  }

  resumeBody(): void {
    if (this.state !== BODY) return;
    this.startPace();
    this.armRead(this.listener.timeouts.bodyMs);
    this.continueInput();
  }

  /** Whether the connection can go on once the response is written, as far as is known when its head is. */
  reusable(): boolean {
    const { listener } = this;
    const { maxRequestsPerConnection: max } = listener.limits;
    if (listener.draining || this.expecting || (this.peerEnded && this.held === null)) return false;
    if (max > 0 && this.requests >= max) return false;
    if (this.bodyDone) return true;
    return this.decoder === null && this.bodyRemaining <= listener.limits.discardBytes;
  }

  /** The response was written to its end. */
  responseEnded(downstream: Http1Downstream, keepAlive: boolean): void {
    this.release(downstream);
    if (!keepAlive) {
      this.linger();
      return;
    }
    if (!this.bodyDone) {
      this.sink = DISCARD;
      this.discarded = 0;
      this.armRead(this.listener.timeouts.bodyMs);
    } else {
      this.nextRequest();
    }
    if (!this.processing) this.continueInput();
  }

  /** The response can't be completed. With `reset` the client sees a reset even where a close would look like an end. */
  abort(downstream: Http1Downstream, reset: boolean): void {
    this.release(downstream);
    this.sink = null;
    // What there is of it is the client's.
    this.wire.flush();
    if (reset) this.wire.reset();
    else this.wire.destroy();
  }

  openTunnel(peer: TunnelEnd): void {
    this.state = TUNNEL;
    this.peer = peer;
    this.listener.wheel.disarm(this.timer);
    const held = this.held;
    this.held = null;
    this.wire.resume();
    if (held !== null) this.tunnelBytes(held, 0, held.length, null);
    if (this.peerEnded) peer.end();
  }

  /** Starts (or goes on) watching that a blocked client takes bytes. */
  watchWrite(): void {
    const { writeMs } = this.listener.timeouts;
    if (writeMs === 0) return;
    this.writeTimer ??= new Timer(this);
    if (this.writeTimer.deadlineMs !== 0) return;
    this.writeProgress = this.wire.progress;
    this.listener.wheel.arm(this.writeTimer, writeMs);
  }

  // Input.

  private process(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): void {
    let at = from;
    this.processing = true;
    while (at < end) {
      if (this.state === HEAD) {
        const next = parseRequestHead(bytes, at, end, this.listener.limits.head, head);
        if (next === 0) break;
        if (next < 0) {
          this.refuse(next);
          break;
        }
        const { bodyBytes } = this.listener.limits;
        if (bodyBytes > 0 && head.contentLength > bodyBytes) {
          this.refuse(BODY_TOO_LARGE);
          break;
        }
        at = next;
        this.begin(at < end);
      } else if (this.state === BODY && this.sink !== null) {
        at = this.decoder === null ? this.lengthBody(bytes, at, end, pooled) : this.chunkedBody(bytes, at, end, pooled);
      } else break;
    }
    this.processing = false;
    if (at >= end) return;
    if (this.state <= AWAIT) this.hold(bytes, at, end);
    else if (this.state === TUNNEL) this.tunnelBytes(bytes, at, end, pooled);
  }

  private hold(bytes: Buffer, from: number, end: number): void {
    this.held = Buffer.from(bytes.subarray(from, end));
    if (this.state === HEAD) {
      this.parsedLength = this.held.length;
      if (this.timerIsIdle) {
        this.timerIsIdle = false;
        this.armRead(this.listener.timeouts.headerMs);
      }
    } else if (this.state === BODY || this.held.length > this.listener.limits.pipelineBytes) {
      this.wire.pause();
    }
  }

  private processHeld(): void {
    const held = this.held;
    if (held === null) return;
    this.held = null;
    this.process(held, 0, held.length, null);
  }

  /** Goes on with what is held, then with the socket. */
  private continueInput(): void {
    if (this.processing) return;
    if (this.held !== null) this.processHeld();
    if (this.state === BODY ? this.sink !== null : this.state !== CLOSED) {
      if (this.held === null || this.held.length <= this.listener.limits.pipelineBytes) this.wire.resume();
    }
    if (this.peerEnded && this.state === HEAD) this.closeGently();
  }

  private begin(more: boolean): void {
    const { listener } = this;
    this.timerIsIdle = false;
    this.requests++;
    listener.requestBegan();
    let length = NO_BODY;
    this.decoder = null;
    this.expecting = false;
    if (head.chunked) {
      length = LENGTH_UNKNOWN;
      this.allowance = listener.limits.bodyBytes || Number.POSITIVE_INFINITY;
      this.decoder = new ChunkedDecoder(listener.limits.chunks);
    } else if (head.contentLength >= 0) {
      length = head.contentLength;
      this.bodyRemaining = length;
    }
    this.sink = null;
    if (length > 0 || length === LENGTH_UNKNOWN) {
      this.bodyDone = false;
      this.state = BODY;
      this.expecting = head.expectContinue && !more;
    } else {
      this.bodyDone = true;
      this.state = AWAIT;
    }
    listener.wheel.disarm(this.timer);
    const headers = new Headers(head.fields);
    let client = this.peerAddress;
    let scheme: 'http' | 'https' = this.tls === null ? 'http' : 'https';
    if (listener.trustedHops > 0) {
      ({ address: client, scheme } = originOf(headers, client, scheme, listener.trustedHops, listener.forwarded));
    }
    const downstream = new Http1Downstream(this, head.method, head.minor, length, head.keepAlive, head.upgrade);
    const exchange = new Exchange(
      head.method,
      head.path,
      head.query,
      head.host,
      head.authority,
      scheme,
      head.minor === 1 ? 'HTTP/1.1' : 'HTTP/1.0',
      headers,
      client,
      downstream,
      listener.wheel.now(),
    );
    downstream.exchange = exchange;
    this.current = downstream;
    try {
      listener.handler(exchange);
    } catch (error) {
      listener.onError(error);
      downstream.abort();
    }
  }

  private lengthBody(bytes: Buffer, at: number, end: number, pooled: PooledBuffer | null): number {
    const available = end - at;
    const length = Math.min(available, this.bodyRemaining);
    this.bodyRemaining -= length;
    this.data(bytes, at, at + length, pooled);
    if (this.bodyRemaining === 0 && this.state === BODY) this.bodyEnded(null);
    return at + length;
  }

  private chunkedBody(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): number {
    const decoder = this.decoder as ChunkedDecoder;
    decoder.at = from;
    while (this.state === BODY && this.sink !== null) {
      const found = decoder.step(bytes, end);
      if (found === CHUNK_DATA) {
        this.allowance -= decoder.dataEnd - decoder.dataStart;
        if (this.allowance < 0) {
          this.bodyBroke('body-too-large');
          return end;
        }
        this.data(bytes, decoder.dataStart, decoder.dataEnd, pooled);
      } else if (found === CHUNK_MORE) return end;
      else if (found === CHUNK_END) {
        this.bodyEnded(decoder.trailers);
        return decoder.at;
      } else if (found === CHUNK_BAD) {
        this.bodyBroke('bad-request');
        return end;
      }
    }
    return decoder.at;
  }

  private data(bytes: Buffer, from: number, to: number, pooled: PooledBuffer | null): void {
    const sink = this.sink as BodySink;
    if (sink === DISCARD) {
      this.discarded += to - from;
      if (this.discarded > this.listener.limits.discardBytes) this.linger();
      return;
    }
    const { timer } = this;
    const { bodyMs } = this.listener.timeouts;
    if (bodyMs > 0) this.listener.wheel.arm(timer, bodyMs);
    const downstream = this.current;
    if (downstream !== null) downstream.exchange.bytesIn += to - from;
    if (this.tooSlow(to - from)) {
      this.bodyBroke('body-timeout');
      return;
    }
    if (pooled !== null) pooled.references++;
    if (!sink.onData(bytes.subarray(from, to), pooled === null ? null : pooled.release)) this.pauseBody();
  }

  private startPace(): void {
    this.paceSinceMs = this.listener.wheel.now();
    this.paceBytes = 0;
  }

  /** Whether the body, with these bytes, came too slowly; only time in which it was wanted counts. */
  private tooSlow(length: number): boolean {
    const { bodyBytesPerSecond } = this.listener.timeouts;
    if (bodyBytesPerSecond === 0) return false;
    this.paceBytes += length;
    const tookMs = this.listener.wheel.now() - this.paceSinceMs;
    if (tookMs < SLOW_BODY_WINDOW_MS) return false;
    if (this.paceBytes * 1000 < bodyBytesPerSecond * tookMs) return true;
    this.startPace();
    return false;
  }

  private bodyEnded(trailers: string[] | null): void {
    const sink = this.sink;
    this.bodyDone = true;
    this.sink = null;
    this.decoder = null;
    this.listener.wheel.disarm(this.timer);
    if (this.current === null) {
      this.nextRequest();
      return;
    }
    this.state = AWAIT;
    // A body that was paused at its last bytes: from here on it is the client's going away that is listened for.
    this.wire.resume();
    sink?.onEnd(trailers === null ? null : new Headers(trailers));
  }

  /** The body can't be read on: told to its sink, or, where the answer is out already, the connection closes. */
  private bodyBroke(reason: BodyFault): void {
    const sink = this.sink;
    this.sink = null;
    if (this.current === null) {
      this.linger();
      return;
    }
    // What follows can't be framed: nothing more is read as a request.
    this.expecting = true;
    if (sink === null) this.refuseCurrent(reason);
    else sink.onAbort(reason);
  }

  private refuseCurrent(reason: BodyFault): void {
    const downstream = this.current;
    if (downstream === null) return;
    this.release(downstream);
    this.refuse(FAULTS[reason]);
    downstream.onClose?.();
  }

  private nextRequest(): void {
    this.state = HEAD;
    this.bulk = false;
    this.sink = null;
    if (this.listener.draining && this.held === null && this.listener.stopping) {
      this.closeGently();
      return;
    }
    this.timerIsIdle = true;
    this.armRead(this.listener.timeouts.idleMs);
  }

  private release(downstream: Http1Downstream): void {
    downstream.detach();
    if (this.current !== downstream) return;
    this.current = null;
    this.listener.exchangeEnded();
  }

  private refuse(code: number): void {
    const refusal: Refusal = code === TIMED_OUT ? TIMED_OUT_REFUSAL : refusalOf(code);
    this.listener.requestRefused();
    const answer = this.listener.refuse(refusal);
    const body = answer.body === null ? '' : answer.body;
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    let text = statusLine(answer.status) + dateField(this.listener.epochMs());
    const { fields } = answer.headers;
    for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
    this.wire.write(`${text}content-length: ${length}\r\nconnection: close\r\n\r\n`);
    this.wire.writeBytes(typeof body === 'string' ? Buffer.from(body) : body, NOTHING);
    this.linger();
  }

  /** Sends what there is and FIN, then waits for the client to close, so that no reset overtakes the answer. */
  private linger(): void {
    this.state = LINGER;
    this.bulk = false;
    this.held = null;
    this.sink = null;
    if (this.peerEnded) this.wire.finishAndClose();
    else {
      this.wire.finish();
      this.wire.resume();
    }
    this.writeProgress = -1;
    this.armRead(this.listener.timeouts.lingerMs || 1);
  }

  /** Closes once all that was written has left: where the client owes and is owed nothing. */
  private closeGently(): void {
    this.state = LINGER;
    this.held = null;
    this.wire.finishAndClose();
    this.writeProgress = -1;
    this.armRead(this.listener.timeouts.lingerMs || 1);
  }

  private tunnelBytes(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): void {
    const downstream = this.current;
    if (downstream !== null) downstream.exchange.bytesIn += end - from;
    if (pooled !== null) pooled.references++;
    const peer = this.peer as TunnelEnd;
    if (!peer.write(bytes.subarray(from, end), pooled === null ? null : pooled.release)) this.wire.pause();
  }

  private armRead(delayMs: number): void {
    if (delayMs > 0) this.listener.wheel.arm(this.timer, delayMs);
    else this.listener.wheel.disarm(this.timer);
  }
}

const NOTHING = (): void => {};
const TIMED_OUT = -1_000_000;
const FAULTS = { 'body-timeout': TIMED_OUT, 'bad-request': BAD_CHUNK, 'body-too-large': BODY_TOO_LARGE } as const;
type BodyFault = keyof typeof FAULTS;
const TIMED_OUT_REFUSAL: Refusal = {
  status: 408,
  code: 'request-timeout',
  detail: 'The request did not arrive in time.',
};
