/** What a worker holds of one limit for one caller, and how large the next batch is. Pure. */
import type { LimiterOptions } from '../../limit/store.ts';

/** Most of a limit that all workers of all data planes may hold together. */
export const PART = 0.2;
/** How long a batch should last. */
const TARGET_MS = 100;

export interface Lease {
  readonly caller: string;
  /** In Redis. */
  readonly key: string;
  /** Whole units to spend; of no worth from `goodUntilMs` on. */
  units: number;
  goodUntilMs: number;
  /** The window they were taken from; -1: a bucket. */
  window: number;
  /** How many to hold. */
  batch: number;
  fetchedAtMs: number;
  usedAtMs: number;
  /** Until then `emptyFor` units or more are not to be had. */
  emptyUntilMs: number;
  emptyFor: number;
  /** When Redis said they would be. */
  retryAtMs: number;
  /** In Redis besides, and when all is there again, as last heard. */
  left: number;
  resetAtMs: number;
  /** The question under way; false: it brought no answer. */
  asking: Promise<boolean> | null;
  askedUntilMs: number;
  /** Units that requests wait for. */
  waiting: number;
}

export function newLease(caller: string, key: string): Lease {
  return {
    caller,
    key,
    units: 0,
    goodUntilMs: 0,
    window: -1,
    batch: 1,
    fetchedAtMs: Number.NEGATIVE_INFINITY,
    usedAtMs: 0,
    emptyUntilMs: 0,
    emptyFor: 1,
    retryAtMs: 0,
    left: 0,
    resetAtMs: 0,
    asking: null,
    askedUntilMs: 0,
    waiting: 0,
  };
}

/** Units one of so many workers may hold, at least 1. */
export function mostABatch({ algorithm, limit, burst }: LimiterOptions, workers: number): number {
  return Math.max(1, Math.floor((PART * (algorithm === 'tokenBucket' ? burst : limit)) / workers));
}

/** The next batch after one that was sent for at `sentAtMs` and brought `given` of `want`: twice as much while they last less than the target. */
export function batchAfter(lease: Lease, given: number, want: number, sentAtMs: number, most: number): number {
  if (given < want) return Math.max(1, Math.min(given, most));
  const lastedMs = sentAtMs - lease.fetchedAtMs;
  const fitting = lastedMs < TARGET_MS ? lease.batch * 2 : lastedMs > 2 * TARGET_MS ? lease.batch >> 1 : lease.batch;
  return Math.max(1, Math.min(most, fitting));
}
