/** How the requests to one endpoint get their channels: over kept HTTP/1.1 connections, or as streams of HTTP/2 sessions. */
import type { ChunkLimits } from '../codec/chunked.ts';
import type { HeadLimits } from '../codec/fields.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { ReadMode } from '../io/wire.ts';
import type { Dialer, DialTarget } from './dial/dialer.ts';
import type { Job } from './job.ts';

/** What `request` did: a connection was given or is being made; the job waits in the queue; both are full; the endpoint is gone. */
export type RequestOutcome = 'started' | 'queued' | 'overflow' | 'gone';

export interface Transport {
  /** Open, and being made. */
  readonly connections: number;
  /** Jobs in the queue. */
  readonly pending: number;
  /** Finds a channel for `job`: `job.onReady` follows at once or later, or `job.onFailure`. `fresh`: over a connection that has not served. */
  request(job: Job, fresh: boolean): RequestOutcome;
  /**
   * The job no longer waits: it hears nothing more. A connection that is being made for it is for `heir`, else for whoever comes next.
   * False: there is none that the heir could wait for.
   */
  withdraw(job: Job, heir?: Job): boolean;
  /** There is no connection to be had at once, and the one that is being made has no TCP after STALL_MS (earlier-dial.ts). */
  readonly stalled: boolean;
  /** All who wait for a channel; they hear nothing more from here. */
  release(): Job[];
  /** Closes what is idle. */
  closeIdle(): void;
  /** Begins no further exchange but those of jobs that wait; what is idle closes, and the rest after its exchange. */
  drain(): void;
}

/** Where the connections of a transport lead, and what holds for them. May change while they live. */
export interface Target extends DialTarget {
  /** Of another one there is another transport. */
  readonly dialer: Dialer;
  readonly wheel: TimerWheel;
  readonly readMode: ReadMode;
  readonly headLimits: HeadLimits;
  readonly chunkLimits: ChunkLimits;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Infinity: no limit. */
  readonly maxRequestsPerConnection: number;
  /** For a new connection, its share of chance included; Infinity: no limit. */
  readonly ageLimitMs: number;
  readonly maxConnections: number;
  readonly maxPending: number;
  /** Of one connection; HTTP/2 only. */
  readonly maxStreams: number;
}
