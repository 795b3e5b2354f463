/** Session stores for tests and benchmarks: memory of their own, no Redis. */
import type { SessionStore } from './session-store.ts';
import { SessionTable } from './session-table.ts';

export function sessionsFixture(): { readonly memory: SessionStore; readonly redis: null } {
  const table = new SessionTable(() => performance.now());
  return {
    memory: {
      get: async (id) => table.get(id),
      set: async (id, value, ttlMs) => table.set(id, value, ttlMs),
      delete: async (id) => table.delete(id),
      claim: async (id, ttlMs) => table.claim(id, ttlMs),
    },
    redis: null,
  };
}
