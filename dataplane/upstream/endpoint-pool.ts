/** The connections of one worker to one endpoint: reused last in, first out, bounded, with a bounded queue behind them. */
import type { LookupFunction } from 'node:net';
import type { ChunkLimits } from '../codec/chunked.ts';
import type { HeadLimits } from '../codec/fields.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { ReadMode } from '../io/wire.ts';
import { endpointName } from '../snapshot/backend/view.ts';
import type { BackendResource, Endpoint } from '../snapshot/resources.ts';
import type { Candidate, Tally } from './balance/balancer.ts';
import type { LatencyMeter } from './balance/latency-meter.ts';
import { type ConnectionLimits, DEFAULT_CONNECTION_LIMITS, UpstreamConnection } from './connection.ts';
import type { Job } from './job.ts';
import { createLookups, type Lookups } from './lookup.ts';
import { type Attempt, type AttemptFailure, BAD, type Gate, GOOD, type Watcher } from './watcher.ts';

export interface PoolDependencies {
  readonly wheel: TimerWheel;
  /** Default `onread`. */
  readonly readMode?: ReadMode;
  readonly limits?: ConnectionLimits;
  /** Default: as the system does. */
  readonly lookups?: Lookups;
}

/** What `request` did: a connection was given or is being made; the job waits in the queue; both are full; the endpoint is gone. */
export type RequestOutcome = 'started' | 'queued' | 'overflow' | 'gone';

const SYSTEM = createLookups(null);

export class EndpointPool implements Candidate {
  readonly address: string;
  readonly port: number;
  /** `address:port`, an IPv6 address in brackets. */
  readonly name: string;
  endpoint: Endpoint;
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
  private maxConnections = 0;
  private maxPending = 0;
  private readonly idle: UpstreamConnection[] = [];
  private open = 0;
  private readonly dialing: UpstreamConnection[] = [];
  private queue: Job[] = [];
  private draining = false;

  constructor(endpoint: Endpoint, backend: BackendResource, deps: PoolDependencies) {
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
    this.configure(backend);
  }

  /** Whether its name may lead to the data plane's own machine. */
  allowLocal(allowed: boolean): void {
    this.lookup = allowed ? this.lookups.any : this.lookups.remote;
  }

  configure(backend: BackendResource): void {
    this.connectTimeoutMs = backend.connectTimeoutMs;
    this.idleTimeoutMs = backend.pool.idleTimeoutMs;
    this.maxConnections = backend.pool.maxConnections;
    this.maxPending = backend.pool.maxPending;
  }

  /** Sets or takes away one reason. */
  block(reason: number, on: boolean): void {
    const next = on ? this.blocked | reason : this.blocked & ~reason;
    if (next === this.blocked) return;
    this.blocked = next;
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

  /** Has left the backend. */
  get left(): boolean {
    return this.draining;
  }

  get connections(): number {
    return this.open;
  }

  get pending(): number {
    return this.queue.length;
  }

  /** Finds a connection for `job`: `job.onReady` follows at once or later, or `job.onFailure`. `fresh`: not one that has served. */
  request(job: Job, fresh: boolean): RequestOutcome {
    if (this.draining) return 'gone';
    if (!fresh) {
      for (let connection = this.idle.pop(); connection !== undefined; connection = this.idle.pop()) {
        if (connection.usable) {
          job.onReady(connection);
          return 'started';
        }
      }
    }
    if (this.open < this.maxConnections) {
      this.connect(job);
      return 'started';
    }
    if (this.queue.length >= this.maxPending) return 'overflow';
    this.queue.push(job);
    return 'queued';
  }

  /** The job no longer waits: it hears nothing more. A connection that is being made for it is for whoever comes next. */
  withdraw(job: Job): void {
    const at = this.queue.indexOf(job);
    if (at >= 0) this.queue.splice(at, 1);
    else for (const connection of this.dialing) if (connection.desert(job)) return;
  }

  /** From a connection: it is made, or won't be. */
  dialed(connection: UpstreamConnection): void {
    this.dialing.splice(this.dialing.indexOf(connection), 1);
  }

  /** From a connection: its exchange is complete and it can serve the next. */
  free(connection: UpstreamConnection): void {
    connection.rest();
    const job = this.queue.shift();
    if (job !== undefined) {
      job.onReady(connection);
      return;
    }
    if (this.draining) connection.close();
    else this.idle.push(connection);
  }

  /** From a connection: it is gone. */
  closed(connection: UpstreamConnection): void {
    this.open--;
    const at = this.idle.indexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
    if (this.open < this.maxConnections) {
      const job = this.queue.shift();
      if (job !== undefined) this.connect(job);
    }
  }

  /** Has left the backend or is blocked, and others are there: who waits for a connection is told so (`onGone`). */
  evict(): void {
    const jobs = this.queue.splice(0);
    for (const connection of this.dialing) {
      const job = connection.disown();
      if (job !== null) jobs.push(job);
    }
    for (const job of jobs) job.onGone();
  }

  /** Takes no further exchange; what is in flight or waits is finished. */
  drain(): void {
    this.draining = true;
    for (const connection of this.idle.splice(0)) connection.close();
  }

  private connect(job: Job): void {
    this.open++;
    this.dialing.push(new UpstreamConnection(this, job));
  }
}
