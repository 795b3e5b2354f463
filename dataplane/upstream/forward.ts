/**
 * One exchange on its way through a backend: takes a connection, sends the request, passes the response on, and ends in exactly one
 * of `answer` and `finish` (see seam.ts).
 */
import type { ResponseHead } from '../codec/response-head.ts';
import { GRPC, NO_CALL } from '../grpc/call.ts';
import { CANCELLED, NO_STATUS, readStatus, statusOfBreak, UNAVAILABLE } from '../grpc/status.ts';
import { latin1 } from '../io/latin1.ts';
import { type Exchange, LENGTH_UNKNOWN, NO_BODY, type Release } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { Channel } from './channel.ts';
import { left, soonest, until } from './delays.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { Failure } from './job.ts';
import type { Hedge } from './retry/hedge.ts';
import type { Retries } from './retry/retries.ts';
import type { ForwardCode, ForwardOptions, PendingResponse, Responder } from './seam.ts';
import { BETWEEN, OVER, RESPONDING, SENT, Sending, STREAMING, TUNNEL, WAITING } from './sending.ts';
import { isEventStream, type LongStream, type StreamKind } from './streams.ts';
import { joinTunnel, type Tunnel, type TunnelOwner } from './tunnel.ts';
import type { Upstream } from './upstream.ts';

/** How long both sides of a tunnel may take to close after the gateway said that it does. */
const CLOSING_MS = 2000;

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** In grpc-message: printable ASCII without percent signs. */
const BROKEN: { readonly [C in ForwardCode]?: string } = {
  'request-timeout': 'The request took too long.',
  'upstream-idle-timeout': 'The backend fell silent.',
  'upstream-aborted': 'The backend closed the connection before its response was complete.',
};

/** Sends the exchange to one of the upstream's endpoints. `responder` hears of its end. */
export function forward(exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder): void {
  new Forward(exchange, upstream, options, responder).start();
}

class Forward extends Sending implements TunnelOwner, PendingResponse, LongStream {
  private readonly responder: Responder;
  private lastByteAtMs = 0;
  /** Of the request, when the response was last looked at as idle. */
  private lastProgress = 0;
  /** The backend broke off while the response stages had the head. */
  private lost = false;
  private responseLength = LENGTH_UNKNOWN;
  private upgrade = '';
  /** Of a response that is one. */
  private stream: StreamKind | null = null;
  private joined: Tunnel | null = null;
  private drained = false;

  constructor(exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder) {
    super(exchange, upstream, options);
    this.responder = responder;
  }

  start(): void {
    const { exchange } = this;
    exchange.backend = this.upstream.name;
    exchange.downstream.onClose = () => this.onClientGone();
    const { requestTimeoutMs, retry } = this.options;
    if (requestTimeoutMs > 0) this.totalMs = exchange.startedAtMs + requestTimeoutMs;
    const { deadlineMs } = exchange;
    if (deadlineMs > 0 && (this.totalMs === 0 || deadlineMs < this.totalMs)) this.totalMs = deadlineMs;
    if (retry !== null) this.upstream.retries.request();
    this.choose();
  }

  onUploadBroken(reason: string): void {
    if (reason === 'client-closed') this.onClientGone();
    else if (this.state >= STREAMING) this.breakOff(reason as ForwardCode);
    else if (reason === 'body-timeout') this.answer(408, 'body-timeout', 'The request body did not arrive in time.');
    else if (reason === 'body-too-large') this.answer(413, 'body-too-large', 'The request body is larger than may be.');
    else this.answer(400, 'bad-request', 'The request body is malformed.');
  }

  // The response.

  onInformational(head: ResponseHead): void {
    if (head.status !== 100) {
      this.exchange.downstream.writeInformational(head.status, new Headers(head.fields));
    } else if (this.upload?.expecting === true && this.channel !== null) {
      this.arm(this.channel);
      this.upload.read();
    }
  }

  onHead(head: ResponseHead): void {
    const { exchange } = this;
    const { status } = head;
    const channel = this.channel as Channel;
    this.lastByteAtMs = this.wheel.now();
    if (status === 101) {
      if (exchange.downstream.tunnel === null || head.upgrade === '') {
        this.onFailure('protocol');
        return;
      }
      this.upgrade = head.upgrade;
    }
    const grpcStatus = exchange.grpc === NO_CALL ? NO_STATUS : readStatus(head.fields);
    // To who looks on a backend that is unavailable has failed, whatever the protocol that says so.
    const seen = grpcStatus === UNAVAILABLE ? 503 : status;
    this.pool?.answered(this, seen, this.lastByteAtMs - this.chosenAtMs);
    if (this.options.retry !== null && this.retriesStatus(head, grpcStatus)) return;
    const headers = new Headers(head.fields);
    if (this.options.via !== '') headers.add('via', `${head.major}.${head.minor} ${this.options.via}`);
    exchange.status = status;
    exchange.responseHeaders = headers;
    exchange.upstreamMs = this.lastByteAtMs - this.sentAtMs;
    if (this.pool !== null) this.upstream.answered(exchange, this.pool);
    if (head.contentLength >= 0) this.responseLength = head.contentLength;
    else if (status === 204 || status === 304) this.responseLength = NO_BODY;
    if (grpcStatus !== NO_STATUS) {
      // Trailers-Only: to a client this is the end, in one frame.
      exchange.grpcStatus = grpcStatus;
      this.responseLength = NO_BODY;
    }
    if (this.options.streams !== null) this.lastingAs(this.kindOf(head));
    this.upload?.answered(channel, status);
    if (this.retries !== null) this.endRetries(this.retries);
    this.state = RESPONDING;
    this.responder.respond(exchange, this);
  }

  private kindOf({ status, fields }: ResponseHead): StreamKind | null {
    if (status === 101) return 'upgrade';
    if (this.responseLength !== LENGTH_UNKNOWN) return null;
    if (this.exchange.grpc !== NO_CALL) return 'grpc';
    return isEventStream(fields) ? 'events' : null;
  }

  private lastingAs(kind: StreamKind | null): void {
    if (kind === null) return;
    this.stream = kind;
    // A call of gRPC has its own deadline; what is only listened to has no last byte.
    if (kind === 'events') this.totalMs = 0;
    this.options.streams?.begin(this, kind);
  }

  private get idleMs(): number {
    return this.stream === null ? this.options.idleTimeoutMs : this.options.streamIdleTimeoutMs;
  }

  onHedgeHead(hedge: Hedge, head: ResponseHead): void {
    const { retries } = this;
    const { retry } = this.options;
    if (retries === null || retry === null) return;
    const others = this.state !== BETWEEN || retries.hedges.length > 1;
    if (others && retry.statuses.has(head.status)) {
      // Another one is still under way, and may do better.
      hedge.pool.answered(hedge, head.status, this.wheel.now() - hedge.chosenAtMs);
      hedge.close();
      this.onHedgeFailed(hedge, 'reset');
      return;
    }
    this.adopt(hedge, retries);
    this.onHead(head);
  }

  /** The response goes to the client: no other attempt is wanted any more. */
  private endRetries(retries: Retries): void {
    retries.end('answered');
    retries.closeHedges();
  }

  proceed(): void {
    const { channel, exchange } = this;
    if (this.state !== RESPONDING) return;
    if (this.lost || channel === null) {
      exchange.headWritten = false;
      this.answer(502, 'upstream-reset', 'The backend closed the connection before its response was complete.');
      return;
    }
    const headers = exchange.responseHeaders ?? new Headers();
    if (this.upgrade !== '') {
      this.tunnel(channel, headers);
      return;
    }
    this.state = STREAMING;
    exchange.downstream.writeHead(exchange.status, headers, this.responseLength);
    const { idleMs } = this;
    const { backendTimeoutMs } = this.options;
    // Else the deadline that is armed already comes sooner, and arms that of the body.
    if (idleMs > 0 && (backendTimeoutMs === 0 || idleMs < backendTimeoutMs)) this.arm(channel);
    channel.proceed();
  }

  discard(): void {
    if (this.state === RESPONDING) this.end();
  }

  onBody(chunk: Uint8Array, release: Release): boolean {
    const { downstream } = this.exchange;
    this.lastByteAtMs = this.wheel.now();
    if (downstream.write(chunk, release)) return true;
    downstream.onDrain ??= () => this.channel?.resume();
    return false;
  }

  onLast(bytes: Buffer, from: number, to: number): boolean {
    const { downstream } = this.exchange;
    if (downstream.writeText === undefined) return false;
    downstream.writeText(latin1(bytes, from, to));
    return true;
  }

  onComplete(trailers: string[] | null): void {
    const { exchange } = this;
    this.channel = null;
    if (exchange.grpc !== NO_CALL && trailers !== null) {
      exchange.grpcStatus = readStatus(trailers);
      if (exchange.grpcStatus === UNAVAILABLE) this.pool?.failed(this, 'reset');
    }
    this.end();
    exchange.downstream.end(trailers === null ? null : new Headers(trailers));
    this.responder.finish(exchange);
  }

  private tunnel(channel: Channel, headers: Headers): void {
    this.state = TUNNEL;
    headers.set('upgrade', this.upgrade);
    this.joined = joinTunnel(this.exchange, headers, this.upgrade, channel, this);
    if (this.idleMs > 0) channel.deadline(this.idleMs);
  }

  onTraffic(): void {
    this.lastByteAtMs = this.wheel.now();
  }

  // The end.

  onFailure(failure: Failure): void {
    const { state } = this;
    const pool = this.pool as EndpointPool;
    if (state === OVER) return;
    if (failure === 'connect' || failure === 'connect-timeout') this.failAttempt(failure);
    else if (failure === 'no-upgrade') {
      this.answer(502, 'upstream-protocol', 'The backend takes no WebSocket over HTTP/2.');
    } else if (state === SENT) {
      if (this.repeats(failure)) {
        this.repeated = true;
        this.channel = null;
        this.upload?.pause();
        this.request(pool, failure === 'stale');
      } else this.failAttempt(failure === 'stale' ? 'reset' : failure);
    } else if (state === RESPONDING) {
      pool.failed(this, 'reset');
      this.lost = true;
    } else if (state === STREAMING) {
      pool.failed(this, failure === 'protocol' ? 'protocol' : 'reset');
      this.breakOff(failure === 'protocol' ? 'upstream-protocol' : 'upstream-aborted');
    } else this.finishTunnel('');
  }

  /** Whether the same endpoint is asked once more: it has seen nothing of the request, or what it has seen does no harm. */
  private repeats(failure: Failure): boolean {
    if (this.repeated || this.upload?.repeatable === false) return false;
    return failure === 'refused' || (failure === 'stale' && IDEMPOTENT.has(this.exchange.method));
  }

  onDeadline(): void {
    const { channel, idleMs } = this;
    if (channel === null) return;
    if (this.upload?.expecting === true) {
      this.arm(channel);
      this.upload.read();
      return;
    }
    const nowMs = this.wheel.now();
    if (this.state === TUNNEL) {
      if (this.drained) this.finishTunnel('drained');
      else if (nowMs - this.lastByteAtMs >= idleMs) this.finishTunnel('upstream-idle-timeout');
      else channel.deadline(idleMs - (nowMs - this.lastByteAtMs));
      return;
    }
    if (this.totalMs > 0 && nowMs >= this.totalMs) {
      if (this.state === SENT) this.pool?.failed(this, 'timeout');
      if (this.state >= STREAMING) this.breakOff('request-timeout');
      else this.answer(504, 'request-timeout', 'The request took too long.');
    } else if (this.state === SENT && this.headOverdue(channel, nowMs)) {
      this.failAttempt('timeout');
    } else if (this.state === STREAMING && this.bodyOverdue(channel, nowMs)) {
      this.pool?.failed(this, 'timeout');
      this.breakOff('upstream-idle-timeout');
    } else this.arm(channel);
  }

  private headOverdue(channel: Channel, nowMs: number): boolean {
    const { backendTimeoutMs } = this.options;
    if (backendTimeoutMs === 0 || nowMs - this.waitingSinceMs < backendTimeoutMs) return false;
    if (channel.requestDone) return true;
    // Still uploading: only a backend that takes nothing is late; a slow client is the listener's business.
    const moving = this.upload === null || this.upload.moves(channel);
    if (moving) this.waitingSinceMs = nowMs;
    return !moving;
  }

  private bodyOverdue(channel: Channel, nowMs: number): boolean {
    const { idleMs } = this;
    if (idleMs === 0 || nowMs - this.lastByteAtMs < idleMs) return false;
    // A client that does not read is the listener's business, and one that still sends is not idle.
    const sends = !channel.requestDone && channel.progress !== this.lastProgress;
    if (!channel.waiting && !sends) return true;
    this.lastProgress = channel.progress;
    this.lastByteAtMs = nowMs;
    return false;
  }

  /** Sets the connection's timer to the first thing that can be overdue. */
  protected arm(channel: Channel): void {
    const { backendTimeoutMs } = this.options;
    const nowMs = this.wheel.now();
    const ownMs =
      this.state === SENT
        ? left(backendTimeoutMs, this.waitingSinceMs, nowMs)
        : left(this.idleMs, this.lastByteAtMs, nowMs);
    channel.deadline(soonest(ownMs, until(this.totalMs, nowMs)));
  }

  onClientGone(): void {
    if (this.state === OVER) return;
    if (this.state === TUNNEL) {
      this.finishTunnel('');
      return;
    }
    const { exchange } = this;
    if (this.state < STREAMING) exchange.status = 499;
    exchange.code = 'client-closed';
    if (exchange.grpc !== NO_CALL) exchange.grpcStatus = CANCELLED;
    this.end();
    this.responder.finish(exchange);
  }

  /** The head is out: the client must not take what it has for complete. */
  private breakOff(code: ForwardCode): void {
    const { exchange } = this;
    exchange.code = code;
    this.end();
    if (exchange.grpc === GRPC && exchange.protocol === 'HTTP/2') {
      // Never OK, and more than a reset stream could say.
      exchange.grpcStatus = statusOfBreak(code);
      exchange.downstream.end(
        new Headers([
          'grpc-status',
          String(exchange.grpcStatus),
          'grpc-message',
          BROKEN[code] ?? 'The response broke off.',
        ]),
      );
    } else exchange.downstream.abort();
    this.responder.finish(exchange);
  }

  private finishTunnel(code: ForwardCode | ''): void {
    const { exchange } = this;
    exchange.code = this.drained ? 'drained' : code;
    this.end();
    exchange.downstream.abort();
    this.responder.finish(exchange);
  }

  /** LongStream. */
  endEarly(): void {
    const { channel, exchange, state, stream } = this;
    if (state === TUNNEL && channel !== null) {
      // Both sides learn of it, and close; who does not is cut.
      this.drained = true;
      this.joined?.goAway();
      if (this.state === TUNNEL) channel.deadline(CLOSING_MS);
    } else if (state === STREAMING && stream === 'events') {
      // An end in good order: clients connect again, with the id of the last whole event.
      exchange.code = 'drained';
      this.end();
      exchange.downstream.end(null);
      this.responder.finish(exchange);
    } else if (state === STREAMING) this.breakOff('drained');
  }

  protected answer(status: number, code: ForwardCode, detail: string, retryAfterS = 0): void {
    this.end();
    this.responder.answer(this.exchange, status, code, detail, retryAfterS);
  }

  /** Lets go of everything; a connection that is still held is in the middle of something and closes. */
  private end(): void {
    const { channel, exchange } = this;
    if (this.stream !== null) this.options.streams?.end(this);
    if (this.state === WAITING) this.pool?.withdraw(this);
    if (this.earlier !== null) this.disownEarlier(this.earlier);
    this.state = OVER;
    this.channel = null;
    this.upload?.stop();
    if (this.retries !== null) {
      this.retries.end('abandoned');
      this.retries.closeHedges();
    }
    exchange.downstream.onClose = null;
    exchange.downstream.onDrain = null;
    this.dropTimer();
    this.leave();
    if (channel !== null) channel.abandon();
  }
}
