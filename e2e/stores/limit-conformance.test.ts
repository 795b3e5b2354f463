/** The conformance suite of stores of limits, on a real Redis. */
import { afterAll } from 'vitest';
import { describeStore } from '../../dataplane/limit/conformance.fixture.ts';
import { RedisLimitStore } from '../../dataplane/store/limits/store.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';

describeWith(await startRedisProcess(), 'stores of limits', (server) => {
  const redis = new Redis({ url: server.url, counter: () => ({ value: 0 }) });
  afterAll(() => redis.close());
  const store = new RedisLimitStore({ redis, timeoutMs: 5_000, now: () => performance.now(), workers: () => 3 });
  describeStore('limits in Redis, asked for each request', () => store);
});
