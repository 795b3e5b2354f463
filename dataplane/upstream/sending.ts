/**
 * The first half of an exchange with a backend: chooses an endpoint, waits for a connection and sends the request, once more where that
 * fails and may be repeated. The second half, from the response head on, is in forward.ts.
 */
import type { ResponseHead } from '../codec/response-head.ts';
import { NO_CALL } from '../grpc/call.ts';
import { UNAVAILABLE } from '../grpc/status.ts';
import { formatTimeout } from '../grpc/timeout.ts';
import { Timer, type TimerOwner, type TimerWheel } from '../io/wheel.ts';
import { type Exchange, LENGTH_UNKNOWN, type Release } from '../pipeline/exchange.ts';
import type { Channel } from './channel.ts';
import { soonest, until } from './delays.ts';
import { EarlierDial, type Racer, STALL_MS } from './earlier-dial.ts';
import { ENDINGS, REFUSALS } from './endings.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import type { Failure, Job } from './job.ts';
import { retryAfterMs } from './retry/backoff.ts';
import { drain } from './retry/drain.ts';
import { Hedge, type HedgeOwner } from './retry/hedge.ts';
import type { RetryOptions, RetryReason } from './retry/options.ts';
import { type Retrier, Retries } from './retry/retries.ts';
import type { ForwardCode, ForwardOptions } from './seam.ts';
import { Upload, type Uploader } from './upload.ts';
import type { Upstream } from './upstream.ts';
import { type Attempt, type AttemptFailure, UNDECIDED, type Verdict } from './watcher.ts';

/** ms for a 100 (Continue) before the body is sent unasked (RFC 9110 section 10.1.1). */
const EXPECT_WAIT_MS = 1000;

/** Endpoints tried when connecting fails; nothing was sent to any of them, so every method may be tried again. */
const MAX_ENDPOINTS_TRIED = 3;

/** Of a request body kept for an endpoint of HTTP/2 that refuses the stream, which any may when it goes away (GOAWAY). */
const REFUSED_BYTES = 64 * 1024;

/** No attempt of its own runs: before a retry, or while only a hedge is under way. */
export const BETWEEN = 0;
/** Waiting for a connection. */
export const WAITING = 1;
/** The request is being sent, or is sent. */
export const SENT = 2;
/** The response stages have the head. */
export const RESPONDING = 3;
export const STREAMING = 4;
export const TUNNEL = 5;
export const OVER = 6;

export abstract class Sending implements Job, Attempt, Uploader, Retrier, HedgeOwner, Racer, TimerOwner {
  chosenAtMs = 0;
  verdict: Verdict = UNDECIDED;
  readonly exchange: Exchange;
  protected readonly upstream: Upstream;
  protected readonly options: ForwardOptions;
  protected wheel!: TimerWheel;
  protected state = WAITING;
  /** Of the running attempt. */
  protected pool: EndpointPool | null = null;
  protected tried: EndpointPool[] | null = null;
  protected channel: Channel | null = null;
  /** Only for the time without a connection; one has its own. */
  private timer: Timer | null = null;
  /** When the whole exchange has to be over; 0: never. */
  protected totalMs = 0;
  protected sentAtMs = 0;
  /** Since when the response head is waited for. */
  protected waitingSinceMs = 0;
  protected repeated = false;
  /** Null: the request has no body, or is not sent yet. */
  protected upload: Upload | null = null;
  /** Null: nothing of the exchange had to be retried or timed so far. */
  protected retries: Retries | null = null;
  /** The timer is for a connection that is being made, not for a place in a queue. */
  private connecting = false;
  /** Connections that are waited for beside the running attempt. */
  protected earlier: EarlierDial[] | null = null;
  /** Why the attempt before has no response; null: it has one, and is retried for its status. */
  private failure: AttemptFailure | null = null;

  constructor(exchange: Exchange, upstream: Upstream, options: ForwardOptions) {
    this.exchange = exchange;
    this.upstream = upstream;
    this.options = options;
  }

  abstract onInformational(head: ResponseHead): void;
  abstract onHead(head: ResponseHead): void;
  abstract onBody(bytes: Uint8Array, release: Release): boolean;
  abstract onComplete(trailers: string[] | null): void;
  abstract onFailure(failure: Failure): void;
  abstract onDeadline(): void;
  abstract onUploadBroken(reason: string): void;
  abstract onHedgeHead(hedge: Hedge, head: ResponseHead): void;
  protected abstract answer(status: number, code: ForwardCode, detail: string, retryAfterS?: number): void;
  /** Sets the connection's timer to the first thing that can be overdue. */
  protected abstract arm(channel: Channel): void;

  protected choose(): void {
    const { upstream } = this;
    const pool = upstream.pick(this.exchange, this.tried);
    if (pool !== null) this.enter(pool);
    else if (this.tried !== null) this.giveUp('connect');
    else this.refuse();
  }

  private refuse(): void {
    const { code, retryAfterS } = this.upstream.refusal;
    this.answer(503, code, REFUSALS[code] ?? 'The backend takes no requests now.', retryAfterS);
  }

  private enter(chosen: EndpointPool): void {
    const { exchange } = this;
    this.chosenAtMs = chosen.wheel.now();
    this.verdict = UNDECIDED;
    const pool = chosen.stalled ? this.passBy(chosen) : chosen;
    this.pool = pool;
    this.wheel = pool.wheel;
    this.repeated = false;
    exchange.endpoint = pool.name;
    exchange.attempts++;
    const { retry } = this.options;
    if (retry?.timed === true) this.retried(retry).begin(this.hedgeable(retry));
    this.request(pool, false);
  }

  /** `fresh`: over a connection that has not served. */
  protected request(pool: EndpointPool, fresh: boolean): void {
    this.dropTimer();
    this.state = WAITING;
    this.connecting = true;
    switch (pool.request(this, fresh)) {
      case 'started':
        // Connecting has its own time-out; that of the whole request may be sooner.
        if (this.state === WAITING && this.pool === pool) this.wait(this.upstream.size > 1 ? STALL_MS : 0);
        break;
      case 'queued':
        this.connecting = false;
        this.wait(pool.pendingTimeoutMs);
        break;
      case 'gone':
        this.chooseOther(pool);
        break;
      case 'overflow':
        this.answer(503, 'upstream-overflow', 'The backend has too many requests waiting.');
    }
  }

  onGone(): void {
    if (this.state === WAITING && this.pool !== null) this.chooseOther(this.pool);
  }

  onCrowded(): void {
    if (this.state === WAITING && this.pool !== null) this.request(this.pool, this.repeated);
  }

  private chooseOther(pool: EndpointPool): void {
    this.tried ??= [];
    this.tried.push(pool);
    this.letGo();
    this.choose();
  }

  /** The whole request has taken too long. */
  private late(): boolean {
    return this.totalMs > 0 && this.wheel.now() >= this.totalMs;
  }

  private wait(delayMs: number): void {
    const soonestMs = soonest(delayMs, until(this.totalMs, this.wheel.now()));
    if (soonestMs === 0) return;
    this.timer ??= new Timer(this);
    this.wheel.arm(this.timer, soonestMs);
  }

  /** Waited too long for a connection, or for a hedge. */
  onTimeout(): void {
    const late = this.late();
    if (this.connecting && !late) {
      if (!this.race()) this.wait(0);
      return;
    }
    this.pool?.withdraw(this);
    if (late) this.answer(504, 'request-timeout', 'The request took too long.');
    else this.answer(503, 'upstream-overflow', 'No connection to the backend became free in time.');
  }

  onReady(channel: Channel): void {
    if (this.state !== WAITING) {
      channel.giveBack();
      return;
    }
    const { exchange } = this;
    const { requestLength } = exchange.downstream;
    if (this.earlier !== null) this.disownEarlier(this.earlier);
    this.dropTimer();
    this.channel = channel;
    this.state = SENT;
    if (requestLength > 0 || requestLength === LENGTH_UNKNOWN)
      this.upload ??= new Upload(exchange, this, this.keptBytes());
    if (exchange.deadlineMs > 0) exchange.headers.set('grpc-timeout', formatTimeout(this.totalMs - this.wheel.now()));
    const { upload } = this;
    const expecting = upload?.expecting === true;
    channel.send(this, exchange, this.options, upload !== null, expecting);
    this.sentAtMs = this.waitingSinceMs = this.wheel.now();
    if (upload === null) {
      this.arm(channel);
      return;
    }
    upload.begin(channel);
    this.retries?.uploading();
    if (expecting) {
      channel.deadline(EXPECT_WAIT_MS);
    } else {
      this.arm(channel);
      upload.read();
    }
  }

  onUploaded(channel: Channel): void {
    this.waitingSinceMs = this.wheel.now();
    if (this.state !== SENT) return;
    this.retries?.uploaded();
    this.arm(channel);
  }

  onWritable(): void {
    this.exchange.downstream.resumeBody();
  }

  // Connections that take long.

  /** `pool` was chosen, and does not get to a connection: the first that does, where there is one. */
  private passBy(pool: EndpointPool): EndpointPool {
    const tried = [...(this.tried ?? [])];
    let at = pool;
    while (at.stalled) {
      tried.push(at);
      const other = this.upstream.pick(this.exchange, tried);
      if (other === null) break;
      at.leave(this);
      at = other;
    }
    return at;
  }

  /** Goes on with another endpoint, while this one is still connected to. False: there is none, or it is only TLS that is waited for. */
  private race(): boolean {
    const { exchange, pool } = this;
    if (pool === null || !pool.stalled || (this.tried?.length ?? 0) + 1 >= MAX_ENDPOINTS_TRIED) return false;
    const tried = [...(this.tried ?? []), pool];
    const other = this.upstream.pick(exchange, tried);
    if (other === null) return false;
    this.tried = tried;
    this.leaveDialing(pool, this);
    this.enter(other);
    return true;
  }

  /** What is connected to goes on without the running attempt; `owner` may still have use for it. */
  private leaveDialing(pool: EndpointPool, owner: Racer | null): void {
    const dial = new EarlierDial(this.exchange, pool, this.chosenAtMs, owner);
    if (!pool.withdraw(this, dial)) pool.leave(this);
    else if (owner !== null) {
      this.earlier ??= [];
      this.earlier.push(dial);
    }
    this.pool = null;
  }

  onEarlierReady(dial: EarlierDial, channel: Channel): void {
    if (this.state !== WAITING) {
      dial.giveBack(channel);
      return;
    }
    if (this.pool !== null) this.leaveDialing(this.pool, null);
    this.pool = dial.pool;
    this.chosenAtMs = dial.chosenAtMs;
    this.verdict = dial.verdict;
    this.exchange.endpoint = dial.pool.name;
    this.onReady(channel);
  }

  onEarlierFailed(dial: EarlierDial): void {
    const left = this.earlier?.filter((one) => one !== dial) ?? [];
    this.earlier = left.length === 0 ? null : left;
    if (this.state === WAITING && this.pool === null && left.length === 0) this.answerFailure('connect');
  }

  protected disownEarlier(earlier: readonly EarlierDial[]): void {
    for (const dial of earlier) dial.owner = null;
    this.earlier = null;
  }

  // Attempts that fail.

  /** The attempt has no response: another one, or an answer. */
  protected failAttempt(failure: AttemptFailure): void {
    this.pool?.failed(this, failure);
    this.failure = failure;
    // One that failed to connect has had none of the body; one that refused may have had.
    const lost = failure === 'refused' && this.upload?.repeatable === false;
    if (lost || !this.again(ENDINGS[failure].reason, -1)) this.giveUp(failure);
  }

  /** Unless a connection that was begun before may still come. */
  private giveUp(failure: AttemptFailure): void {
    if (this.earlier === null) {
      this.answerFailure(failure);
      return;
    }
    this.letGo();
    this.state = WAITING;
    this.wait(0);
  }

  private answerFailure(failure: AttemptFailure): void {
    const { status, code, detail } = ENDINGS[failure];
    this.answer(status, code, detail);
  }

  /** Another attempt in place of this one, which is let go; false: there is none. `retryAfterMs` below 0: nothing was said. */
  private again(reason: RetryReason, retryAfterMs: number): boolean {
    const pool = this.pool as EndpointPool;
    const { retry } = this.options;
    if (retry === null) {
      const tried = (this.tried?.length ?? 0) + 1;
      if (reason !== 'connect' || tried >= MAX_ENDPOINTS_TRIED) return false;
      // All that are there were asked; one that has left is none of them.
      if (tried >= this.upstream.size && !pool.left) return false;
      this.chooseOther(pool);
      return true;
    }
    const retries = this.retried(retry);
    retries.end('failed');
    this.tried ??= [];
    this.tried.push(pool);
    if (retries.hedges.length > 0) {
      this.letGo();
      this.wait(0);
      return true;
    }
    return this.retryLater(retry, retries, reason, retryAfterMs);
  }

  private retryLater(retry: RetryOptions, retries: Retries, reason: RetryReason, retryAfterMs: number): boolean {
    if (reason === 'connect' && retries.redirects()) {
      const other = this.upstream.pick(this.exchange, this.tried);
      if (other !== null) {
        this.letGo();
        retries.redirected();
        this.enter(other);
        return true;
      }
    }
    const repeatable = this.mayRepeat(retry, reason) && this.upload?.repeatable !== false;
    const delayMs = retries.grant(reason, repeatable, retryAfterMs, this.totalMs);
    if (delayMs < 0) return false;
    this.letGo();
    retries.wait(delayMs);
    return true;
  }

  /** The response is one that is retried, and there is another attempt in its place. */
  protected retriesStatus(head: ResponseHead, grpcStatus: number): boolean {
    const { retry } = this.options;
    if (retry === null) return false;
    const unavailable = grpcStatus === UNAVAILABLE && retry.on.grpcUnavailable;
    if (!unavailable && !retry.statuses.has(head.status)) return false;
    const channel = this.channel as Channel;
    let afterMs: number;
    if (unavailable) {
      const pushback = fieldOf(head.fields, 'grpc-retry-pushback-ms');
      // gRFC A6: what is no number of ms asks for no retry.
      if (pushback !== undefined && !/^\d{1,9}$/.test(pushback)) return false;
      afterMs = pushback === undefined ? -1 : Number(pushback);
    } else afterMs = retryAfterMs(fieldOf(head.fields, 'retry-after'), this.upstream.retries.epochMs());
    this.failure = null;
    this.channel = null;
    if (!this.again(unavailable ? 'grpcUnavailable' : 'status', afterMs)) {
      this.channel = channel;
      return false;
    }
    drain(channel, head.contentLength);
    return true;
  }

  onRetry(): void {
    const { exchange, upstream } = this;
    if (this.late()) {
      this.answer(504, 'request-timeout', 'The request took too long.');
      return;
    }
    const tried = this.tried ?? [];
    let pool = upstream.pick(exchange, tried);
    if (pool === null) {
      // All were tried: from the start, if possible not with the one that has just failed.
      pool = upstream.pick(exchange, tried.slice(-1)) ?? upstream.pick(exchange, null);
      tried.length = 0;
    }
    if (pool !== null) this.enter(pool);
    else if (this.failure !== null) this.answerFailure(this.failure);
    else this.refuse();
  }

  onTryTimeout(): void {
    if (this.state === WAITING || this.state === SENT) this.failAttempt('timeout');
  }

  // Attempts beside.

  private hedgeable({ methods }: RetryOptions): boolean {
    const { downstream, method } = this.exchange;
    return (
      downstream.requestLength <= 0 &&
      downstream.requestLength !== LENGTH_UNKNOWN &&
      downstream.tunnel === null &&
      methods.has(method)
    );
  }

  onHedge(): void {
    const { exchange, options, pool, retries, upstream } = this;
    if (pool === null || retries === null || options.retry === null) return;
    const tried = [...(this.tried ?? []), ...retries.hedges.map((hedge) => hedge.pool), pool];
    if (tried.length >= upstream.size || !retries.grantHedge()) return;
    const other = upstream.pick(exchange, tried);
    if (other === null) return;
    const timeoutMs = soonest(options.retry.perTryTimeoutMs, options.backendTimeoutMs);
    const hedge = new Hedge(exchange, other, options, timeoutMs, this);
    exchange.attempts++;
    retries.hedges.push(hedge);
    if (!hedge.start()) retries.endHedge(hedge, 'abandoned');
  }

  onHedgeFailed(hedge: Hedge, failure: AttemptFailure): void {
    const { retries } = this;
    const { retry } = this.options;
    if (retries === null || retry === null) return;
    retries.endHedge(hedge, 'failed');
    this.tried ??= [];
    this.tried.push(hedge.pool);
    if (this.state !== BETWEEN || retries.hedges.length > 0) return;
    this.failure = failure;
    if (!this.retryLater(retry, retries, ENDINGS[failure].reason, -1)) this.answerFailure(failure);
  }

  /** The hedge goes on as the attempt of the exchange; all others are given up. */
  protected adopt(hedge: Hedge, retries: Retries): void {
    retries.end('abandoned');
    retries.endHedge(hedge, 'answered');
    this.letGo();
    this.pool = hedge.pool;
    this.channel = hedge.take(this);
    this.chosenAtMs = hedge.chosenAtMs;
    this.verdict = hedge.verdict;
    this.sentAtMs = this.waitingSinceMs = hedge.sentAtMs;
    this.exchange.endpoint = hedge.pool.name;
    this.state = SENT;
    this.arm(this.channel);
  }

  private retried(retry: RetryOptions): Retries {
    this.retries ??= new Retries(retry, this.upstream.retries, this);
    return this.retries;
  }

  /** A call that a server says it could not take may go to another one, although its method is POST. */
  private mayRepeat({ methods, on }: RetryOptions, reason: RetryReason): boolean {
    return methods.has(this.exchange.method) || (reason === 'grpcUnavailable' && on.grpcUnavailable);
  }

  /** Of the request body. */
  private keptBytes(): number {
    const { retry } = this.options;
    let bytes = this.pool?.protocol === 'http2' ? REFUSED_BYTES : 0;
    if (
      retry !== null &&
      retry.attempts > 0 &&
      this.mayRepeat(retry, this.exchange.grpc === NO_CALL ? 'status' : 'grpcUnavailable')
    )
      bytes = Math.max(bytes, retry.bodyBytes);
    return this.exchange.downstream.requestLength > bytes ? 0 : bytes;
  }

  /** The running attempt is over, whatever became of it. */
  private letGo(): void {
    const { channel } = this;
    this.state = BETWEEN;
    this.channel = null;
    this.upload?.pause();
    this.dropTimer();
    if (channel !== null) channel.abandon();
    else this.pool?.withdraw(this);
    this.leave();
  }

  protected leave(): void {
    const { pool } = this;
    this.pool = null;
    pool?.leave(this);
  }

  protected dropTimer(): void {
    if (this.timer === null) return;
    this.wheel.drop(this.timer);
    this.timer = null;
  }
}

function fieldOf(fields: readonly string[], name: string): string | undefined {
  const at = fields.findIndex((field, i) => i % 2 === 0 && field === name);
  return at < 0 ? undefined : fields[at + 1];
}
