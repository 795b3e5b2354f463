/** Makes what stages may use from outside, once a worker. */
import { createMemoryStore } from '../limit/memory-store.ts';
import { Outbound } from '../outbound/outbound.ts';
import { PasswordChecker } from '../passwords/checker.ts';
import type { Services } from '../stages/services.ts';
import { Redis } from '../store/redis/redis.ts';
import type { StageCounters } from '../telemetry/stage-counters.ts';
import type { WorkerSetup } from './messages.ts';

export interface WorkerServices {
  readonly services: Services;
  /** Ends connections. */
  close(): Promise<void>;
}

export function createServices(setup: WorkerSetup, counters: StageCounters): WorkerServices {
  const http = new Outbound();
  const passwords = new PasswordChecker();
  const counter = counters.counter.bind(counters);
  const redis = setup.redisUrl === null ? null : new Redis({ url: setup.redisUrl, counter });
  const limits = { memory: createMemoryStore(setup.limits, setup.index), redis: null };
  return {
    services: { http, limits, passwords, redis },
    async close() {
      await Promise.all([http.close(), passwords.close(), redis?.close()]);
    },
  };
}
