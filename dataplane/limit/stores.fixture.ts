/** Stores for tests and benchmarks that are about something else: a small table of one worker, and no Redis. */
import { createLimitMemory } from './memory.ts';
import { createMemoryStore } from './memory-store.ts';
import type { LimitStores } from './stores.ts';

export function limitStoresFixture(): LimitStores {
  return {
    memory: createMemoryStore({ memory: createLimitMemory({ keys: 1024, workers: 1 }), worker: 0 }),
    redis: null,
  };
}
