/** Three data planes under one limit in a real Redis: the documented bounds, in real time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import {
  type Algorithm,
  type Decision,
  type Limiter,
  type LimiterOptions,
  newDecision,
} from '../../dataplane/limit/store.ts';
import { mostABatch } from '../../dataplane/store/limits/lease.ts';
import { RedisLimitStore } from '../../dataplane/store/limits/store.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';

const RUN_MS = 1_500;
const TIMEOUT_MS = 5_000;
/** Of what no clock here can tell apart: when Redis looked is only known to lie between asking and hearing. */
const TOLERANCE = 0.01;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let serial = 0;
function options(more: Partial<LimiterOptions>): LimiterOptions {
  const { limit = 10, algorithm = 'tokenBucket' } = more;
  const scope = `policy/test/${process.pid}-${Date.now()} ${serial++}`;
  return { scope, algorithm, limit, windowMs: 1_000, burst: limit, global: true, mode: 'exact', ...more };
}

function store(url: string, timeoutMs = TIMEOUT_MS) {
  const redis = new Redis({ url, counter: () => ({ value: 0 }), limits: { restMs: 100 } });
  cleanups.push(() => redis.close());
  return { redis, store: new RedisLimitStore({ redis, timeoutMs, now: () => performance.now(), workers: () => 3 }) };
}

function dataPlanes(url: string, limit: LimiterOptions, count = 3): Limiter[] {
  return Array.from({ length: count }, () => {
    const limiter = store(url).store.open(limit);
    cleanups.push(() => limiter.close?.());
    return limiter;
  });
}

async function decide(limiter: Limiter, caller = '', cost = 1): Promise<Decision> {
  const decision = newDecision();
  await limiter.take(caller, cost, decision);
  return decision;
}

interface Admitted {
  readonly askedMs: number;
  readonly heardMs: number;
}

/** Every data plane asks with several requests at once, without a pause but for a turn of the event loop. */
async function storm(limiters: readonly Limiter[], forMs: number, pauseMs = 0): Promise<Admitted[]> {
  const admitted: Admitted[] = [];
  const until = performance.now() + forMs;
  const client = async (limiter: Limiter) => {
    while (performance.now() < until) {
      const askedMs = performance.now();
      const decision = await decide(limiter);
      expect(decision.failed).toBe(false);
      if (decision.admitted) admitted.push({ askedMs, heardMs: performance.now() });
      await sleep(pauseMs);
    }
  };
  await Promise.all(limiters.flatMap((limiter) => [client(limiter), client(limiter), client(limiter)]));
  return admitted.sort((a, b) => a.heardMs - b.heardMs);
}

function mostIn(admitted: readonly Admitted[], allowed: (spanMs: number) => number): void {
  for (let i = 0; i < admitted.length; i++) {
    let from = Number.POSITIVE_INFINITY;
    for (let j = i; j < admitted.length; j++) {
      from = Math.min(from, (admitted[j] as Admitted).askedMs);
      const spanMs = (admitted[j] as Admitted).heardMs - from;
      expect(j - i + 1).toBeLessThanOrEqual(allowed(spanMs) + TOLERANCE);
    }
  }
}

describeWith(await startRedisProcess(), 'limits in Redis', (server) => {
  test.each(['exact', 'leased'] as const)('three data planes, one bucket, %s: never above the bound', async (mode) => {
    const limit = options({ limit: 200, burst: 100, mode });
    const limiters = dataPlanes(server.url, limit);
    const admitted = await storm(limiters, RUN_MS);
    const held = mode === 'leased' ? 3 * mostABatch(limit, 3) : 0;
    mostIn(admitted, (spanMs) => limit.burst + held + (limit.limit * spanMs) / 1000);
    // Nor far below it: all that was to be had, but for what lies unused.
    expect(admitted.length).toBeGreaterThanOrEqual(limit.burst - held);
  });

  test.each(['exact', 'leased'] as const)(
    'three data planes, one fixed window, %s: the limit, not one more',
    async (mode) => {
      // An hour, and not at its end.
      await notNearTheEndOf(3_600_000, 10_000);
      const limit = options({ algorithm: 'fixedWindow', limit: 120, windowMs: 3_600_000, mode });
      const limiters = dataPlanes(server.url, limit);
      const admitted = (await storm(limiters, 500)).length;
      expect(admitted).toBeLessThanOrEqual(120);
      if (mode === 'exact') expect(admitted).toBe(120);
      else expect(admitted).toBeGreaterThanOrEqual(120 - 3 * mostABatch(limit, 3));
      // What lies unused with one goes back, and another has it.
      for (const limiter of limiters) limiter.close?.();
      const rest = dataPlanes(server.url, limit, 1);
      await sleep(100);
      expect(admitted + (await storm(rest, 300)).length).toBe(120);
    },
  );

  test.each(['exact', 'leased'] as const)('three data planes, sliding windows, %s', async (mode) => {
    const windowMs = 400;
    const limit = options({ algorithm: 'slidingWindow', limit: 60, windowMs, mode });
    const admitted = await storm(dataPlanes(server.url, limit), RUN_MS);
    const held = mode === 'leased' ? 3 * mostABatch(limit, 3) : 0;
    mostIn(admitted, (spanMs) =>
      spanMs <= windowMs ? limit.limit * (1 + spanMs / windowMs) + held : Number.POSITIVE_INFINITY,
    );
    expect(admitted.length).toBeGreaterThanOrEqual(60 - held);
  });

  test('a lease spares Redis: far fewer questions than requests', async () => {
    const limit = options({ limit: 100_000, mode: 'leased' });
    const { store: leasing, redis } = store(server.url);
    const limiter = leasing.open(limit);
    let asked = 0;
    const run = redis.run.bind(redis);
    redis.run = (...args) => {
      asked++;
      return run(...args);
    };
    for (let i = 0; i < 5_000; i++) {
      expect((await decide(limiter)).admitted).toBe(true);
      if (i % 500 === 0) await sleep(0);
    }
    expect(asked).toBeLessThan(500);
    limiter.close?.();
  });

  test('many at once on a cold lease are all admitted, as long as there is something', async () => {
    const [limiter] = dataPlanes(server.url, options({ limit: 1_000, mode: 'leased' }), 1) as [Limiter];
    const decisions = await Promise.all(Array.from({ length: 600 }, () => decide(limiter)));
    expect(decisions.filter(({ admitted }) => admitted)).toHaveLength(600);
  });

  test('a batch that is not used goes back by itself', async () => {
    await notNearTheEndOf(3_600_000, 10_000);
    const limit = options({ algorithm: 'fixedWindow', limit: 400, windowMs: 3_600_000, mode: 'leased' });
    const [idle, busy] = dataPlanes(server.url, limit, 2) as [Limiter, Limiter];
    for (let i = 0; i < 50; i++) expect((await decide(idle)).admitted).toBe(true);
    let more = 0;
    while (more < 350) {
      if ((await decide(busy)).admitted) more++;
      else await sleep(20);
    }
    expect((await decide(busy)).admitted).toBe(false);
  });

  test('limits of one request are taken together or not at all; a dry run keeps nobody from it', async () => {
    const { store: one } = store(server.url);
    const [wide, narrow, dry] = [options({ limit: 10 }), options({ limit: 2 }), options({ limit: 1 })];
    const limiters = [wide, narrow, dry].map((limit) => one.open(limit));
    const take = async () => {
      const asked = limiters.map((limiter, i) => {
        return { limiter, key: `caller ${i}`, cost: 1, decision: newDecision(), firm: i < 2 };
      });
      await one.takeTogether(asked);
      return asked.map(({ decision: { admitted, remaining } }) => [admitted, remaining]);
    };
    expect(await take()).toEqual([
      [true, 9],
      [true, 1],
      [true, 0],
    ]);
    expect(await take()).toEqual([
      [true, 8],
      [true, 0],
      [false, 0],
    ]);
    expect(await take()).toEqual([
      [true, 8],
      [false, 0],
      [false, 0],
    ]);
    limiters[1]?.giveBack('caller 1', 1);
    await sleep(50);
    expect((await take())[0]).toEqual([true, 7]);
  });

  test('keys are bounded, name nobody, and expire with the window', async () => {
    const { store: one, redis } = store(server.url);
    await redis.command('flushall', [], TIMEOUT_MS);
    for (const algorithm of ['tokenBucket', 'fixedWindow', 'slidingWindow'] as const) {
      for (const mode of ['exact', 'leased'] as const) {
        const limiter = one.open(options({ algorithm, windowMs: 60_000, mode }));
        await decide(limiter, `someone@example.com ${'x'.repeat(5_000)}`);
        await decide(limiter, '192.0.2.1');
      }
    }
    const keys = (await redis.command('keys', ['*'], TIMEOUT_MS)) as string[];
    expect(keys).toHaveLength(12);
    for (const key of keys) {
      expect(key).toMatch(/^tidegate:limit:\{[-\w]{22}\}:[-\w]{22}$/);
      const leftMs = (await redis.command('pttl', [key], TIMEOUT_MS)) as number;
      expect(leftMs).toBeGreaterThan(0);
      expect(leftMs).toBeLessThanOrEqual(120_001);
    }
  });

  test('a charge leads below zero; cost 0 asks only whether anything is left', async () => {
    for (const mode of ['exact', 'leased'] as const) {
      const [limiter] = dataPlanes(server.url, options({ limit: 10, windowMs: 60_000, mode }), 1) as [Limiter];
      expect(await decide(limiter, 'a', 0)).toMatchObject({ admitted: true });
      limiter.charge('a', 15);
      await sleep(50);
      expect(await decide(limiter, 'a', 0)).toMatchObject({ admitted: false, remaining: 0, failed: false });
      expect(await decide(limiter, 'b', 11)).toMatchObject({ admitted: false, failed: false });
      expect(await decide(limiter, 'b', 10)).toMatchObject({ admitted: true });
    }
  });

  test.each(['exact', 'leased'] as const)(
    '%s: while Redis is silent or gone, a decision fails in time, and later again does not',
    async (mode) => {
      const { store: one, redis } = store(server.url, 50);
      const limiter = one.open(options({ limit: 1_000, mode }));
      while ((await decide(limiter)).failed) await sleep(10);
      const failures = async () => {
        let failed = 0;
        for (let i = 0; i < 100; i++) {
          const startedAt = performance.now();
          if ((await decide(limiter, `caller ${i}`)).failed) failed++;
          expect(performance.now() - startedAt).toBeLessThan(50 + 1_000);
        }
        return failed;
      };
      await server.pause();
      expect(await failures()).toBe(100);
      server.resume();
      while (redis.state !== 'up') await sleep(5);
      while ((await decide(limiter)).failed) await sleep(10);
      await server.kill();
      expect(await failures()).toBe(100);
      await server.restart();
      while (redis.state !== 'up') await sleep(5);
      while ((await decide(limiter)).failed) await sleep(10);
      expect((await decide(limiter)).admitted).toBe(true);
    },
  );
});

/** Waits where a window of this length is about to end. */
async function notNearTheEndOf(windowMs: number, marginMs: number): Promise<void> {
  const leftMs = windowMs - (Date.now() % windowMs);
  if (leftMs < marginMs) await sleep(leftMs + 10);
}

const algorithms: readonly Algorithm[] = ['concurrency'];
test.each(algorithms)('%s is not for Redis', (algorithm) => {
  const { store: one } = store('redis://127.0.0.1:1');
  expect(() => one.open(options({ algorithm }))).toThrow('not counted in Redis');
});
