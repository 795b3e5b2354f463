/** One exchange over an HTTP/2 session. What nghttp2 checks itself (fields, content-length against data, flow control) is left to it. */
import http2 from 'node:http2';
import { Readable } from 'node:stream';
import { allowedTrailers } from '../../codec/chunked.ts';
import { ResponseHead } from '../../codec/response-head.ts';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import { type Exchange, LENGTH_UNKNOWN, type Release, type TunnelEnd } from '../../pipeline/exchange.ts';
import type { Headers } from '../../pipeline/headers.ts';
import type { Channel } from '../channel.ts';
import type { Failure, Job } from '../job.ts';
import type { ForwardOptions } from '../seam.ts';
import { asksForWebSocket, requestFields } from './request-fields.ts';
import { asUpgrade, readHead } from './response-fields.ts';
import type { Session } from './session.ts';

const { NGHTTP2_CANCEL, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_HTTP_1_1_REQUIRED } = http2.constants;
const FLAG_END_STREAM = 1;
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

/** One for the whole worker: it is read before another head comes. */
const head = new ResponseHead();

const CHANNEL = Symbol('channel');
/** Listeners are shared by all streams, and find the channel here. */
interface ChannelStream extends http2.ClientHttp2Stream {
  [CHANNEL]: StreamChannel;
}

export class StreamChannel implements Channel, TimerOwner {
  requestDone = false;
  unsent = 0;
  progress = 0;
  private readonly session: Session;
  private job: Job | null = null;
  private stream: ChannelStream | null = null;
  private state = NEW;
  private informational = 0;
  /** The response has ended as it should (END_STREAM), though not all of it may be read. */
  private whole = false;
  private paused = false;
  private refused = false;
  private malformed = false;
  /** May send trailers: node:http2 has to know before the body. */
  private trailing = false;
  private trailersOut: Headers | null = null;
  private trailers: string[] | null = null;
  private webSocket = false;
  private webSocketKey: string | undefined;
  private peer: TunnelEnd | null = null;
  private timer: Timer | null = null;

  /** It has a place in `session` already. */
  constructor(session: Session) {
    this.session = session;
  }

  send(job: Job, exchange: Exchange, options: ForwardOptions, hasBody: boolean, expect: boolean): void {
    const { session } = this;
    this.job = job;
    this.state = HEAD;
    if (asksForWebSocket(exchange)) {
      this.webSocket = true;
      this.webSocketKey = exchange.headers.get('sec-websocket-key');
      if (!session.extendedConnect) {
        queueMicrotask(() => this.fail('no-upgrade'));
        return;
      }
    }
    this.requestDone = !hasBody;
    this.trailing = hasBody && exchange.downstream.requestLength === LENGTH_UNKNOWN && !isGrpc(exchange);
    const stream = session.client.request(requestFields(exchange, options, session.secure, expect, this.webSocket), {
      endStream: !hasBody && !this.webSocket,
      waitForTrailers: this.trailing,
    }) as ChannelStream;
    this.stream = stream;
    stream[CHANNEL] = this;
    stream.push = pushed;
    stream.on('response', onResponse);
    stream.on('headers', onHeaders);
    stream.on('trailers', onTrailers);
    stream.on('error', onError);
    stream.on('close', onClose);
    if (hasBody || this.webSocket) stream.on('drain', onDrain);
    if (this.trailing) stream.on('wantTrailers', onWantTrailers);
  }

  sendBody(chunk: Uint8Array, release: Release): boolean {
    const { stream } = this;
    const { length } = chunk;
    if (stream === null || stream.destroyed || stream.writableEnded || length === 0) {
      if (release !== null) release();
      return true;
    }
    this.unsent += length;
    const sent = (): void => {
      this.unsent -= length;
      this.progress += length;
      if (release !== null) release();
    };
    return stream.write(release === null ? Buffer.from(chunk) : chunk, sent);
  }

  sendEnd(trailers: Headers | null): void {
    this.trailersOut = trailers;
    this.requestDone = true;
    this.stream?.end();
  }

  get blocked(): boolean {
    return this.stream?.writableNeedDrain === true;
  }

  deadline(delayMs: number): void {
    const { wheel } = this.session.target;
    if (delayMs > 0 && this.state !== OVER) {
      this.timer ??= new Timer(this);
      wheel.arm(this.timer, delayMs);
    } else if (this.timer !== null) wheel.disarm(this.timer);
  }

  proceed(): void {
    const { stream } = this;
    if (this.state !== HELD || stream === null) return;
    this.state = BODY;
    stream.on('data', onData);
    stream.on('end', onEnd);
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.stream?.resume();
  }

  get waiting(): boolean {
    return this.paused;
  }

  openTunnel(peer: TunnelEnd): TunnelEnd {
    const { stream } = this;
    this.state = TUNNEL;
    this.peer = peer;
    this.deadline(0);
    stream?.on('data', onData);
    stream?.on('end', onEnd);
    return {
      write: (chunk, release) => this.sendBody(chunk, release),
      end: () => stream?.end(),
      destroy: () => this.abandon(),
      resume: () => this.resume(),
    };
  }

  handTo(job: Job): void {
    this.job = job;
  }

  abandon(): void {
    this.job = null;
    this.over();
    this.stream?.close(NGHTTP2_CANCEL);
  }

  giveBack(): void {
    this.state = OVER;
    this.session.left();
  }

  onTimeout(): void {
    this.job?.onDeadline();
  }

  // From the stream.

  onResponse(raw: readonly string[], flags: number): void {
    const { job } = this;
    this.session.heard();
    this.session.served++;
    if (job === null || this.state !== HEAD) return;
    if (!readHead(raw, head) || head.status < 200) {
      this.malform();
      return;
    }
    this.state = HELD;
    if ((flags & FLAG_END_STREAM) !== 0) this.whole = true;
    if (this.webSocket && head.status < 300) {
      if (this.whole) {
        this.malform();
        return;
      }
      asUpgrade(head, this.webSocketKey);
    } else if (this.webSocket) this.stream?.end();
    job.onHead(head);
  }

  onInformational(raw: readonly string[]): void {
    const { job } = this;
    this.session.heard();
    if (job === null || this.state !== HEAD) return;
    if (++this.informational > MAX_INFORMATIONAL || !readHead(raw, head)) this.malform();
    else job.onInformational(head);
  }

  onTrailers(raw: readonly string[]): void {
    this.trailers = allowedTrailers(raw as string[]);
  }

  onData(chunk: Buffer): void {
    this.session.heard();
    if (this.peer !== null) {
      if (!this.peer.write(chunk, NOTHING)) this.pause();
    } else if (this.job !== null && !this.job.onBody(chunk, NOTHING)) this.pause();
  }

  /** All that came is read. */
  onEnd(): void {
    if (!this.whole || this.state === OVER) return;
    if (this.state === TUNNEL) {
      this.peer?.end();
      return;
    }
    const { job, stream } = this;
    this.job = null;
    this.over();
    // What is left of the request is of no use to anybody.
    if (!this.requestDone) stream?.close(NGHTTP2_CANCEL);
    job?.onComplete(this.trailers);
  }

  onDrain(): void {
    if (this.state === TUNNEL) this.peer?.resume();
    else this.job?.onWritable();
  }

  /** END_STREAM was received. */
  onWhole(): void {
    this.whole = true;
  }

  onWantTrailers(): void {
    const { stream, trailersOut } = this;
    if (stream === null || stream.destroyed) return;
    stream.sendTrailers(trailersOut === null ? {} : fieldObject(trailersOut));
  }

  onError(error: NodeJS.ErrnoException): void {
    const { code } = error;
    if (code === 'ERR_HTTP2_GOAWAY_SESSION' || code === 'ERR_HTTP2_INVALID_SESSION') this.refused = true;
    else if (code === 'ERR_HTTP2_OUT_OF_STREAMS') this.refused = true;
    else if (code === 'ERR_HTTP2_ERROR') this.malformed = true;
  }

  onClose(rstCode: number): void {
    const { session, state, peer } = this;
    session.left();
    if (state === OVER) return;
    if (peer !== null) {
      this.job = null;
      this.over();
      peer.destroy();
      return;
    }
    let failure: Failure = 'reset';
    if (this.malformed || rstCode === NGHTTP2_PROTOCOL_ERROR || rstCode === NGHTTP2_HTTP_1_1_REQUIRED) {
      failure = 'protocol';
    } else if (state === HEAD && this.informational === 0) {
      const unseen = (this.stream?.id ?? 0) > session.lastStreamId;
      if (this.refused || unseen || rstCode === NGHTTP2_REFUSED_STREAM) failure = 'refused';
      else if (session.lost && session.served > 0) failure = 'stale';
    }
    this.fail(failure);
  }

  private pause(): void {
    this.paused = true;
    this.stream?.pause();
  }

  /** What came is no acceptable message. */
  private malform(): void {
    this.stream?.close(NGHTTP2_PROTOCOL_ERROR);
    this.fail('protocol');
  }

  private fail(failure: Failure): void {
    const { job } = this;
    if (this.state === OVER) return;
    this.job = null;
    this.over();
    if (this.stream === null) this.session.left();
    job?.onFailure(failure);
  }

  private over(): void {
    this.state = OVER;
    this.peer = null;
    this.paused = false;
    if (this.timer !== null) this.session.target.wheel.drop(this.timer);
    this.timer = null;
  }
}

const NOTHING = (): void => {};

/** A request of gRPC has no trailers, so that it need not wait for any (gRPC over HTTP/2, "Requests"). */
function isGrpc(exchange: Exchange): boolean {
  return exchange.headers.get('content-type')?.startsWith('application/grpc') === true;
}

function onResponse(this: ChannelStream, _fields: unknown, flags: number, raw: readonly string[]): void {
  this[CHANNEL].onResponse(raw, flags);
}

function onHeaders(this: ChannelStream, _fields: unknown, _flags: number, raw: readonly string[]): void {
  this[CHANNEL].onInformational(raw);
}

function onTrailers(this: ChannelStream, _fields: unknown, _flags: number, raw: readonly string[]): void {
  this[CHANNEL].onTrailers(raw);
}

function onData(this: ChannelStream, chunk: Buffer): void {
  this[CHANNEL].onData(chunk);
}

function onEnd(this: ChannelStream): void {
  this[CHANNEL].onEnd();
}

function onDrain(this: ChannelStream): void {
  this[CHANNEL].onDrain();
}

function onWantTrailers(this: ChannelStream): void {
  this[CHANNEL].onWantTrailers();
}

function onError(this: ChannelStream, error: NodeJS.ErrnoException): void {
  this[CHANNEL].onError(error);
}

function onClose(this: ChannelStream): void {
  this[CHANNEL].onClose(this.rstCode);
}

/**
 * In place of `push`: node:http2 ends a stream that was reset with NO_ERROR just as one that is complete; only at this point can they be told
 * apart, as the stream is not closed yet when END_STREAM comes.
 */
function pushed(this: ChannelStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) this[CHANNEL].onWhole();
  return Readable.prototype.push.call(this, chunk, encoding);
}

function fieldObject({ fields }: Headers): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    const before = out[name];
    if (before === undefined) out[name] = value;
    else out[name] = Array.isArray(before) ? [...before, value] : [before, value];
  }
  return out;
}
