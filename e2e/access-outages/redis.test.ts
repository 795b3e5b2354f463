/** Redis stops, is killed, is silent: each limit does what its onStoreFailure says, nobody waits longer than the time-out, and it recovers. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';
import { HARMS, OUTAGE_TIMEOUT_MS, runOutage, statuses } from './outage.ts';
import { protectedRoute, type Scene, startScene } from './scene.ts';

/** More than the default of 50: what else this machine does must not look like an outage. */
const TIMEOUT_MS = 500;
/** Each Route is asked 25 times a second. */
const limited = (name: string, more: string, amounts = 'limit: 2, burst: 4') =>
  protectedRoute(
    name,
    `rateLimit:
  limits:
    - { name: ${name}, ${amounts}, window: 1s, scope: global, store: redis, ${more} }`,
  );
const names = ['allow', 'deny', 'local', 'leased'];

describeWith(await startRedisProcess(), 'rate limits while Redis is away', (redis) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene({
      workers: 2,
      yaml: [
        limited('allow', 'onStoreFailure: allow'),
        limited('deny', 'onStoreFailure: deny'),
        limited('local', 'onStoreFailure: local'),
        // Enough that batches are more than single units.
        limited('leased', 'mode: leased, onStoreFailure: local', 'limit: 5, burst: 100'),
      ].join('---\n'),
      env: { TIDEGATE_REDIS_URL: redis.url, TIDEGATE_REDIS_TIMEOUT_MS: String(TIMEOUT_MS) },
    });
  });
  afterAll(() => scene?.stop());

  test.each(HARMS)('%s', { timeout: OUTAGE_TIMEOUT_MS }, async (harm) => {
    const timeouts = () => scene.metric('tidegate_redis_commands_total', { outcome: 'timeout' });
    const timedOut = await timeouts();
    const { before, harmed, after, all } = await runOutage({
      scene,
      component: redis,
      harm,
      asked: names.map((name) => ({ name, path: `/${name}` })),
      timeoutMs: TIMEOUT_MS,
      policy: 'deny',
      says: /Redis at redis:\/\/127\.0\.0\.1:\d+\/0 fails: .*; meanwhile "deny" refuses with 503/,
    });

    for (const name of ['allow', 'deny', 'local']) {
      expect(statuses(before(name)), name).toEqual([200, 429]);
      expect(statuses(after(name)), name).toEqual([200, 429]);
    }
    expect([200, 429]).toEqual(expect.arrayContaining(statuses(all.filter(({ name }) => name === 'leased'))));
    expect(statuses(harmed('allow'))).toEqual([200]);
    expect(statuses(harmed('deny'))).toEqual([503]);
    expect(new Set(harmed('deny').map(({ code }) => code))).toEqual(new Set(['rate-limit-unavailable']));
    // One data plane: its share is the whole.
    expect(statuses(harmed('local'))).toEqual([200, 429]);

    // Few found out for all: of two workers five each, what was under way then, and the probes.
    expect((await timeouts()) - timedOut).toBeLessThan(60);
    expect(await scene.metric('tidegate_redis_up')).toBe(1);
  });
});
