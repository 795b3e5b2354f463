/** The stores of a worker. */
import type { LimitStore } from './store.ts';

export interface LimitStores {
  readonly memory: LimitStore;
  /** Null where no Redis is configured. */
  readonly redis: LimitStore | null;
}
