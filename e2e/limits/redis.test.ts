/** One global limit in a real Redis over three real data planes of two workers each: counted in one place, however uneven the load is. */
import http from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { protectedRoute, type Scene, startScene } from '../access-outages/scene.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedis } from '../components/redis.ts';

const LIMIT = 300;
const DATA_PLANES = 3;
/** A fifth of the limit (store/limits/lease.ts), for all workers together. */
const HELD = LIMIT / 5;
const AT_ONCE = 6;

/** A window so long that none ends while this runs, and keys of their own for each test. */
const limited = (mode: string) =>
  protectedRoute(
    mode,
    `rateLimit:
  limits:
    - name: all
      algorithm: fixedWindow
      limit: ${LIMIT}
      window: 744h
      scope: global
      store: redis
      mode: ${mode}
      key: [{ by: header, name: x-key }]`,
  );

describeWith(await startRedis(), 'one limit over three data planes', (redis) => {
  let scene: Scene;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 * AT_ONCE });
  beforeAll(async () => {
    scene = await startScene({
      yaml: ['exact', 'leased'].map(limited).join('---\n'),
      env: { TIDEGATE_REDIS_URL: redis.url, TIDEGATE_REDIS_TIMEOUT_MS: '2000' },
      dataPlanes: DATA_PLANES,
      workers: 2,
    });
    await scene.untilWell();
  });
  afterAll(async () => {
    agent.destroy();
    await scene?.stop();
  });

  function status(url: string, key: string): Promise<number> {
    return new Promise((resolve, reject) => {
      http
        .get(url, { agent, headers: { 'x-key': key } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        })
        .on('error', reject);
    });
  }

  /** How many of so many requests of a key to each of these addresses are admitted. */
  async function admitted(urls: readonly string[], key: string, requests: number): Promise<number> {
    let sum = 0;
    const client = async (url: string) => {
      for (let i = 0; i < requests / AT_ONCE; i++) {
        const answer = await status(url, key);
        if (answer === 200) sum++;
        else expect(answer).toBe(429);
      }
    };
    await Promise.all(urls.flatMap((url) => Array.from({ length: AT_ONCE }, () => client(url))));
    return sum;
  }
  const at = (mode: string) => scene.urls.map((url) => `${url}/${mode}`);

  test('exact: all data planes together admit the limit, not one more', async () => {
    expect(await admitted(at('exact'), 'exact even', LIMIT)).toBe(LIMIT);
    expect(await admitted(at('exact'), 'exact even', 12)).toBe(0);
  });

  test('exact: one data plane that gets all the load admits all of it', async () => {
    expect(await admitted(at('exact').slice(0, 1), 'exact one', LIMIT + 12)).toBe(LIMIT);
    expect(await admitted(at('exact').slice(1), 'exact one', 12)).toBe(0);
  });

  test('leased: never more, and what lies unused is within the bound and goes back', async () => {
    let sum = await admitted(at('leased'), 'leased even', LIMIT);
    expect(sum).toBeLessThanOrEqual(LIMIT);
    expect(sum).toBeGreaterThanOrEqual(LIMIT - HELD);
    while (sum < LIMIT) sum += await admitted(at('leased').slice(0, 1), 'leased even', AT_ONCE);
    expect(sum).toBe(LIMIT);
    expect(await admitted(at('leased'), 'leased even', 12)).toBe(0);
  });
});
