/**
 * What one request is sent over: a kept HTTP/1.1 connection (connection.ts), or a stream of an HTTP/2 one. Those that work for an exchange know
 * only this. Calls of the job (job.ts) come synchronously, on the worker's one thread.
 */
import type { Exchange, Release, TunnelEnd } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { Job } from './job.ts';
import type { ForwardOptions } from './seam.ts';

export interface Channel {
  /** The whole request was handed over. */
  readonly requestDone: boolean;
  /**
   * Begins the exchange: writes the request head. `hasBody`: `sendBody` and `sendEnd` follow; else the request is complete with
   * this. `expect`: the head asks for a 100 (Continue), and is sent at once.
   */
  send(job: Job, exchange: Exchange, options: ForwardOptions, hasBody: boolean, expect: boolean): void;
  /** A part of the request body; ownership as in BodySink.onData. False: no more until `job.onWritable`. */
  sendBody(chunk: Uint8Array, release: Release): boolean;
  /** The request body is complete. */
  sendEnd(trailers: Headers | null): void;
  /** The endpoint is behind with the request body. */
  readonly blocked: boolean;
  /** Bytes of the request that have not left yet. */
  readonly unsent: number;
  /** A number that moves whenever bytes of the request leave. */
  readonly progress: number;
  /** Calls `job.onDeadline` in `delayMs`; 0: not at all. */
  deadline(delayMs: number): void;
  /** The head was passed on: the body may come. */
  proceed(): void;
  /** The client can take more. */
  resume(): void;
  /** The client is behind, and the endpoint waits for it. */
  readonly waiting: boolean;
  /** After the head of an upgrade: raw bytes both ways. What the endpoint sends goes to `peer`; returned is the endpoint's own end. */
  openTunnel(peer: TunnelEnd): TunnelEnd;
  /** Another job goes on with what it is in the middle of. */
  handTo(job: Job): void;
  /** The exchange no longer wants it: broken off, or closed. */
  abandon(): void;
  /** From a job that no longer needs it, before `send`: for whoever comes next. */
  giveBack(): void;
}
