/** One HTTP/2 connection to an endpoint (RFC 9113), on node:http2. Nothing outside this folder knows of it. */
import http2 from 'node:http2';
import type net from 'node:net';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import type { ProxiedClient } from '../dial/proxy-header.ts';
import type { Job } from '../job.ts';
import type { Target } from '../transport.ts';
import { StreamChannel } from './stream.ts';

/** Bytes of one response that may be under way, or wait for a client that is behind. */
const STREAM_WINDOW = 512 * 1024;
/** Of all responses together; read at once, whatever single streams wait for. */
const SESSION_WINDOW = 4 * 1024 * 1024;
/** MiB that node:http2 may hold for one session. */
const SESSION_MEMORY = 128;
/** ms of silence after which it is asked whether the other side is still there, and how long it has to say so. */
const PING_AFTER_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
/** ms until it is asked again in the same silence: gRPC servers take more than one in five minutes for an attack. */
const PING_AGAIN_MS = 300_000;
/** A session has 2^30 stream ids; it is replaced before they are used up. */
const MAX_STREAMS = 2 ** 30 - 2 ** 16;

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

export class Session implements TimerOwner {
  readonly target: Target;
  /** Responses that it brought. */
  served = 0;
  extendedConnect = false;
  /** Streams above it were not looked at by the endpoint (GOAWAY). */
  lastStreamId = Number.POSITIVE_INFINITY;
  readonly secure: boolean;
  /** Whose requests alone it carries (PROXY protocol); null: everybody's. */
  readonly proxied: ProxiedClient | null;
  client!: http2.ClientHttp2Session;
  private readonly owner: SessionOwner;
  private readonly socket: net.Socket;
  private state = DIALING;
  private streams = 0;
  /** Streams begun so far. */
  private begun = 0;
  /** Streams at a time that the endpoint allows. */
  private allowed: number;
  /** Who waits for the session to be up. */
  private jobs: Job[] = [];
  private timedOut = false;
  private readonly timer: Timer = new Timer(this);
  private heardAtMs = 0;
  private idleSinceMs = 0;
  private pingedAtMs = 0;
  private pinging = false;

  /** `allowed`: what is thought of the endpoint until it says so itself. */
  constructor(target: Target, owner: SessionOwner, allowed: number, proxied: ProxiedClient | null) {
    const { dialer } = target;
    this.target = target;
    this.secure = dialer.secure;
    this.proxied = proxied;
    this.owner = owner;
    this.allowed = allowed;
    this.socket = dialer.dial(target, { client: proxied, ready: () => this.begin() }).socket;
    this.socket.setNoDelay(true);
    // HTTP/2 knows no half-closed connections.
    this.socket.allowHalfOpen = false;
    this.socket.on('error', () => {});
    this.socket.once('close', () => this.onClose());
    if (target.connectTimeoutMs > 0) target.wheel.arm(this.timer, target.connectTimeoutMs);
  }

  /** Takes streams, now or when it is up. */
  get open(): boolean {
    return this.state <= UP;
  }

  /** Streams that it can take. */
  get room(): number {
    if (this.state > UP) return 0;
    return Math.min(this.allowed, this.target.maxStreams) - this.streams - this.jobs.length;
  }

  get idle(): boolean {
    return this.streams === 0 && this.jobs.length === 0;
  }

  /** Broken off: what is on its way ends with it. */
  get lost(): boolean {
    return this.state === CLOSED || this.client.destroyed;
  }

  /** There is room: `job` gets a stream, once the session is up. */
  take(job: Job): void {
    if (this.state === DIALING) this.jobs.push(job);
    else {
      this.streams++;
      this.begun++;
      job.onReady(new StreamChannel(this));
    }
  }

  /** While it dials: `job` no longer waits. False: it never did. */
  desert(job: Job): boolean {
    const at = this.jobs.indexOf(job);
    if (at >= 0) this.jobs.splice(at, 1);
    return at >= 0;
  }

  /** Who waits for it; nobody does any more. */
  disown(): Job[] {
    return this.jobs.splice(0);
  }

  /** From a stream: something came. */
  heard(): void {
    this.heardAtMs = this.target.wheel.now();
  }

  /** From a stream: its place is free. */
  left(): void {
    this.streams--;
    if (this.state !== UP) return;
    if (this.streams === 0) this.rest();
    if (this.client.closed || this.begun >= MAX_STREAMS) this.leave();
    else this.owner.onRoom(this);
  }

  /** No further streams; closed when the last one has ended. */
  leave(): void {
    const dialing = this.state === DIALING;
    if (this.state > UP) return;
    this.state = LEAVING;
    if (dialing) this.socket.destroy();
    else {
      this.watch();
      this.client.close();
    }
    this.owner.onLeaving(this);
  }

  onTimeout(): void {
    const { wheel, idleTimeoutMs } = this.target;
    const nowMs = wheel.now();
    if (this.state === DIALING) {
      this.timedOut = true;
      this.socket.destroy();
    } else if (this.client.destroyed) {
      // Closed by us, and the other side does not close.
      this.socket.destroy();
    } else if (this.pinging && nowMs - this.pingedAtMs >= PING_TIMEOUT_MS && this.heardAtMs <= this.pingedAtMs) {
      this.client.destroy();
    } else if (this.state === UP && this.idle && idleTimeoutMs > 0 && nowMs - this.idleSinceMs >= idleTimeoutMs) {
      this.leave();
    } else {
      if (this.pinging && this.heardAtMs > this.pingedAtMs) this.pinging = false;
      if (!this.pinging && nowMs >= this.pingAtMs) this.ping(nowMs);
      this.watch();
    }
  }

  private begin(): void {
    const { target } = this;
    const { headerBytes, headerCount } = target.headLimits;
    this.client = http2.connect('http://endpoint', {
      createConnection: () => this.socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: headerBytes },
      maxHeaderListPairs: headerCount + 1,
      maxSessionMemory: SESSION_MEMORY,
      // A field that stands twice is passed on as it came.
      strictSingleValueFields: false,
    } as http2.ClientSessionOptions);
    this.client.on('error', () => {});
    this.client.once('connect', () => this.client.setLocalWindowSize(SESSION_WINDOW));
    this.client.once('close', () => this.onClose());
    this.client.on('remoteSettings', (settings) => this.onSettings(settings));
    this.client.on('goaway', (_code, lastStreamId) => {
      this.lastStreamId = lastStreamId;
      this.leave();
    });
  }

  private onSettings(settings: http2.Settings): void {
    const { wheel } = this.target;
    this.allowed = settings.maxConcurrentStreams ?? 2 ** 32 - 1;
    this.extendedConnect = settings.enableConnectProtocol === true;
    this.owner.onLimit(this.allowed);
    if (this.state !== DIALING) {
      if (this.state === UP && this.room > 0) this.owner.onRoom(this);
      return;
    }
    this.state = UP;
    this.heardAtMs = this.idleSinceMs = wheel.now();
    this.watch();
    const jobs = this.jobs.splice(0);
    for (const job of jobs) {
      if (this.room > 0) this.take(job);
      else if (this.allowed === 0) job.onFailure('connect');
      else job.onCrowded();
    }
    if (this.allowed === 0) this.leave();
    else this.owner.onRoom(this);
  }

  private onClose(): void {
    if (this.state === CLOSED) return;
    const dialing = this.state === DIALING;
    this.state = CLOSED;
    this.target.wheel.drop(this.timer);
    const jobs = this.jobs.splice(0);
    this.owner.onClosed(this);
    if (dialing) for (const job of jobs) job.onFailure(this.timedOut ? 'connect-timeout' : 'connect');
  }

  private rest(): void {
    this.idleSinceMs = this.target.wheel.now();
    this.watch();
  }

  private get pingAtMs(): number {
    if (this.pinging) return this.pingedAtMs + PING_TIMEOUT_MS;
    const silentSinceMs = this.heardAtMs;
    return this.pingedAtMs > silentSinceMs ? this.pingedAtMs + PING_AGAIN_MS : silentSinceMs + PING_AFTER_MS;
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
    const sent = this.client.destroyed || this.client.ping((error) => this.onPong(error));
    if (!sent) this.pinging = false;
  }

  private onPong(error: Error | null): void {
    if (error !== null) return;
    this.pinging = false;
    // Said after `pingedAtMs`, so that the next ping of this silence is a long one away.
    if (this.state < CLOSED) this.watch();
  }
}
