/**
 * What the rate-limit stage asks of a store, whatever keeps the state: this pod's memory, or Redis. A limiter is one limit with one quota
 * (an override is a limiter of its own); a stage opens it when it is made and asks it on the hot path.
 */
export type Algorithm = 'tokenBucket' | 'slidingWindow' | 'fixedWindow' | 'concurrency';

export interface LimiterOptions {
  /**
   * Under this the state is kept: policy, limit, algorithm and window, so that another edit of the policy resets nothing. Keys of different
   * scopes never meet.
   */
  readonly scope: string;
  readonly algorithm: Algorithm;
  /** Units a window; requests in flight for `concurrency`. At least 1. */
  readonly limit: number;
  /** ms; 0 for `concurrency`. */
  readonly windowMs: number;
  /** Capacity of a token bucket in units; `limit` for the others. */
  readonly burst: number;
  /** True: a limit of all data planes together. A store that only knows this one gives its share (share.ts). */
  readonly global: boolean;
  /** For stores behind a network: ask each time, or for batches. */
  readonly mode: 'exact' | 'leased';
}

/** Written by a limiter, read by the stage at once; reused by its owner. */
export interface Decision {
  admitted: boolean;
  /** The store could not tell; the other fields mean nothing then. */
  failed: boolean;
  /** Whole units left after this request, at least 0. */
  remaining: number;
  /** ms until the whole quota is there again if nothing more comes; 0 where nobody knows (concurrency). */
  resetMs: number;
  /** ms until the same request may be admitted; 0 where it was. */
  retryMs: number;
}

export function newDecision(): Decision {
  return { admitted: false, failed: false, remaining: 0, resetMs: 0, retryMs: 0 };
}

/** `key` is what requests are told apart by, empty for one that is for all; `cost` a whole number of units. */
export interface Limiter {
  /**
   * Admits and takes `cost`, or refuses and takes nothing; cost 0 is admitted while anything is left. The answer is in `decision` when it
   * returns, or when the promise resolves: a promise only where something really waits, and it never rejects (`failed`).
   */
  take(key: string, cost: number, decision: Decision): undefined | Promise<void>;
  /** Gives back what an admitted `take` took: another limit refused the request, or (concurrency) it is over. Never throws. */
  giveBack(key: string, cost: number): void;
  /** Takes without asking: what a response turned out to cost. The balance may go below zero. Never throws. */
  charge(key: string, cost: number): void;
  /** Gives up what it holds; state that others may go on with stays. */
  close?(): void;
}

/** One of several limits that are asked for at once. */
export interface AskedLimit {
  /** Of mode `exact`. */
  readonly limiter: Limiter;
  readonly key: string;
  readonly cost: number;
  readonly decision: Decision;
  /** False: a dry run, which keeps no other limit from taking. */
  readonly firm: boolean;
}

export interface LimitStore {
  open(options: LimiterOptions): Limiter;
  /**
   * For stores behind a network: limits of one policy in one question. As `take` of each, but where one that is firm refuses, nothing is taken
   * from any.
   */
  takeTogether?(asked: readonly AskedLimit[]): undefined | Promise<void>;
}
