/** One exchange over an HTTP/2 session: a stream (RFC 9113 section 5.1). After its end every call on it does nothing. */
import { allowedTrailers } from '../../codec/chunked.ts';
import * as h2 from '../../codec/http2/frames.ts';
import { ResponseHead } from '../../codec/response-head.ts';
import { FramedStream } from '../../http2/stream.ts';
import type { PooledBuffer } from '../../io/buffers.ts';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import type { Exchange, Release, TunnelEnd } from '../../pipeline/exchange.ts';
import type { Headers } from '../../pipeline/headers.ts';
import type { Channel } from '../channel.ts';
import type { Failure, Job } from '../job.ts';
import type { ForwardOptions } from '../seam.ts';
import { asksForWebSocket, requestFields, writeFields } from './request-fields.ts';
import { asUpgrade, hasPseudoField, readHead } from './response-fields.ts';
import type { Session } from './session.ts';

/** Why a stream is over, beside the codes of RST_STREAM: the connection is gone; it was no HTTP/2. */
export const LOST = -1;
export const BROKEN = -2;
const HTTP_1_1_REQUIRED = 13;
/** Informational heads before a final one; a backend that sends more is broken. */
const MAX_INFORMATIONAL = 16;

const NEW = 0;
/** Waiting for the head. */
const HEAD = 1;
/** The head was told, its job has not yet said `proceed`. */
const HELD = 2;
const BODY = 3;
const TUNNEL = 4;
const OVER = 5;

const NOTHING = (): void => {};
/** One for the whole worker: it is read before another head comes. */
const head = new ResponseHead();

export class StreamChannel extends FramedStream implements Channel, TimerOwner {
  requestDone = false;
  unsent = 0;
  progress = 0;
  /** 0: nothing was sent. */
  id = 0;
  protected readonly session: Session;
  private job: Job | null = null;
  private state = NEW;
  /** Its place in the session was given back. */
  private placeless = false;
  // The request.
  private trailersOut: Headers | null = null;
  /** END_STREAM is sent. */
  private ended = false;
  private webSocket = false;
  private webSocketKey: string | undefined;
  // The response.
  private informational = 0;
  private bodiless = false;
  /** Of the body, as content-length says; below 0: unknown. */
  private remaining = -1;
  private trailers: string[] | null = null;
  private held: Buffer[] = [];
  private paused = false;
  private delivering = false;
  private peer: TunnelEnd | null = null;
  private timer: Timer | null = null;

  /** It has a place in `session` already. */
  constructor(session: Session) {
    super(0, false);
    this.session = session;
  }

  // The request.

  send(job: Job, exchange: Exchange, options: ForwardOptions, hasBody: boolean, expect: boolean): void {
    const { session } = this;
    this.job = job;
    this.state = HEAD;
    this.bodiless = exchange.method === 'HEAD';
    if (asksForWebSocket(exchange)) {
      this.webSocket = true;
      this.webSocketKey = exchange.headers.get('sec-websocket-key');
      if (!session.extendedConnect) {
        queueMicrotask(() => this.fail('no-upgrade'));
        return;
      }
    }
    const fields = requestFields(exchange, options, session.secure, expect, this.webSocket);
    this.requestDone = !hasBody;
    this.ended = !hasBody && !this.webSocket;
    this.id = session.enroll(this);
    const flags = this.ended ? h2.END_STREAM : 0;
    this.sent(writeFields(session.out, this.id, fields, flags));
  }

  sendBody(chunk: Uint8Array, release: Release): boolean {
    const { session } = this;
    const { length } = chunk;
    if (this.id === 0 || this.placeless || this.state === OVER || this.ended || length === 0) {
      if (release !== null) release();
      return true;
    }
    const sent = this.push(chunk, release);
    this.progress += sent;
    this.unsent += length - sent;
    if (sent === length && !session.wire.blocked) return true;
    session.waiting.add(this);
    return false;
  }

  sendEnd(trailers: Headers | null): void {
    this.requestDone = true;
    if (this.placeless || this.ended) return;
    this.trailersOut = trailers;
    this.ended = true;
    if (this.pending.length === 0) this.writeEnd();
  }

  get blocked(): boolean {
    return this.pending.length > 0 || this.session.wire.blocked;
  }

  protected onMoved(bytes: number): void {
    this.progress += bytes;
    this.unsent -= bytes;
  }

  protected onFlushed(): void {
    if (this.ended) this.writeEnd();
    else if (this.peer !== null) this.peer.resume();
    else this.job?.onWritable();
  }

  private writeEnd(): void {
    const { session, trailersOut } = this;
    session.waiting.delete(this);
    if (trailersOut !== null && trailersOut.count > 0)
      writeFields(session.out, this.id, trailersOut.fields, h2.END_STREAM);
    else this.endFrames();
    if (this.remoteEnded) this.giveUpPlace();
  }

  // The job.

  deadline(delayMs: number): void {
    const { wheel } = this.session.target;
    if (delayMs > 0 && this.state !== OVER) {
      this.timer ??= new Timer(this);
      wheel.arm(this.timer, delayMs);
    } else if (this.timer !== null) wheel.disarm(this.timer);
  }

  onTimeout(): void {
    this.job?.onDeadline();
  }

  proceed(): void {
    if (this.state !== HELD) return;
    this.state = BODY;
    this.deliver();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.deliver();
  }

  get waiting(): boolean {
    return this.paused;
  }

  handTo(job: Job): void {
    this.job = job;
  }

  abandon(): void {
    if (this.state === OVER) return;
    this.job = null;
    this.over();
    this.reset(h2.CANCEL);
  }

  giveBack(): void {
    this.state = OVER;
    this.giveUpPlace();
  }

  openTunnel(peer: TunnelEnd): TunnelEnd {
    this.state = TUNNEL;
    this.peer = peer;
    this.deadline(0);
    // What the client's end does comes later: it is made with this one in hand.
    queueMicrotask(() => this.deliver());
    return {
      write: (chunk, release) => this.sendBody(chunk, release),
      end: () => this.sendEnd(null),
      destroy: () => this.abandon(),
      resume: () => this.resume(),
    };
  }

  // The response, from the session.

  onFields(raw: string[], ends: boolean): void {
    if (this.state === HEAD) this.onHead(raw, ends);
    else if (!ends || this.remoteEnded || hasPseudoField(raw) || (!this.bodiless && this.remaining > 0)) {
      this.malform(h2.PROTOCOL_ERROR);
    } else this.onRemoteEnd(allowedTrailers(raw));
  }

  private onHead(raw: string[], ends: boolean): void {
    const job = this.job as Job;
    if (!readHead(raw, head) || (head.status < 200 && (ends || ++this.informational > MAX_INFORMATIONAL))) {
      this.malform(h2.PROTOCOL_ERROR);
      return;
    }
    const { status } = head;
    if (status < 200) {
      job.onInformational(head);
      return;
    }
    this.session.served++;
    this.state = HELD;
    if (status === 204 || status === 304) this.bodiless = true;
    if (!this.bodiless) this.remaining = head.contentLength;
    if (ends) {
      if (this.remaining > 0) {
        this.malform(h2.PROTOCOL_ERROR);
        return;
      }
      this.remoteEnded = true;
    }
    if (this.webSocket) {
      if (status < 300 && !ends) asUpgrade(head, this.webSocketKey);
      else if (status < 300) {
        this.malform(h2.PROTOCOL_ERROR);
        return;
      } else this.sendEnd(null);
    }
    if (this.remoteEnded && this.ended && this.pending.length === 0) this.giveUpPlace();
    job.onHead(head);
  }

  announce(length: number, ends: boolean): boolean {
    if (this.state === HEAD || (this.bodiless && length > 0)) return false;
    if (this.remaining < 0) return true;
    this.remaining -= length;
    return ends ? this.remaining === 0 : this.remaining >= 0;
  }

  onData(bytes: Buffer, pooled: PooledBuffer | null): void {
    if (this.state === OVER) return;
    if (this.state < BODY || this.paused || this.delivering || this.held.length > 0) {
      this.held.push(Buffer.from(bytes));
      return;
    }
    if (pooled !== null) pooled.references++;
    this.hand(bytes, pooled === null ? null : pooled.release);
  }

  onRemoteEnd(trailers: string[] | null): void {
    this.remoteEnded = true;
    this.trailers = trailers;
    if (this.ended && this.pending.length === 0) this.giveUpPlace();
    this.deliver();
  }

  private hand(bytes: Uint8Array, release: Release): void {
    const { job, peer } = this;
    if (!this.placeless) this.taken(bytes.length);
    if (peer !== null) {
      if (!peer.write(bytes, release)) this.paused = true;
    } else if (job === null) release?.();
    else if (!job.onBody(bytes, release)) this.paused = true;
  }

  /** What is held, then the end. */
  private deliver(): void {
    if (this.delivering) return;
    this.delivering = true;
    while (this.state >= BODY && !this.paused && this.held.length > 0) this.hand(this.held.shift() as Buffer, NOTHING);
    this.delivering = false;
    if (!this.remoteEnded || this.paused || this.held.length > 0) return;
    if (this.state === TUNNEL) this.peer?.end();
    else if (this.state === BODY) this.complete();
  }

  private complete(): void {
    const { job } = this;
    this.job = null;
    this.over();
    // What is left of the request is of no use to anybody (section 8.1).
    if (!this.placeless && !(this.ended && this.pending.length === 0)) this.reset(h2.CANCEL);
    job?.onComplete(this.trailers);
  }

  // The end.

  /** What came is no acceptable message. */
  malform(error: number): void {
    this.reset(error);
    this.fail('protocol');
  }

  /** From the session: reset by the endpoint, or the connection is gone. */
  gone(reason: number): void {
    const { session } = this;
    const answered = this.state !== HEAD || this.informational > 0;
    const { served } = session;
    this.dropWaiting();
    this.giveUpPlace();
    if (reason === h2.REFUSED_STREAM) session.refused();
    // The rest of the request is not wanted (section 8.1).
    if (this.state === OVER || (this.remoteEnded && this.peer === null)) return;
    if (this.peer !== null) {
      const { peer } = this;
      this.job = null;
      this.over();
      peer.destroy();
      return;
    }
    let failure: Failure = 'reset';
    if (reason === BROKEN || reason === h2.PROTOCOL_ERROR || reason === HTTP_1_1_REQUIRED) failure = 'protocol';
    else if (!answered && reason === h2.REFUSED_STREAM) failure = 'refused';
    else if (!answered && reason === LOST && served > 0) failure = 'stale';
    this.fail(failure);
  }

  private fail(failure: Failure): void {
    const { job } = this;
    if (this.state === OVER) return;
    this.job = null;
    this.over();
    this.giveUpPlace();
    job?.onFailure(failure);
  }

  private reset(error: number): void {
    if (this.placeless) return;
    if (this.id > 0) this.session.out.reset(this.id, error);
    this.giveUpPlace();
  }

  private over(): void {
    this.state = OVER;
    this.peer = null;
    this.paused = false;
    this.held = [];
    if (this.timer !== null) this.session.target.wheel.drop(this.timer);
    this.timer = null;
  }

  private dropWaiting(): void {
    this.unsent = 0;
    this.dropPending();
  }

  private giveUpPlace(): void {
    if (this.placeless) return;
    this.placeless = true;
    this.dropWaiting();
    this.session.left(this.id);
  }
}
