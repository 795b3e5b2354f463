/** Sessions of logins in a real Redis, which is killed and brought back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { sessionStoreTests } from '../../dataplane/store/sessions/conformance.ts';
import { RedisSessions } from '../../dataplane/store/sessions/redis-sessions.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess } from '../components/redis.ts';

const clients: Redis[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

function connect(url: string, timeoutMs = 5_000): RedisSessions {
  const redis = new Redis({ url, counter: () => ({ value: 0 }), limits: { restMs: 100 } });
  clients.push(redis);
  return new RedisSessions(redis, timeoutMs);
}

describeWith(await startRedisProcess(), 'sessions in Redis', (server) => {
  sessionStoreTests(async () => [connect(server.url), connect(server.url)]);

  test('while Redis is away every question is an error within its time-out, and when it is back all goes on', async () => {
    const sessions = connect(server.url, 500);
    await sessions.set('a', 'x', 60_000);
    await server.kill();
    for (let i = 0; i < 5; i++) await expect(sessions.get('a')).rejects.toThrow(/Redis/);
    await expect(sessions.claim('a', 1_000)).rejects.toThrow(/Redis/);
    await server.restart();
    for (;;) {
      const back = await sessions.set('b', 'y', 60_000).then(
        () => true,
        () => false,
      );
      if (back) break;
      await sleep(20);
    }
    expect(await sessions.get('b')).toBe('y');
  });
});
