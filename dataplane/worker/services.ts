/** Makes what stages may use from outside, once a worker. */
import { createMemoryStore } from '../limit/memory-store.ts';
import { unpackShare } from '../limit/share.ts';
import { Outbound } from '../outbound/outbound.ts';
import { PasswordChecker } from '../passwords/checker.ts';
import { createOverload } from '../shedding/overload.ts';
import type { Services } from '../stages/services.ts';
import { openCredentials } from '../store/credentials/open-credentials.ts';
import { RedisLimitStore } from '../store/limits/store.ts';
import { Redis } from '../store/redis/redis.ts';
import { AskedSessions } from '../store/sessions/asked-sessions.ts';
import { RedisSessions } from '../store/sessions/redis-sessions.ts';
import { SharedNonces } from '../store/shared-nonces.ts';
import type { StageCounters } from '../telemetry/stage-counters.ts';
import type { WorkerSetup } from './messages.ts';

export interface WorkerServices {
  readonly services: Services;
  /** Resolves when what stages have opened so far was reached, or turned out not to be; never rejects. */
  ready(): Promise<void>;
  /** Ends connections. */
  close(): Promise<void>;
}

export function createServices(setup: WorkerSetup, counters: StageCounters): WorkerServices {
  const http = new Outbound();
  const passwords = new PasswordChecker();
  const counter = counters.counter.bind(counters);
  const credentials = setup.credentials === null ? null : openCredentials(setup.credentials, counter);
  const redis = setup.redisUrl === null ? null : new Redis({ url: setup.redisUrl, counter });
  const now = () => performance.now();
  const limits = {
    memory: createMemoryStore({
      memory: setup.limits,
      worker: setup.index,
      evictions: counter('limit_evictions', {}),
    }),
    redis:
      redis === null
        ? null
        : new RedisLimitStore({ redis, timeoutMs: setup.redisTimeoutMs, now, workers: () => workersOf(setup) }),
  };
  const sessions = {
    memory: AskedSessions.over(setup.sessions),
    redis: redis === null ? null : new RedisSessions(redis, setup.redisTimeoutMs),
  };
  const nonces = new SharedNonces(setup.nonces);
  const overload = createOverload();
  return {
    services: { credentials, http, limits, nonces, overload, passwords, redis, sessions },
    async ready() {
      await redis?.attempted();
    },
    async close() {
      await Promise.all([http.close(), passwords.close(), redis?.close(), credentials?.close()]);
    },
  };
}

/** Of all data planes, if each has as many as this one. */
function workersOf({ limits }: WorkerSetup): number {
  return unpackShare(new Int32Array(limits.share)[0] as number).of * limits.workers;
}
