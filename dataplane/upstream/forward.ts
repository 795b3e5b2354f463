/**
 * One exchange on its way through a backend: takes a connection, sends the request, passes the response on, and ends in exactly one
 * of `answer` and `finish` (see seam.ts).
 */
import { chunkHead, lastChunk } from '../codec/chunked.ts';
import type { ResponseHead } from '../codec/response-head.ts';
import { Timer, type TimerOwner, type TimerWheel } from '../io/wheel.ts';
import {
  type BodySink,
  type Exchange,
  LENGTH_UNKNOWN,
  NO_BODY,
  type Release,
  type TunnelEnd,
} from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { Failure, Job, UpstreamConnection } from './connection.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { requestText } from './request-text.ts';
import type { ForwardCode, ForwardOptions, PendingResponse, Responder } from './seam.ts';
import type { Upstream } from './upstream.ts';
import { type Attempt, type AttemptFailure, UNDECIDED, type Verdict } from './watcher.ts';

/** Endpoints tried when connecting fails; nothing was sent to any of them, so every method may be tried again. */
const MAX_ENDPOINTS_TRIED = 3;
/** ms for a 100 (Continue) before the body is sent unasked (RFC 9110 section 10.1.1). */
const EXPECT_WAIT_MS = 1000;
/** RFC 9110 section 9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** Waiting for a connection. */
const WAITING = 0;
/** The request is being sent, or is sent. */
const SENT = 1;
/** The response stages have the head. */
const RESPONDING = 2;
const STREAMING = 3;
const TUNNEL = 4;
const OVER = 5;

/** Sends the exchange to one of the upstream's endpoints. `responder` hears of its end. */
export function forward(exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder): void {
  new Forward(exchange, upstream, options, responder).start();
}

class Forward implements Job, BodySink, PendingResponse, TimerOwner, Attempt {
  chosenAtMs = 0;
  verdict: Verdict = UNDECIDED;
  private readonly exchange: Exchange;
  private readonly upstream: Upstream;
  private readonly options: ForwardOptions;
  private readonly responder: Responder;
  private wheel!: TimerWheel;
  private state = WAITING;
  private pool: EndpointPool | null = null;
  private tried: EndpointPool[] | null = null;
  private connection: UpstreamConnection | null = null;
  /** Only for the time without a connection; one has its own. */
  private timer: Timer | null = null;
  /** When the whole exchange has to be over; 0: never. */
  private totalMs = 0;
  private sentAtMs = 0;
  /** Since when the response head is waited for. */
  private waitingSinceMs = 0;
  private lastByteAtMs = 0;
  private repeated = false;
  /** The body waits for the backend's 100 (Continue). */
  private expecting = false;
  /** The client's body was asked for. */
  private reading = false;
  /** The backend has refused: the rest of the body is not sent. */
  private uploadStopped = false;
  private uploadProgress = -1;
  /** The backend broke off while the response stages had the head. */
  private lost = false;
  private responseLength = LENGTH_UNKNOWN;
  private upgrade = '';

  constructor(exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder) {
    this.exchange = exchange;
    this.upstream = upstream;
    this.options = options;
    this.responder = responder;
  }

  start(): void {
    const { exchange } = this;
    exchange.backend = this.upstream.name;
    exchange.downstream.onClose = () => this.clientGone();
    if (this.options.requestTimeoutMs > 0) this.totalMs = exchange.startedAtMs + this.options.requestTimeoutMs;
    this.choose();
  }

  // A connection.

  private choose(): void {
    this.leave();
    const { upstream } = this;
    const pool = upstream.pick(this.exchange, this.tried);
    if (pool === null) {
      const { code, retryAfterS } = upstream.refusal;
      if (this.tried !== null) this.answer(503, 'upstream-connect-failed', 'The backend could not be reached.');
      else this.answer(503, code, REFUSALS[code] ?? 'The backend takes no requests now.', retryAfterS);
      return;
    }
    this.pool = pool;
    this.wheel = pool.wheel;
    this.chosenAtMs = pool.wheel.now();
    this.verdict = UNDECIDED;
    this.exchange.endpoint = pool.name;
    this.request(pool, false);
  }

  private chooseOther(pool: EndpointPool): void {
    this.tried ??= [];
    this.tried.push(pool);
    this.choose();
  }

  private request(pool: EndpointPool, fresh: boolean): void {
    this.dropTimer();
    this.state = WAITING;
    switch (pool.request(this, fresh)) {
      case 'started':
        // Connecting has its own time-out; that of the whole request may be sooner.
        if (this.state === WAITING && this.totalMs > 0) this.wait(0);
        break;
      case 'queued':
        this.wait(pool.connectTimeoutMs);
        break;
      case 'gone':
        this.chooseOther(pool);
        break;
      case 'overflow':
        this.answer(503, 'upstream-overflow', 'The backend has too many requests waiting.');
    }
  }

  private wait(delayMs: number): void {
    const soonestMs = soonest(delayMs, this.totalLeft(this.wheel.now()));
    if (soonestMs === 0) return;
    this.timer ??= new Timer(this);
    this.wheel.arm(this.timer, soonestMs);
  }

  /** Waited too long for a connection. */
  onTimeout(): void {
    const pool = this.pool as EndpointPool;
    pool.withdraw(this);
    if (this.totalMs > 0 && this.wheel.now() >= this.totalMs) {
      this.answer(504, 'request-timeout', 'The request took too long.');
    } else this.answer(503, 'upstream-overflow', 'No connection to the backend became free in time.');
  }

  // The request.

  onReady(connection: UpstreamConnection): void {
    if (this.state === OVER) {
      connection.pool.free(connection);
      return;
    }
    const { exchange } = this;
    const { requestLength } = exchange.downstream;
    this.dropTimer();
    this.connection = connection;
    this.state = SENT;
    connection.begin(this, exchange.method === 'HEAD');
    const hasBody = requestLength > 0 || requestLength === LENGTH_UNKNOWN;
    this.expecting = hasBody && exchange.headers.has('expect');
    connection.wire.write(requestText(exchange, this.options, this.expecting));
    this.sentAtMs = this.waitingSinceMs = this.wheel.now();
    if (!hasBody) {
      connection.requestDone = true;
      connection.wire.flush();
      this.arm(connection);
    } else if (this.expecting) {
      connection.wire.flush();
      connection.deadline(EXPECT_WAIT_MS);
    } else {
      this.arm(connection);
      this.readBody();
    }
  }

  private readBody(): void {
    this.expecting = false;
    if (this.reading) return;
    this.reading = true;
    this.exchange.downstream.readBody(this);
  }

  onData(chunk: Uint8Array, release: Release): boolean {
    const { connection } = this;
    if (connection === null || this.uploadStopped || connection.requestDone) {
      if (release !== null) release();
      return true;
    }
    const { wire } = connection;
    if (this.exchange.downstream.requestLength === LENGTH_UNKNOWN) {
      wire.write(chunkHead(chunk.length));
      wire.writeBytes(chunk, release);
      wire.write('\r\n');
    } else wire.writeBytes(chunk, release);
    return !wire.blocked;
  }

  onEnd(trailers: Headers | null): void {
    const { connection } = this;
    if (connection === null || this.uploadStopped) return;
    if (this.exchange.downstream.requestLength === LENGTH_UNKNOWN) {
      connection.wire.write(lastChunk(trailers === null ? null : trailers.fields));
    }
    connection.wire.flush();
    connection.requestDone = true;
    this.waitingSinceMs = this.wheel.now();
    if (this.state === SENT) this.arm(connection);
  }

  onAbort(reason: string): void {
    if (reason === 'client-closed') this.clientGone();
    else if (this.state >= STREAMING) this.breakOff(reason as ForwardCode);
    else if (reason === 'body-timeout') this.answer(408, 'body-timeout', 'The request body did not arrive in time.');
    else this.answer(400, 'bad-request', 'The request body is malformed.');
  }

  onWritable(): void {
    this.exchange.downstream.resumeBody();
  }

  // The response.

  onInformational(head: ResponseHead): void {
    if (head.status !== 100) {
      this.exchange.downstream.writeInformational(head.status, new Headers(head.fields));
    } else if (this.expecting && this.connection !== null) {
      this.arm(this.connection);
      this.readBody();
    }
  }

  onHead(head: ResponseHead): void {
    const { exchange } = this;
    const { status } = head;
    const connection = this.connection as UpstreamConnection;
    this.lastByteAtMs = this.wheel.now();
    if (status === 101) {
      if (exchange.downstream.tunnel === null || head.upgrade === '') {
        this.onFailure('protocol');
        return;
      }
      this.upgrade = head.upgrade;
    }
    const headers = new Headers(head.fields);
    if (this.options.via !== '') headers.add('via', `1.${head.minor} ${this.options.via}`);
    exchange.status = status;
    exchange.responseHeaders = headers;
    exchange.upstreamMs = this.lastByteAtMs - this.sentAtMs;
    this.pool?.answered(this, status, this.lastByteAtMs - this.chosenAtMs);
    if (head.contentLength >= 0) this.responseLength = head.contentLength;
    else if (status === 204 || status === 304) this.responseLength = NO_BODY;
    this.expecting = false;
    if (!connection.requestDone && status >= 400) this.uploadStopped = true;
    this.state = RESPONDING;
    this.responder.respond(exchange, this);
  }

  proceed(): void {
    const { connection, exchange } = this;
    if (this.state !== RESPONDING) return;
    if (this.lost || connection === null) {
      exchange.headWritten = false;
      this.answer(502, 'upstream-reset', 'The backend closed the connection before its response was complete.');
      return;
    }
    const headers = exchange.responseHeaders ?? new Headers();
    if (this.upgrade !== '') {
      this.tunnel(connection, headers);
      return;
    }
    this.state = STREAMING;
    exchange.downstream.writeHead(exchange.status, headers, this.responseLength);
    const { idleTimeoutMs, backendTimeoutMs } = this.options;
    // Else the deadline that is armed already comes sooner, and arms that of the body.
    if (idleTimeoutMs > 0 && (backendTimeoutMs === 0 || idleTimeoutMs < backendTimeoutMs)) this.arm(connection);
    connection.proceed();
  }

  discard(): void {
    if (this.state === RESPONDING) this.end();
  }

  onBody(chunk: Uint8Array, release: Release): boolean {
    const { downstream } = this.exchange;
    this.lastByteAtMs = this.wheel.now();
    if (downstream.write(chunk, release)) return true;
    downstream.onDrain ??= () => this.connection?.resume();
    return false;
  }

  onComplete(trailers: string[] | null): void {
    this.connection = null;
    this.end();
    this.exchange.downstream.end(trailers === null ? null : new Headers(trailers));
    this.responder.finish(this.exchange);
  }

  private tunnel(connection: UpstreamConnection, headers: Headers): void {
    const { exchange } = this;
    const { wire } = connection;
    const { tunnel } = exchange.downstream;
    if (tunnel === null) return;
    this.state = TUNNEL;
    headers.set('upgrade', this.upgrade);
    const backend: TunnelEnd = {
      write: (chunk, release) => {
        this.lastByteAtMs = this.wheel.now();
        wire.writeBytes(chunk, release);
        return !wire.blocked;
      },
      end: () => wire.finish(),
      destroy: () => this.clientGone(),
      resume: () => wire.resume(),
    };
    const client = tunnel.call(exchange.downstream, exchange.status, headers, backend);
    connection.openTunnel({
      write: (chunk, release) => {
        this.lastByteAtMs = this.wheel.now();
        return client.write(chunk, release);
      },
      end: () => client.end(),
      destroy: () => client.destroy(),
      resume: () => client.resume(),
    });
    if (this.options.idleTimeoutMs > 0) connection.deadline(this.options.idleTimeoutMs);
  }

  // The end.

  onFailure(failure: Failure): void {
    const { state } = this;
    const pool = this.pool as EndpointPool;
    if (state === OVER) return;
    if (failure === 'connect' || failure === 'connect-timeout') {
      pool.failed(this, failure);
      const tried = (this.tried?.length ?? 0) + 1;
      if (tried < MAX_ENDPOINTS_TRIED && tried < this.upstream.size) this.chooseOther(pool);
      else if (failure === 'connect') this.answer(503, 'upstream-connect-failed', 'The backend could not be reached.');
      else this.answer(504, 'upstream-connect-timeout', 'Connecting to the backend took too long.');
    } else if (state === SENT) {
      if (failure === 'stale' && !this.repeated && !this.reading && IDEMPOTENT.has(this.exchange.method)) {
        this.repeated = true;
        this.connection = null;
        this.request(pool, true);
        return;
      }
      pool.failed(this, failure === 'stale' ? 'reset' : failure);
      if (failure === 'protocol') {
        this.answer(502, 'upstream-protocol', 'The backend did not send an acceptable HTTP response.');
      } else this.answer(502, 'upstream-reset', 'The backend closed the connection before its response.');
    } else if (state === RESPONDING) {
      pool.failed(this, 'reset');
      this.lost = true;
    } else if (state === STREAMING) {
      pool.failed(this, failure === 'protocol' ? 'protocol' : 'reset');
      this.breakOff(failure === 'protocol' ? 'upstream-protocol' : 'upstream-aborted');
    } else this.finishTunnel('');
  }

  onDeadline(): void {
    const { connection, options } = this;
    if (connection === null) return;
    if (this.expecting) {
      this.arm(connection);
      this.readBody();
      return;
    }
    const nowMs = this.wheel.now();
    if (this.state === TUNNEL) {
      if (nowMs - this.lastByteAtMs >= options.idleTimeoutMs) this.finishTunnel('upstream-idle-timeout');
      else connection.deadline(options.idleTimeoutMs - (nowMs - this.lastByteAtMs));
      return;
    }
    if (this.totalMs > 0 && nowMs >= this.totalMs) {
      if (this.state === SENT) this.fail('timeout');
      if (this.state >= STREAMING) this.breakOff('request-timeout');
      else this.answer(504, 'request-timeout', 'The request took too long.');
    } else if (this.state === SENT && this.headOverdue(connection, nowMs)) {
      this.fail('timeout');
      this.answer(504, 'upstream-timeout', 'The backend did not answer in time.');
    } else if (this.state === STREAMING && this.bodyOverdue(connection, nowMs)) {
      this.fail('timeout');
      this.breakOff('upstream-idle-timeout');
    } else this.arm(connection);
  }

  private headOverdue(connection: UpstreamConnection, nowMs: number): boolean {
    const { backendTimeoutMs } = this.options;
    if (backendTimeoutMs === 0 || nowMs - this.waitingSinceMs < backendTimeoutMs) return false;
    if (connection.requestDone) return true;
    // Still uploading: only a backend that takes nothing is late; a slow client is the listener's business.
    const { progress } = connection.wire;
    const moving = progress !== this.uploadProgress || connection.wire.unsent === 0;
    this.uploadProgress = progress;
    if (moving) this.waitingSinceMs = nowMs;
    return !moving;
  }

  private bodyOverdue(connection: UpstreamConnection, nowMs: number): boolean {
    const { idleTimeoutMs } = this.options;
    if (idleTimeoutMs === 0 || nowMs - this.lastByteAtMs < idleTimeoutMs) return false;
    // A client that does not read is the listener's business.
    if (!connection.waiting) return true;
    this.lastByteAtMs = nowMs;
    return false;
  }

  /** Sets the connection's timer to the first thing that can be overdue. */
  private arm(connection: UpstreamConnection): void {
    const { backendTimeoutMs, idleTimeoutMs } = this.options;
    const nowMs = this.wheel.now();
    const ownMs =
      this.state === SENT
        ? left(backendTimeoutMs, this.waitingSinceMs, nowMs)
        : left(idleTimeoutMs, this.lastByteAtMs, nowMs);
    connection.deadline(soonest(ownMs, this.totalLeft(nowMs)));
  }

  private totalLeft(nowMs: number): number {
    if (this.totalMs === 0) return 0;
    return this.totalMs > nowMs ? this.totalMs - nowMs : 1;
  }

  private clientGone(): void {
    if (this.state === OVER) return;
    if (this.state === TUNNEL) {
      this.finishTunnel('');
      return;
    }
    const { exchange } = this;
    if (this.state < STREAMING) exchange.status = 499;
    exchange.code = 'client-closed';
    this.pool?.withdraw(this);
    this.end();
    this.responder.finish(exchange);
  }

  /** The head is out: the client must not take what it has for complete. */
  private breakOff(code: ForwardCode): void {
    const { exchange } = this;
    exchange.code = code;
    this.end();
    exchange.downstream.abort();
    this.responder.finish(exchange);
  }

  private finishTunnel(code: ForwardCode | ''): void {
    const { exchange } = this;
    exchange.code = code;
    this.end();
    exchange.downstream.abort();
    this.responder.finish(exchange);
  }

  private answer(status: number, code: ForwardCode, detail: string, retryAfterS = 0): void {
    this.end();
    this.responder.answer(this.exchange, status, code, detail, retryAfterS);
  }

  /** Lets go of everything; a connection that is still held is in the middle of something and closes. */
  private end(): void {
    const { connection, exchange } = this;
    this.state = OVER;
    this.connection = null;
    exchange.downstream.onClose = null;
    exchange.downstream.onDrain = null;
    this.dropTimer();
    this.leave();
    if (connection !== null) connection.abandon();
  }

  private fail(failure: AttemptFailure): void {
    this.pool?.failed(this, failure);
  }

  private leave(): void {
    const { pool } = this;
    this.pool = null;
    pool?.leave(this);
  }

  private dropTimer(): void {
    if (this.timer === null) return;
    this.wheel.drop(this.timer);
    this.timer = null;
  }
}

/** What a client is told where no endpoint may be asked. */
const REFUSALS: { readonly [C in ForwardCode]?: string } = {
  'no-endpoint': 'The backend has no endpoint.',
  'breaker-open': 'The backend has failed too often; it is tried again later.',
  'upstream-overflow': 'The backend has too many requests under way.',
};

/** The sooner of two delays where 0 is never. */
function soonest(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 || a < b ? a : b;
}

/** What is left of a time-out that began at `sinceMs`; at least 1; 0 where it is off. */
function left(timeoutMs: number, sinceMs: number, nowMs: number): number {
  return timeoutMs === 0 ? 0 : Math.max(1, timeoutMs - (nowMs - sinceMs));
}
