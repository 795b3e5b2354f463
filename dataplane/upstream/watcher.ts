/** What looks on at the attempts at an endpoint, and may refuse them: latency, outlier detection, breakers, limits. */
import type { ForwardCode } from './seam.ts';

/** Why an attempt had no whole response. `timeout`: none within the time given. */
export type AttemptFailure = 'connect' | 'connect-timeout' | 'timeout' | 'reset' | 'protocol';

/**
 * Told of each attempt: of `answered` or `failed` or neither (the client left, another attempt was faster), then of `left`, once.
 * `failed` may follow `answered`: the response broke off. All calls are synchronous and on the hot path.
 */
export interface Watcher {
  /** The response head is there. `latencyMs` from the choice of the endpoint, so that connecting counts. */
  answered?(status: number, latencyMs: number): void;
  failed?(failure: AttemptFailure): void;
  /** Nothing of the attempt is under way any more. */
  left?(): void;
  /** The endpoint, or the backend, is gone. */
  close?(): void;
}

/** Watches, and is asked before each attempt. */
export interface Gate extends Watcher {
  /** What a request is answered with where this one refuses it. */
  readonly code: ForwardCode;
  /** Seconds after which it is worth another try; 0: unknown. */
  readonly retryAfterS: number;
  /** True takes a place that `left` gives back. */
  admits(): boolean;
  /** Gives back the place of an `admits` after which no attempt began. */
  withdraw(): void;
}

/** Reasons an endpoint gets no requests (bits of `EndpointPool.blocked`). */
export const UNHEALTHY = 1;
export const EJECTED = 2;
export const OPEN = 4;
