/** What looks on at the attempts at an endpoint, and may refuse them: latency, outlier detection, breakers, limits. */
import type { ForwardCode } from './seam.ts';

/** Why an attempt had no whole response. `timeout`: none within the time given. `refused`: the endpoint has done nothing with it. */
export type AttemptFailure = 'connect' | 'connect-timeout' | 'refused' | 'timeout' | 'reset' | 'protocol';

/** What came of an attempt so far: nothing yet; answered below 500, and not broken off since; a 5xx or a failure. */
export type Verdict = typeof UNDECIDED | typeof GOOD | typeof BAD;
export const UNDECIDED = 0;
export const GOOD = 1;
export const BAD = 2;

/** One attempt at an endpoint, from its choice on. */
export interface Attempt {
  /** When its endpoint was chosen, in the wheel's time. */
  readonly chosenAtMs: number;
  /** The pool sets it, after the watchers were told. */
  verdict: Verdict;
}

/**
 * Told of each attempt: of `answered` or `failed` or neither (the client left, another attempt was faster), then of `left`, once.
 * `failed` may follow `answered`: the response broke off. All calls are synchronous and on the hot path.
 */
export interface Watcher {
  /** The response head is there. `latencyMs` from the choice of the endpoint, so that connecting counts. */
  answered?(status: number, latencyMs: number, attempt: Attempt): void;
  failed?(failure: AttemptFailure, attempt: Attempt): void;
  /** Nothing of the attempt is under way any more. */
  left?(attempt: Attempt): void;
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
