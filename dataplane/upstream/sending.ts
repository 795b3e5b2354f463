/**
 * The first half of an exchange with a backend: chooses an endpoint, waits for a connection and sends the request. The second half, from
 * the response head on, is in forward.ts.
 */
import type { ResponseHead } from '../codec/response-head.ts';
import { Timer, type TimerOwner, type TimerWheel } from '../io/wheel.ts';
import { type Exchange, LENGTH_UNKNOWN, type Release } from '../pipeline/exchange.ts';
import type { Failure, Job, UpstreamConnection } from './connection.ts';
import { soonest, until } from './delays.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { requestText } from './request-text.ts';
import type { ForwardCode, ForwardOptions } from './seam.ts';
import { Upload, type Uploader } from './upload.ts';
import type { Upstream } from './upstream.ts';
import { type Attempt, type AttemptFailure, UNDECIDED, type Verdict } from './watcher.ts';

/** ms for a 100 (Continue) before the body is sent unasked (RFC 9110 section 10.1.1). */
const EXPECT_WAIT_MS = 1000;

/** Waiting for a connection. */
export const WAITING = 0;
/** The request is being sent, or is sent. */
export const SENT = 1;
/** The response stages have the head. */
export const RESPONDING = 2;
export const STREAMING = 3;
export const TUNNEL = 4;
export const OVER = 5;

export abstract class Sending implements Job, Attempt, Uploader, TimerOwner {
  chosenAtMs = 0;
  verdict: Verdict = UNDECIDED;
  protected readonly exchange: Exchange;
  protected readonly upstream: Upstream;
  protected readonly options: ForwardOptions;
  protected wheel!: TimerWheel;
  protected state = WAITING;
  /** Of the running attempt. */
  protected pool: EndpointPool | null = null;
  protected tried: EndpointPool[] | null = null;
  protected connection: UpstreamConnection | null = null;
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
  protected abstract answer(status: number, code: ForwardCode, detail: string, retryAfterS?: number): void;
  /** Sets the connection's timer to the first thing that can be overdue. */
  protected abstract arm(connection: UpstreamConnection): void;

  protected choose(): void {
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

  protected chooseOther(pool: EndpointPool): void {
    this.tried ??= [];
    this.tried.push(pool);
    this.choose();
  }

  protected request(pool: EndpointPool, fresh: boolean): void {
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
    const soonestMs = soonest(delayMs, until(this.totalMs, this.wheel.now()));
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
    if (requestLength > 0 || requestLength === LENGTH_UNKNOWN) this.upload ??= new Upload(exchange, this);
    const { upload } = this;
    const expecting = upload?.expecting === true;
    connection.wire.write(requestText(exchange, this.options, expecting));
    this.sentAtMs = this.waitingSinceMs = this.wheel.now();
    if (upload === null) {
      connection.requestDone = true;
      connection.wire.flush();
      this.arm(connection);
      return;
    }
    upload.begin(connection);
    if (expecting) {
      connection.wire.flush();
      connection.deadline(EXPECT_WAIT_MS);
    } else {
      this.arm(connection);
      upload.read();
    }
  }

  onUploaded(connection: UpstreamConnection): void {
    this.waitingSinceMs = this.wheel.now();
    if (this.state === SENT) this.arm(connection);
  }

  onWritable(): void {
    this.exchange.downstream.resumeBody();
  }

  protected fail(failure: AttemptFailure): void {
    this.pool?.failed(this, failure);
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

/** What a client is told where no endpoint may be asked. */
const REFUSALS: { readonly [C in ForwardCode]?: string } = {
  'no-endpoint': 'The backend has no endpoint.',
  'breaker-open': 'The backend has failed too often; it is tried again later.',
  'upstream-overflow': 'The backend has too many requests under way.',
};
