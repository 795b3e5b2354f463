/** One endpoint as a worker holds it: who looks on at the attempts at it, what blocks it, and the transport that its requests go over. */
import { isIP, type LookupFunction } from 'node:net';
import type { ChunkLimits } from '../codec/chunked.ts';
import type { HeadLimits } from '../codec/fields.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { ReadMode } from '../io/wire.ts';
import type { BackendProtocol } from '../snapshot/backend/transport.ts';
import { endpointName } from '../snapshot/backend/view.ts';
import type { BackendResource, Endpoint } from '../snapshot/resources.ts';
import type { Candidate, Tally } from './balance/balancer.ts';
import type { LatencyMeter } from './balance/latency-meter.ts';
import { type ConnectionLimits, DEFAULT_CONNECTION_LIMITS } from './connection.ts';
import type { Dialer } from './dial/dialer.ts';
import { Sessions } from './http2/sessions.ts';
import type { Job } from './job.ts';
import { KeptConnections } from './kept-connections.ts';
import { createLookups, type Lookups } from './lookup.ts';
import type { RequestOutcome, Target, Transport } from './transport.ts';
import { type Attempt, type AttemptFailure, BAD, type Gate, GOOD, OPEN, type Watcher } from './watcher.ts';

export interface PoolDependencies {
  readonly wheel: TimerWheel;
  /** Default `onread`. */
  readonly readMode?: ReadMode;
  readonly limits?: ConnectionLimits;
  /** Default: as the system does. */
  readonly lookups?: Lookups;
}

const SYSTEM = createLookups(null);

/** Streams at a time over one HTTP/2 connection, where the backend says nothing else. */
const MAX_STREAMS = 100;

export class EndpointPool implements Candidate, Target {
  readonly address: string;
  readonly port: number;
  /** `address:port`, an IPv6 address in brackets. */
  readonly name: string;
  endpoint: Endpoint;
  dialer: Dialer;
  session: Buffer | null = null;
  weight: number;
  /** Attempts on their way to or at this endpoint, queued ones included. */
  active = 0;
  /** Counts the attempts at all that it is chosen among, this one's included. */
  tally: Tally = { active: 0 };
  /** One of the watchers; only where the balancer asks for it. */
  latency: LatencyMeter | null = null;
  /** Bits: why it gets no requests (watcher.ts). 0: it gets some. */
  blocked = 0;
  /** In the order they are asked. Each is among the watchers too. */
  gates: readonly Gate[] = [];
  watchers: readonly Watcher[] = [];
  /** `blocked` has changed. */
  onBlocked: () => void = () => {};
  private readonly lookups: Lookups;
  readonly wheel: TimerWheel;
  readonly readMode: ReadMode;
  readonly headLimits: HeadLimits;
  readonly chunkLimits: ChunkLimits;
  /** For an address that is a name. */
  lookup: LookupFunction;
  connectTimeoutMs = 0;
  idleTimeoutMs = 0;
  /** In the queue; 0: for ever. */
  pendingTimeoutMs = 0;
  maxRequestsPerConnection = Number.POSITIVE_INFINITY;
  private maxAgeMs = Number.POSITIVE_INFINITY;
  maxConnections = 0;
  maxPending = 0;
  maxStreams = MAX_STREAMS;
  /** What it speaks; null only while it is made. */
  protocol: BackendProtocol | null = null;
  private transport!: Transport;
  /** Transports of former settings, as long as they have connections. */
  private former: Transport[] = [];
  private draining = false;

  constructor(endpoint: Endpoint, backend: BackendResource, dialer: Dialer, deps: PoolDependencies) {
    this.address = endpoint.address;
    this.port = endpoint.port;
    this.name = endpointName(endpoint);
    this.endpoint = endpoint;
    this.weight = endpoint.weight;
    this.lookups = deps.lookups ?? SYSTEM;
    this.lookup = this.lookups.remote;
    this.wheel = deps.wheel;
    this.readMode = deps.readMode ?? 'onread';
    const limits = deps.limits ?? DEFAULT_CONNECTION_LIMITS;
    this.headLimits = limits.headLimits;
    this.chunkLimits = limits.chunkLimits;
    this.dialer = dialer;
    this.configure(backend, dialer);
  }

  /** Whether its name may lead to the data plane's own machine. */
  allowLocal(allowed: boolean): void {
    this.lookup = allowed ? this.lookups.any : this.lookups.remote;
  }

  configure(backend: BackendResource, dialer: Dialer): void {
    this.connectTimeoutMs = backend.connectTimeoutMs;
    this.idleTimeoutMs = backend.pool.idleTimeoutMs;
    this.maxConnections = backend.pool.maxConnections;
    this.maxPending = backend.pool.maxPending;
    this.pendingTimeoutMs = backend.pool.pendingTimeoutMs ?? backend.connectTimeoutMs;
    this.maxRequestsPerConnection = backend.pool.maxRequestsPerConnection ?? Number.POSITIVE_INFINITY;
    this.maxAgeMs = backend.pool.maxConnectionAgeMs ?? Number.POSITIVE_INFINITY;
    this.maxStreams = backend.pool.maxConcurrentStreams ?? MAX_STREAMS;
    if (backend.protocol !== this.protocol || dialer !== this.dialer) this.speak(backend.protocol, dialer);
  }

  /** Sets or takes away one reason. */
  block(reason: number, on: boolean): void {
    const next = on ? this.blocked | reason : this.blocked & ~reason;
    if (next === this.blocked) return;
    this.blocked = next;
    // What it keeps is as suspect as itself: once it is back, a new connection is to show that it serves.
    if (on && reason !== OPEN) this.transport.closeIdle();
    this.onBlocked();
  }

  watch(watcher: Watcher): void {
    this.watchers = [...this.watchers, watcher];
  }

  unwatch(watcher: Watcher): void {
    this.watchers = this.watchers.filter((one) => one !== watcher);
  }

  /** An attempt begins; `leave` follows. */
  enter(): void {
    if (this.latency !== null && this.active === 0) this.latency.began();
    this.active++;
    this.tally.active++;
  }

  /** See Watcher. */
  answered(attempt: Attempt, status: number, latencyMs: number): void {
    for (const watcher of this.watchers) watcher.answered?.(status, latencyMs, attempt);
    attempt.verdict = status < 500 ? GOOD : BAD;
  }

  failed(attempt: Attempt, failure: AttemptFailure): void {
    for (const watcher of this.watchers) watcher.failed?.(failure, attempt);
    attempt.verdict = BAD;
  }

  leave(attempt: Attempt): void {
    this.active--;
    this.tally.active--;
    for (const watcher of this.watchers) watcher.left?.(attempt);
  }

  get hostName(): string {
    return this.endpoint.hostName ?? (isIP(this.address) === 0 ? this.address : '');
  }

  get ageLimitMs(): number {
    return this.maxAgeMs * (1 - Math.random() / 10);
  }

  /** Has left the backend. */
  get left(): boolean {
    return this.draining;
  }

  get connections(): number {
    return this.former.reduce((sum, { connections }) => sum + connections, this.transport.connections);
  }

  get pending(): number {
    return this.transport.pending;
  }

  /** Finds a channel for `job`: `job.onReady` follows at once or later, or `job.onFailure`. `fresh`: over a connection that has not served. */
  request(job: Job, fresh: boolean): RequestOutcome {
    return this.draining ? 'gone' : this.transport.request(job, fresh);
  }

  /** See Transport. */
  withdraw(job: Job, heir?: Job): boolean {
    return this.transport.withdraw(job, heir);
  }

  /** See Transport. */
  get stalled(): boolean {
    return this.transport.stalled;
  }

  /** Has left the backend or is blocked, and others are there: who waits for a connection is told so (`onGone`). */
  evict(): void {
    for (const job of this.transport.release()) job.onGone();
  }

  /** Takes no further exchange; what is in flight or waits is finished. */
  drain(): void {
    this.draining = true;
    this.transport.drain();
  }

  /** Exchanges under way are finished as they began; who waits is served over the new transport. */
  private speak(protocol: BackendProtocol, dialer: Dialer): void {
    const before = this.protocol === null ? null : this.transport;
    this.protocol = protocol;
    this.dialer = dialer;
    this.session = null;
    this.transport = protocol === 'http2' ? new Sessions(this) : new KeptConnections(this);
    if (before === null) return;
    const jobs = before.release();
    before.drain();
    this.former = [...this.former, before].filter(({ connections }) => connections > 0);
    for (const job of jobs) if (this.transport.request(job, false) === 'overflow') job.onGone();
  }
}
