/** The rate-limit stage over a real Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { memoryExchange } from '../../dataplane/pipeline/memory-downstream.ts';
import { rateLimitSection } from '../../dataplane/snapshot/sections/rate-limit.ts';
import { contextFixture } from '../../dataplane/stages/context.fixture.ts';
import { createRateLimit } from '../../dataplane/stages/rate-limit/stage.ts';
import { RedisLimitStore } from '../../dataplane/store/limits/store.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';

const shared = (more: Record<string, unknown>) => ({
  name: 'a',
  algorithm: 'fixedWindow',
  limit: 10,
  windowMs: 2_678_400_000,
  scope: 'global',
  store: 'redis',
  ...more,
});

describeWith(await startRedisProcess(), 'rate limits of a policy, in Redis', (server) => {
  const redis = new Redis({ url: server.url, counter: () => ({ value: 0 }), limits: { restMs: 100 } });
  afterAll(() => redis.close());
  const until = async (state: Redis['state']) => {
    while (redis.state !== state) await sleep(5);
  };
  let asked = 0;
  const run = redis.run.bind(redis);
  redis.run = (...args) => {
    asked++;
    return run(...args);
  };
  let serial = 0;

  function scene(...limits: Record<string, unknown>[]) {
    const { services } = contextFixture();
    const store = new RedisLimitStore({ redis, timeoutMs: 2_000, now: () => performance.now(), workers: () => 3 });
    const context = contextFixture({
      policy: `policy/test/p${process.pid}-${Date.now()}-${serial++}/rateLimit`,
      services: { ...services, redis, limits: { ...services.limits, redis: store } },
    });
    const stage = createRateLimit(rateLimitSection.parse({ section: 'rateLimit', limits }), context);
    const ask = async () => {
      const exchange = memoryExchange('GET /', { clientAddress: '192.0.2.1' });
      const answer = (await stage.onRequest?.(exchange)) ?? undefined;
      exchange.responseHeaders = answer?.headers ?? exchange.headers;
      void stage.onResponse?.(exchange);
      return { status: answer?.status ?? 200, told: exchange.responseHeaders.get('ratelimit') };
    };
    return { context, stage, ask };
  }

  test('several limits are one question, and one that refuses takes nothing from the others', async () => {
    const { ask } = scene(
      shared({ limit: 5 }),
      { name: 'own', algorithm: 'fixedWindow', limit: 9, windowMs: 2_678_400_000 },
      shared({ name: 'b', limit: 2 }),
      shared({ name: 'c', limit: 1, dryRun: true }),
    );
    await ask();
    asked = 0;
    expect(await ask()).toMatchObject({ status: 200, told: expect.stringMatching(/^"own";r=7;.*"a";r=3;.*"b";r=0;/) });
    expect(asked).toBe(1);
    for (let i = 0; i < 5; i++) expect(await ask()).toMatchObject({ status: 429 });
    expect((await ask()).told).toMatch(/^"own";r=6;.*"a";r=3;.*"b";r=0;/);
  });

  test.each([
    ['allow', 200, 'does not limit'],
    ['deny', 503, 'refuses with 503'],
    ['local', 429, 'limits each data plane to its share'],
  ] as const)('onStoreFailure %s: what happens, and what the status says', async (onStoreFailure, status, says) => {
    for (const mode of ['exact', 'leased']) {
      const { context, stage, ask } = scene(shared({ limit: 1, onStoreFailure, mode }));
      await server.kill();
      await until('down');
      expect((await ask()).status).toBe(onStoreFailure === 'deny' ? 503 : 200);
      expect((await ask()).status).toBe(status);
      expect(context.said.trouble).toMatch(new RegExp(`^Redis at ${redis.address} fails: .*; meanwhile "a" ${says}$`));
      await server.restart();
      await until('up');
      expect(context.said.trouble).toBeNull();
      expect((await ask()).status).toBe(200);
      expect((await ask()).status).toBe(429);
      stage.close?.();
    }
  });
});
