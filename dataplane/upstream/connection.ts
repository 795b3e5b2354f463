/**
 * One HTTP/1.1 connection to an endpoint: sends one request at a time and cuts what comes back into heads and bodies. What they
 * mean to the exchange is the job's business (forward.ts).
 */
import {
  CHUNK_DATA,
  CHUNK_END,
  CHUNK_MORE,
  ChunkedDecoder,
  type ChunkLimits,
  chunkHead,
  DEFAULT_CHUNK_LIMITS,
  lastChunk,
} from '../codec/chunked.ts';
import { DEFAULT_HEAD_LIMITS, type HeadLimits } from '../codec/fields.ts';
import { parseResponseHead, ResponseHead } from '../codec/response-head.ts';
import { type PooledBuffer, SHARED_BYTES } from '../io/buffers.ts';
import { Timer, type TimerOwner } from '../io/wheel.ts';
import { SMALL, Wire, type WireOwner } from '../io/wire.ts';
import { type Exchange, LENGTH_UNKNOWN, type Release, type TunnelEnd } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { Channel } from './channel.ts';
import { soonest } from './delays.ts';
import { type ProxiedClient, proxiedClient } from './dial/proxy-header.ts';
import { STALL_MS } from './earlier-dial.ts';
import type { Job } from './job.ts';
import type { KeptConnections } from './kept-connections.ts';
import { requestText } from './request-text.ts';
import type { ForwardOptions } from './seam.ts';
import type { Target } from './transport.ts';

const CONNECTING = 0;
const IDLE = 1;
const HEAD = 2;
/** The head was told, its job has not yet said `proceed`. */
const HELD = 3;
const LENGTH = 4;
const CHUNKED = 5;
const UNTIL_CLOSE = 6;
const TUNNEL = 7;
const CLOSED = 8;

const LF = 10;
const PARSE_AGAIN_BYTES = 1024;
/** Informational heads before a final one; a backend that sends more is broken. */
const MAX_INFORMATIONAL = 16;

/** One for the whole worker: it is read before another head is parsed. */
const head = new ResponseHead();

export class UpstreamConnection implements Channel, WireOwner, TimerOwner {
  bulk = false;
  readonly wire: Wire;
  private readonly keeper: KeptConnections;
  private readonly target: Target;
  /** Whose address went ahead (PROXY protocol); null: nobody's. */
  readonly client: ProxiedClient | null;
  /** The request is sent to its end. */
  requestDone = false;
  /** Exchanges served before this one. */
  served = 0;
  private job: Job | null;
  private state = CONNECTING;
  private next = LENGTH;
  private bodiless = false;
  /** The request body goes out in chunks. */
  private chunking = false;
  private remaining = 0;
  private decoder: ChunkedDecoder | null = null;
  private keepAlive = true;
  /** The response before was large: the next one may well be. */
  private large = false;
  private informational = 0;
  private held: Buffer | null = null;
  private parsedLength = 0;
  private peer: TunnelEnd | null = null;
  /** The endpoint sends no more. */
  private ended = false;
  private timedOut = false;
  private readonly dialedAtMs: number;
  /** Not used again from then on. */
  private readonly expiresAtMs: number;
  private processing = false;
  /** The client is behind: not read on until `resume`. */
  private paused = false;
  /** A byte of the response has come. */
  private answered = false;
  /** More bytes came with the head than the head. */
  private excess = false;
  private readonly timer: Timer = new Timer(this);

  constructor(keeper: KeptConnections, job: Job) {
    const { target } = keeper;
    this.keeper = keeper;
    this.target = target;
    this.job = job;
    this.dialedAtMs = target.wheel.now();
    this.expiresAtMs = this.dialedAtMs + target.ageLimitMs;
    const ready = (): void => this.wire.turn(() => this.onConnect());
    const { dialer } = target;
    const client = dialer.proxyProtocol === null || job.exchange === null ? null : proxiedClient(job.exchange);
    this.client = client;
    this.wire = new Wire(this, target.readMode, (onread) => dialer.dial(target, { onread, client, ready }));
    if (target.connectTimeoutMs > 0) target.wheel.arm(this.timer, target.connectTimeoutMs);
  }

  get usable(): boolean {
    return this.state === IDLE && !this.wire.closed;
  }

  send(job: Job, exchange: Exchange, options: ForwardOptions, hasBody: boolean, expect: boolean): void {
    const { wire } = this;
    this.job = job;
    this.state = HEAD;
    this.bodiless = exchange.method === 'HEAD';
    this.requestDone = !hasBody;
    this.informational = 0;
    this.keepAlive = true;
    wire.write(requestText(exchange, options, expect));
    if (hasBody) this.chunking = exchange.downstream.requestLength === LENGTH_UNKNOWN;
  }

  sendBody(chunk: Uint8Array, release: Release): boolean {
    const { wire } = this;
    if (this.chunking) {
      wire.write(chunkHead(chunk.length));
      wire.writeBytes(chunk, release);
      wire.write('\r\n');
    } else wire.writeBytes(chunk, release);
    return !wire.blocked;
  }

  sendEnd(trailers: Headers | null): void {
    const { wire } = this;
    if (this.chunking) wire.write(lastChunk(trailers === null ? null : trailers.fields));
    this.requestDone = true;
  }

  get blocked(): boolean {
    return this.wire.blocked;
  }

  get unsent(): number {
    return this.wire.unsent;
  }

  get progress(): number {
    return this.wire.progress;
  }

  giveBack(): void {
    this.keeper.free(this);
  }

  /** While it connects: `job` no longer waits for it, and `heir` does. False: it never did. */
  desert(job: Job, heir: Job | null): boolean {
    if (this.job !== job) return false;
    this.job = heir;
    return true;
  }

  /** See Transport. */
  get stalled(): boolean {
    return this.wire.socket.connecting && this.target.wheel.now() - this.dialedAtMs >= STALL_MS;
  }

  /** While it connects: nobody waits for it any more; null: nobody did. */
  disown(): Job | null {
    const { job } = this;
    this.job = null;
    return job;
  }

  /** Calls `job.onDeadline` in `delayMs`; 0: not at all. */
  deadline(delayMs: number): void {
    if (delayMs > 0) this.target.wheel.arm(this.timer, delayMs);
    else this.target.wheel.disarm(this.timer);
  }

  /** The head was passed on: the body may come. */
  proceed(): void {
    if (this.state !== HELD) return;
    this.state = this.next;
    if (this.state === LENGTH && this.remaining === 0) {
      this.complete(null, this.excess || this.held !== null);
      return;
    }
    if (this.processing) return;
    this.processHeld();
    if (!this.paused) this.wire.resume();
  }

  /** The client can take more. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.wire.resume();
  }

  /** The client is behind, and the endpoint waits for it. */
  get waiting(): boolean {
    return this.paused;
  }

  /** After a 101: raw bytes both ways. */
  openTunnel(peer: TunnelEnd): TunnelEnd {
    const { held, wire } = this;
    this.state = TUNNEL;
    this.peer = peer;
    this.deadline(0);
    this.held = null;
    if (held === null || peer.write(held, NOTHING)) wire.resume();
    return {
      write: (chunk, release) => {
        wire.writeBytes(chunk, release);
        return !wire.blocked;
      },
      end: () => wire.finish(),
      destroy: () => this.abandon(),
      resume: () => wire.resume(),
    };
  }

  /** Another job goes on with what it is in the middle of. */
  handTo(job: Job): void {
    this.job = job;
  }

  /** The exchange no longer wants it: closed, as the rest of the response would come. */
  abandon(): void {
    this.job = null;
    this.state = CLOSED;
    this.close();
  }

  /** Closes an idle connection. */
  close(): void {
    this.wire.destroy();
  }

  /** Idle in the pool: closed after `idleTimeoutMs`. */
  rest(): void {
    this.state = IDLE;
    this.job = null;
    const { idleTimeoutMs, wheel } = this.target;
    if (this.expiresAtMs === Number.POSITIVE_INFINITY) this.deadline(idleTimeoutMs);
    else this.deadline(soonest(idleTimeoutMs, Math.max(1, this.expiresAtMs - wheel.now())));
  }

  onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void {
    const { held } = this;
    this.bulk = length >= SHARED_BYTES && (this.state >= HEAD || this.held !== null);
    if (held === null) {
      this.process(bytes, 0, length, pooled);
      return;
    }
    const joined = Buffer.concat([held, bytes.subarray(0, length)]);
    this.held = joined;
    if (this.state !== HEAD) return;
    if (joined.length - this.parsedLength < PARSE_AGAIN_BYTES && joined.indexOf(LF, held.length) < 0) return;
    this.processHeld();
  }

  onEnd(): void {
    switch (this.state) {
      case UNTIL_CLOSE:
        this.complete(null);
        break;
      case TUNNEL:
        this.peer?.end();
        break;
      default:
        // A held response may be complete already; what it lacks shows when it is read on.
        if (this.state === HELD) this.ended = true;
        else this.wire.destroy();
    }
  }

  onDrain(): void {
    if (this.state === TUNNEL) this.peer?.resume();
    else this.job?.onWritable();
  }

  onClose(): void {
    const { job, state, peer } = this;
    this.state = CLOSED;
    this.job = null;
    this.peer = null;
    this.held = null;
    this.target.wheel.drop(this.timer);
    this.keeper.closed(this);
    if (state === CONNECTING) this.keeper.dialed(this);
    if (peer !== null) peer.destroy();
    if (job === null) return;
    if (state === CONNECTING) job.onFailure(this.timedOut ? 'connect-timeout' : 'connect');
    else job.onFailure(state === HEAD && this.served > 0 && !this.answered ? 'stale' : 'reset');
  }

  onTimeout(): void {
    if (this.state === CONNECTING) {
      this.timedOut = true;
      this.wire.destroy();
    } else if (this.state === IDLE) this.wire.destroy();
    else this.job?.onDeadline();
  }

  private onConnect(): void {
    this.deadline(0);
    this.keeper.dialed(this);
    const { job } = this;
    if (job === null) {
      this.keeper.free(this);
      return;
    }
    this.state = IDLE;
    job.onReady(this);
  }

  private process(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): void {
    let at = from;
    this.processing = true;
    while (at < end) {
      switch (this.state) {
        case HEAD: {
          this.answered = true;
          const next = parseResponseHead(bytes, at, end, this.target.headLimits, head);
          if (next < 0) {
            this.fail();
            at = end;
          } else if (next === 0) {
            this.hold(bytes, at, end);
            at = end;
          } else {
            at = next;
            this.excess = next < end;
            this.readHead();
          }
          break;
        }
        case LENGTH:
        case UNTIL_CLOSE:
          at = this.plainBody(bytes, at, end, pooled);
          break;
        case CHUNKED:
          at = this.chunkedBody(bytes, at, end, pooled);
          break;
        case HELD:
          this.hold(bytes, at, end);
          this.wire.pause();
          at = end;
          break;
        case TUNNEL:
          this.tunnelBytes(bytes, at, end, pooled);
          at = end;
          break;
        default:
          // Bytes nobody asked for, on an idle connection or behind a response: it can't be trusted.
          this.wire.destroy();
          at = end;
      }
    }
    this.processing = false;
  }

  private pause(): void {
    this.paused = true;
    this.wire.pause();
  }

  private processHeld(): void {
    const { held } = this;
    if (held === null) return;
    this.held = null;
    this.process(held, 0, held.length, null);
    if (this.ended && this.state !== HELD && this.state !== IDLE) this.onEnd();
  }

  private hold(bytes: Buffer, from: number, end: number): void {
    this.held = Buffer.from(bytes.subarray(from, end));
    this.parsedLength = this.held.length;
  }

  private readHead(): void {
    const job = this.job as Job;
    const { status } = head;
    if (status < 200 && status !== 101) {
      if (++this.informational > MAX_INFORMATIONAL) this.fail();
      else job.onInformational(head);
      return;
    }
    this.keepAlive = head.keepAlive;
    this.large = head.contentLength > SHARED_BYTES;
    this.state = HELD;
    if (this.bodiless || status === 204 || status === 304) {
      this.next = LENGTH;
      this.remaining = 0;
    } else if (head.chunked) {
      this.next = CHUNKED;
      this.decoder = new ChunkedDecoder(this.target.chunkLimits);
    } else if (head.contentLength >= 0) {
      this.next = LENGTH;
      this.remaining = head.contentLength;
    } else {
      this.next = UNTIL_CLOSE;
      this.keepAlive = false;
    }
    job.onHead(head);
  }

  private plainBody(bytes: Buffer, at: number, end: number, pooled: PooledBuffer | null): number {
    let length = end - at;
    if (this.state === LENGTH) {
      if (this.remaining < length) length = this.remaining;
      this.remaining -= length;
    }
    const job = this.job as Job;
    if (this.state === LENGTH && this.remaining === 0 && length <= SMALL && job.onLast?.(bytes, at, at + length)) {
      this.complete(null, at + length < end);
      return at + length;
    }
    if (pooled !== null) pooled.references++;
    if (!job.onBody(bytes.subarray(at, at + length), pooled === null ? null : pooled.release)) this.pause();
    if (this.state === LENGTH && this.remaining === 0) this.complete(null, at + length < end);
    return at + length;
  }

  private chunkedBody(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): number {
    const decoder = this.decoder as ChunkedDecoder;
    decoder.at = from;
    while (this.state === CHUNKED) {
      const found = decoder.step(bytes, end);
      if (found === CHUNK_DATA) {
        if (pooled !== null) pooled.references++;
        const data = bytes.subarray(decoder.dataStart, decoder.dataEnd);
        if (!(this.job as Job).onBody(data, pooled === null ? null : pooled.release)) this.pause();
      } else if (found === CHUNK_MORE) return end;
      else if (found === CHUNK_END) {
        this.complete(decoder.trailers, decoder.at < end);
        return decoder.at;
      } else {
        this.fail();
        return end;
      }
    }
    return end;
  }

  /** The response is here to its end. `excess`: and more than that, so that the connection can't be used again. */
  private complete(trailers: string[] | null, excess = false): void {
    const job = this.job as Job;
    this.job = null;
    this.decoder = null;
    this.bulk = this.large && this.wire.mayExpect;
    this.served++;
    this.answered = false;
    this.paused = false;
    this.wire.resume();
    if (this.keepAlive && this.requestDone && !excess && !this.ended && !this.spent) this.keeper.free(this);
    else {
      this.state = IDLE;
      this.wire.destroy();
    }
    job.onComplete(trailers);
  }

  private get spent(): boolean {
    const { maxRequestsPerConnection, wheel } = this.target;
    if (this.served >= maxRequestsPerConnection) return true;
    return this.expiresAtMs !== Number.POSITIVE_INFINITY && wheel.now() >= this.expiresAtMs;
  }

  private fail(): void {
    const { job } = this;
    this.job = null;
    this.state = CLOSED;
    this.wire.destroy();
    job?.onFailure('protocol');
  }

  private tunnelBytes(bytes: Buffer, from: number, end: number, pooled: PooledBuffer | null): void {
    if (pooled !== null) pooled.references++;
    const peer = this.peer as TunnelEnd;
    if (!peer.write(bytes.subarray(from, end), pooled === null ? null : pooled.release)) this.wire.pause();
  }
}

const NOTHING = (): void => {};

/** How much of a response head and of a chunked body's framing is taken. */
export interface ConnectionLimits {
  readonly headLimits: HeadLimits;
  readonly chunkLimits: ChunkLimits;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  headLimits: { ...DEFAULT_HEAD_LIMITS, headerBytes: 64 * 1024 },
  chunkLimits: DEFAULT_CHUNK_LIMITS,
};
