/**
 * One HTTP/2 connection to an endpoint (RFC 9113): how it comes up and ends, whose streams it has, and whether the other side is still there. What
 * holds for a client's connection too is http2/connection.ts. Ours instead of node:http2, which costs several times the rest of a request.
 */
import * as h2 from '../../codec/http2/frames.ts';
import { type ConnectionBounds, FramedConnection } from '../../http2/connection.ts';
import { Output } from '../../http2/output.ts';
import { STREAM_WINDOW } from '../../http2/stream.ts';
import type { PooledBuffer } from '../../io/buffers.ts';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import { Wire } from '../../io/wire.ts';
import type { ProxiedClient } from '../dial/proxy-header.ts';
import { STALL_MS } from '../earlier-dial.ts';
import type { Job } from '../job.ts';
import type { Target } from '../transport.ts';
import { BROKEN, LOST, StreamChannel } from './stream.ts';

/** Of all responses together; read at once, whatever single streams wait for. */
const SESSION_WINDOW = 4 * 1024 * 1024;
/** Bytes of one header block as it is sent, and CONTINUATION frames of it (CVE-2024-27316). */
const BLOCK_BYTES = 128 * 1024;
const MAX_CONTINUATIONS = 32;
/** ms of silence after which it is asked whether the other side is still there, and how long it has to say so. */
const PING_AFTER_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
/** ms until it is asked again in the same silence: gRPC servers take more than one in five minutes for an attack. */
const PING_AGAIN_MS = 300_000;
/** Ids are used up with this one; the session is replaced before. */
const MAX_ID = 2 ** 31 - 2 ** 16;

const DIALING = 0;
const UP = 1;
/** No further streams: the other side said so (GOAWAY), or it is closing. */
const LEAVING = 2;
const CLOSED = 3;

export interface SessionOwner {
  /** A stream has ended, or the session can take streams now. */
  onRoom(session: Session): void;
  /** It takes no further streams. */
  onLeaving(session: Session): void;
  onClosed(session: Session): void;
  /** How many streams at a time the endpoint allows. */
  onLimit(streams: number): void;
}

function endpointBounds({ headLimits }: Target): ConnectionBounds {
  return {
    windowBytes: SESSION_WINDOW,
    takenAtOnce: true,
    blockBytes: BLOCK_BYTES,
    continuations: MAX_CONTINUATIONS,
    listBytes: headLimits.headerBytes,
    fields: headLimits.headerCount + 1,
  };
}

export class Session extends FramedConnection<StreamChannel> implements TimerOwner {
  readonly target: Target;
  /** Responses that it brought. */
  served = 0;
  /** RFC 8441: the endpoint takes extended CONNECT. */
  extendedConnect = false;
  readonly secure: boolean;
  /** Whose requests alone it carries (PROXY protocol); null: everybody's. */
  readonly proxied: ProxiedClient | null;
  readonly wire: Wire;
  readonly out: Output;
  private readonly owner: SessionOwner;
  private state = DIALING;
  /** Places that are taken: streams, and channels that have not sent yet. */
  private taken = 0;
  /** Streams at a time that the endpoint allows. */
  private allowed: number;
  private said = Number.POSITIVE_INFINITY;
  /** It has refused a stream: it is asked again when one has ended. */
  private full = false;
  /** Who waits for the session to be up. */
  private jobs: Job[] = [];
  private timedOut = false;
  private readonly dialedAtMs: number;
  private readonly expiresAtMs: number;
  private readonly timer: Timer = new Timer(this);
  private heardAtMs = 0;
  private idleSinceMs = 0;
  private pingedAtMs = 0;
  private pinging = false;

  /** `allowed`: what is thought of the endpoint until it says so itself. */
  constructor(target: Target, owner: SessionOwner, allowed: number, proxied: ProxiedClient | null) {
    super(endpointBounds(target), target.wheel);
    const { dialer } = target;
    this.lastStream = -1;
    this.target = target;
    this.owner = owner;
    this.allowed = allowed;
    this.dialedAtMs = target.wheel.now();
    this.expiresAtMs = this.dialedAtMs + target.ageLimitMs;
    this.secure = dialer.secure;
    this.proxied = proxied;
    const ready = (): void => this.wire.turn(() => this.begin());
    this.wire = new Wire(this, target.readMode, (onread) => dialer.dial(target, { onread, client: proxied, ready }));
    this.wire.socket.setNoDelay(true);
    this.out = new Output(this.wire);
    if (target.connectTimeoutMs > 0) target.wheel.arm(this.timer, target.connectTimeoutMs);
  }

  /** Takes streams, now or when it is up. */
  get open(): boolean {
    return this.state <= UP;
  }

  /** Streams that it can take. */
  get room(): number {
    if (this.state > UP || this.full) return 0;
    return Math.min(this.allowed, this.target.maxStreams) - this.taken - this.jobs.length;
  }

  get idle(): boolean {
    return this.taken === 0 && this.jobs.length === 0;
  }

  /** There is room: `job` gets a stream, once the session is up. */
  take(job: Job): void {
    if (this.state === DIALING) this.jobs.push(job);
    else {
      this.taken++;
      job.onReady(new StreamChannel(this));
    }
  }

  /** While it dials: `job` no longer waits, and `heir` does. False: it never did. */
  desert(job: Job, heir: Job | null): boolean {
    const at = this.jobs.indexOf(job);
    if (at < 0) return false;
    if (heir === null) this.jobs.splice(at, 1);
    else this.jobs[at] = heir;
    return true;
  }

  /** See Transport. */
  get stalled(): boolean {
    return (
      this.state === DIALING && this.wire.socket.connecting && this.target.wheel.now() - this.dialedAtMs >= STALL_MS
    );
  }

  /** Takes no more after the streams so far. */
  private get spent(): boolean {
    const { maxRequestsPerConnection, wheel } = this.target;
    return (this.lastStream + 1) / 2 >= maxRequestsPerConnection || wheel.now() >= this.expiresAtMs;
  }

  /** Who waits for it; nobody does any more. */
  disown(): Job[] {
    return this.jobs.splice(0);
  }

  /** No further streams; closed when the last one has ended. */
  leave(): void {
    if (this.state > UP) return;
    const dialing = this.state === DIALING;
    this.state = LEAVING;
    if (dialing) this.wire.destroy();
    else if (this.taken === 0) this.shut(h2.NO_ERROR);
    else this.watch();
    this.owner.onLeaving(this);
  }

  // For streams.

  /** The id of a stream that begins now; its HEADERS follow at once. */
  enroll(stream: StreamChannel): number {
    this.lastStream += 2;
    stream.sendWindow = this.initialWindow;
    this.streams.set(this.lastStream, stream);
    return this.lastStream;
  }

  /** The place is free again. `id` 0: it never sent anything. */
  left(id: number): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) this.forget(stream);
    this.taken--;
    this.full = false;
    if (this.state === CLOSED) return;
    if (this.taken === 0) {
      this.idleSinceMs = this.target.wheel.now();
      if (this.state === LEAVING) {
        this.shut(h2.NO_ERROR);
        return;
      }
      this.watch();
    }
    if (this.state !== UP) return;
    if (this.lastStream >= MAX_ID || this.spent) this.leave();
    else this.owner.onRoom(this);
  }

  /** From a stream that was refused: the endpoint has as many as it takes, whatever it said. */
  refused(): void {
    this.full = this.taken > 0;
  }

  // The socket.

  onBytes(bytes: Buffer, length: number, pooled: PooledBuffer | null): void {
    this.heardAtMs = this.target.wheel.now();
    this.frames.read(bytes, 0, length, pooled);
  }

  onEnd(): void {
    this.wire.destroy();
  }

  onDrain(): void {
    this.out.replies = 0;
    this.pump();
  }

  onClose(): void {
    if (this.state === CLOSED) return;
    const dialing = this.state === DIALING;
    const jobs = this.jobs.splice(0);
    this.end(LOST);
    if (dialing) for (const job of jobs) job.onFailure(this.timedOut ? 'connect-timeout' : 'connect');
  }

  onTimeout(): void {
    const { wheel, idleTimeoutMs } = this.target;
    const nowMs = wheel.now();
    if (this.state === DIALING) {
      this.timedOut = true;
      this.wire.destroy();
    } else if (this.pinging && nowMs - this.pingedAtMs >= PING_TIMEOUT_MS && this.heardAtMs <= this.pingedAtMs) {
      this.wire.destroy();
    } else if (this.state === UP && this.idle && idleTimeoutMs > 0 && nowMs - this.idleSinceMs >= idleTimeoutMs) {
      this.leave();
    } else {
      if (this.pinging && this.heardAtMs > this.pingedAtMs) this.pinging = false;
      if (!this.pinging && nowMs >= this.pingAtMs) this.ping(nowMs);
      this.watch();
    }
  }

  private begin(): void {
    this.out.preface();
    const settings = h2.settingsPayload([
      [h2.SETTINGS_ENABLE_PUSH, 0],
      [h2.SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW],
      [h2.SETTINGS_MAX_HEADER_LIST_SIZE, this.target.headLimits.headerBytes],
    ]);
    this.out.frame(h2.SETTINGS, 0, 0, settings);
    this.out.windowUpdate(0, SESSION_WINDOW - h2.DEFAULT_WINDOW);
  }

  /** Over; `reason` is what its streams hear. */
  private end(reason: number): void {
    this.state = CLOSED;
    this.frames.stop();
    this.target.wheel.drop(this.timer);
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.waiting.clear();
    this.owner.onClosed(this);
    for (const stream of streams) stream.gone(reason);
  }

  /** GOAWAY, then FIN. */
  private shut(error: number): void {
    // No stream of the other side was looked at, as there is none.
    this.out.goaway(0, error);
    this.out.end();
    this.wire.finishAndClose();
    // The other side may leave its end open for ever.
    this.frames.stop();
    this.end(error === h2.NO_ERROR ? LOST : BROKEN);
  }

  /** Ends the connection for an error of it (section 5.4.1). */
  fail(error: number): void {
    if (this.state === CLOSED) return;
    if (this.state === DIALING) this.wire.destroy();
    else this.shut(error);
  }

  // Frames.

  protected mayHaveHeaders(id: number): boolean {
    return this.known(id);
  }

  protected streamError(id: number, error: number): void {
    this.streams.get(id)?.malform(error);
  }

  protected onStrayData(id: number): void {
    this.streamError(id, h2.STREAM_CLOSED);
  }

  protected onReset(id: number, error: number): void {
    this.streams.get(id)?.gone(error);
  }

  protected onFields(id: number, ends: boolean): void {
    const { hpack } = this;
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (hpack.malformed || hpack.tooLarge) stream.malform(h2.PROTOCOL_ERROR);
    else stream.onFields(hpack.fields, ends);
  }

  /** A block that stays without its end is ended by `ping`: no answer may come in between. */
  protected onBlockHeld(): void {}

  protected onBlockCame(): void {}

  protected onGoaway(lastStream: number): void {
    this.leave();
    if (this.state === CLOSED) return;
    // What lies above was not looked at (section 6.8).
    for (const [id, stream] of [...this.streams]) if (id > lastStream) stream.gone(h2.REFUSED_STREAM);
  }

  protected onSetting(id: number, value: number): number {
    switch (id) {
      case h2.SETTINGS_MAX_CONCURRENT_STREAMS:
        this.said = value;
        break;
      case h2.SETTINGS_ENABLE_PUSH:
        // Of a server (section 6.5.2).
        return value === 0 ? -1 : h2.PROTOCOL_ERROR;
      case h2.SETTINGS_ENABLE_CONNECT_PROTOCOL:
        this.extendedConnect = value === 1;
    }
    return -1;
  }

  protected onSettled(first: boolean): void {
    this.allowed = this.said;
    this.owner.onLimit(this.allowed);
    if (first) this.onUp();
    else if (this.state === UP) this.owner.onRoom(this);
  }

  private onUp(): void {
    this.state = UP;
    this.idleSinceMs = this.heardAtMs;
    this.watch();
    for (const job of this.jobs.splice(0)) {
      if (this.room > 0) this.take(job);
      else if (this.allowed === 0) job.onFailure('connect');
      else job.onCrowded();
    }
    if (this.allowed === 0) this.leave();
    else this.owner.onRoom(this);
  }

  // Liveness.

  private get pingAtMs(): number {
    if (this.pinging) return this.pingedAtMs + PING_TIMEOUT_MS;
    const silentSinceMs = this.heardAtMs;
    return this.pingedAtMs >= silentSinceMs && this.pingedAtMs > 0
      ? this.pingedAtMs + PING_AGAIN_MS
      : silentSinceMs + PING_AFTER_MS;
  }

  /** Arms the timer for the first thing that can be due. */
  private watch(): void {
    const { wheel, idleTimeoutMs } = this.target;
    let atMs = this.pingAtMs;
    if (this.idle && idleTimeoutMs > 0) atMs = Math.min(atMs, this.idleSinceMs + idleTimeoutMs);
    wheel.arm(this.timer, Math.max(1, atMs - wheel.now()));
  }

  private ping(nowMs: number): void {
    this.pinging = true;
    this.pingedAtMs = nowMs;
    this.out.frame(h2.PING, 0, 0, PING_BYTES);
  }

  protected onPong(): void {
    if (!this.pinging) return;
    this.pinging = false;
    // As if it had been silent all the time, so that it is not asked again soon.
    this.heardAtMs = this.pingedAtMs;
    this.watch();
  }
}

const PING_BYTES = Buffer.from('tidegate', 'latin1');
