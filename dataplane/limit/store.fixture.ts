/** Stores over a table of any size, with a clock that stands still until it is moved. */
import { tableBytes } from './layout.ts';
import type { LimitMemory } from './memory.ts';
import { createMemoryStore } from './memory-store.ts';
import { packShare, type Share } from './share.ts';
import { type Decision, type LimiterOptions, type LimitStore, newDecision } from './store.ts';

export interface StoreFixture {
  readonly memory: LimitMemory;
  readonly store: LimitStore;
  /** ms; starts at 1000. */
  now: number;
  readonly evictions: { value: number };
  share(share: Share): void;
  /** Another worker of the same data plane. */
  worker(index: number): LimitStore;
}

/** `sets` a power of two, each of 16 keys. */
export function storeFixture({ sets = 64, workers = 2, epochMs = 0 } = {}): StoreFixture {
  const memory: LimitMemory = {
    table: new SharedArrayBuffer(tableBytes(sets)),
    share: new SharedArrayBuffer(4),
    seed: [0x2545f491, 0x4f6cdd1d],
    workers,
    originMs: 0,
    epochMs,
  };
  const fixture = {
    memory,
    now: 1_000,
    evictions: { value: 0 },
    share(share: Share) {
      new Int32Array(memory.share)[0] = packShare(share);
    },
    worker: (index: number) =>
      createMemoryStore({ memory, worker: index, now: () => fixture.now, evictions: fixture.evictions }),
  };
  fixture.share({ place: 0, of: 1 });
  return Object.assign(fixture, { store: fixture.worker(0) });
}

export function limiterOptions(more: Partial<LimiterOptions> = {}): LimiterOptions {
  const { limit = 10, algorithm = 'tokenBucket' } = more;
  const windowMs = algorithm === 'concurrency' ? 0 : 1_000;
  return { scope: 'test', algorithm, limit, windowMs, burst: limit, global: false, mode: 'exact', ...more };
}

/** What a limiter of memory decides: a new object each time. */
export function decide(limiter: ReturnType<LimitStore['open']>, key = '', cost = 1): Decision {
  const decision = newDecision();
  limiter.take(key, cost, decision);
  return decision;
}
