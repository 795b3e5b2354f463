/** Limits in the memory of this data plane, shared by its workers. Never fails, never waits. */

import type { Counter } from '../telemetry/stage-counters.ts';
import { Concurrency } from './concurrency.ts';
import { FixedWindow } from './fixed-window.ts';
import { type LimitMemory, limitClock } from './memory.ts';
import { SlidingWindow } from './sliding-window.ts';
import type { Limiter, LimiterOptions, LimitStore } from './store.ts';
import type { LimitSurroundings } from './surroundings.ts';
import { LimitTable } from './table.ts';
import { TokenBucket } from './token-bucket.ts';

export interface MemoryStoreOptions {
  readonly memory: LimitMemory;
  /** From 0. */
  readonly worker: number;
  /** ms above 0, the same for all workers; absent: `limitClock`. */
  readonly now?: () => number;
  /** Of keys that still owed. */
  readonly evictions?: Counter;
}

export function createMemoryStore({ memory, worker, now, evictions }: MemoryStoreOptions): LimitStore {
  const { seed, epochMs, workers } = memory;
  const table = new LimitTable(memory.table, worker, evictions);
  const around: LimitSurroundings = {
    table,
    now: now ?? limitClock(memory),
    epochMs,
    share: new Int32Array(memory.share),
    worker,
    workers,
  };
  return {
    open(options: LimiterOptions): Limiter {
      switch (options.algorithm) {
        case 'tokenBucket':
          return new TokenBucket(options, around, seed);
        case 'slidingWindow':
          return new SlidingWindow(options, around, seed);
        case 'fixedWindow':
          return new FixedWindow(options, around, seed);
        case 'concurrency':
          return new Concurrency(options, around, seed);
      }
    },
  };
}
