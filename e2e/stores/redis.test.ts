/** The data plane's Redis client on a real Redis, which is paused, killed and brought back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Redis, type RedisLimits } from '../../dataplane/store/redis/redis.ts';
import { RedisError } from '../../dataplane/store/redis/redis-error.ts';
import { script } from '../../dataplane/store/redis/script.ts';
import { StageCounters } from '../../dataplane/telemetry/stage-counters.ts';
import { createAuthority, issueCertificate } from '../cluster/certificates.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedisProcess, startRedisWithTls } from '../components/redis.ts';

const INCREMENT = script("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/** Enough for a loaded machine; what is asserted is that nothing waits longer than told, not how fast it is. */
const SLACK_MS = 1_000;

const clients: Redis[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

function connect(url: string, limits: Partial<RedisLimits> = {}) {
  const counters = new StageCounters();
  const redis = new Redis({ url, counter: (name, labels) => counters.counter(name, labels), limits });
  clients.push(redis);
  const count = (outcome: string) => counters.counter('redis_commands', { outcome }).value;
  const troubles: (string | null)[] = [];
  redis.watch((trouble) => troubles.push(trouble));
  return { redis, count, troubles };
}

async function failure(asked: Promise<unknown>): Promise<RedisError> {
  const error = await asked.then(
    (answer) => answer,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RedisError);
  return error as RedisError;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

const folder = mkdtempSync(join(tmpdir(), 'tidegate-redis-tls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const authority = await createAuthority(folder, 'redis-ca');
const names = ['IP:127.0.0.1'];
const certificate = await issueCertificate(folder, authority, {
  name: 'redis',
  commonName: 'redis',
  alternativeNames: names,
});
const tls = { certFile: certificate.cert, keyFile: certificate.key, caFile: authority.cert };

describeWith(await startRedisWithTls(tls), 'the Redis client over TLS', (server) => {
  test('by an authority of its own; not without it, and not with a file that is not there', async () => {
    const { redis } = connect(`${server.url}?tlsCa=${authority.cert}`);
    expect(await redis.run(INCREMENT, ['tls'], [2], 5_000)).toBe(2);
    expect(redis.address).toBe(`${server.url}/0`);
    const stranger = connect(server.url, { reconnectBaseMs: 5 });
    expect((await failure(stranger.redis.run(INCREMENT, ['tls'], [1], 5_000))).message).toMatch(/certificate/);
    const lost = connect(`${server.url}?tlsCa=${folder}/nowhere`);
    expect((await failure(lost.redis.run(INCREMENT, ['tls'], [1], 5_000))).message).toContain("can't be used: ENOENT");
    expect([lost.redis.state, lost.troubles.at(-1)]).toEqual(['down', expect.stringContaining('ENOENT')]);
  });
});

describeWith(await startRedisProcess(), 'the Redis client', (server) => {
  test('a script is sent by its hash, and whole where Redis has forgotten it', async () => {
    const { redis, count } = connect(server.url);
    expect(redis.state).toBe('unused');
    expect(await redis.run(INCREMENT, ['a'], [2], 5_000)).toBe(2);
    expect(await redis.run(INCREMENT, ['a'], [2], 5_000)).toBe(4);
    await redis.command('script', ['flush'], 5_000);
    expect(await redis.run(INCREMENT, ['a'], [2], 5_000)).toBe(6);
    expect(redis.state).toBe('up');
    expect(count('refused')).toBe(2);
    await redis.close();
    await expect(redis.run(INCREMENT, ['a'], [2], 5_000)).rejects.toThrow(/./);
  });

  test('an error for an answer is one, and names no argument', async () => {
    const { redis } = connect(server.url);
    await redis.command('set', ['text', 'secret-value'], 5_000);
    const error = await failure(redis.run(INCREMENT, ['text'], ['secret-argument'], 5_000));
    expect(error.code).toBe('refused');
    expect(error.message).not.toContain('secret');
    expect(redis.state).toBe('up');
  });

  test('one that is silent costs a few requests their time-out, the rest nothing, and is used again by itself', async () => {
    const { redis, count, troubles } = connect(server.url, { restMs: 100 });
    await redis.run(INCREMENT, ['b'], [1], 5_000);
    await server.pause();
    const startedAt = performance.now();
    const first = await Promise.all(Array.from({ length: 8 }, () => failure(redis.run(INCREMENT, ['b'], [1], 50))));
    expect(first.map(({ code }) => code)).toEqual(Array(8).fill('timeout'));
    expect(performance.now() - startedAt).toBeLessThan(50 + SLACK_MS);
    expect(redis.state).toBe('down');
    // Each would wait for an hour.
    for (let i = 0; i < 500; i++) {
      expect((await failure(redis.run(INCREMENT, ['b'], [1], 3_600_000))).code).toBe('circuit-open');
      if (i % 100 === 0) await sleep(30);
    }
    expect(count('timeout')).toBe(8);
    server.resume();
    await until(() => redis.state === 'up');
    expect(await redis.run(INCREMENT, ['b'], [0], 5_000)).toBe(9);
    expect(troubles).toEqual([null, expect.stringContaining('no answer within'), null]);
    expect(troubles[1]).toContain(redis.address);
  });

  test('one that is gone fails at once, and is used again when it is back', async () => {
    const { redis, troubles } = connect(server.url, { restMs: 100 });
    await redis.run(INCREMENT, ['c'], [1], 5_000);
    const waiting = redis.command('blpop', ['nothing', 0], 3_600_000);
    waiting.catch(() => {});
    await sleep(20);
    await server.kill();
    expect((await failure(waiting)).code).toBe('unreachable');
    for (let i = 0; i < 20; i++) {
      expect(['unreachable', 'circuit-open']).toContain(
        (await failure(redis.run(INCREMENT, ['c'], [1], 3_600_000))).code,
      );
    }
    await until(() => troubles.at(-1)?.includes('ECONNREFUSED') === true);
    await server.restart();
    await until(() => redis.state === 'up');
    expect(await redis.run(INCREMENT, ['c'], [1], 5_000)).toBe(1);
    expect(troubles.at(-1)).toBeNull();
  });

  test('one that was never there is in trouble before anybody asks', async () => {
    const { redis, troubles } = connect('redis://user:hidden@127.0.0.1:1/3', { reconnectBaseMs: 5 });
    redis.open();
    expect((await failure(redis.run(INCREMENT, ['d'], [1], 5_000))).code).toBe('unreachable');
    await until(() => redis.state === 'down');
    expect(troubles.at(-1)).toContain('redis://127.0.0.1:1/3');
    expect(troubles.join()).not.toContain('hidden');
  });

  test('one that wants a password says so', async () => {
    const admin = connect(server.url).redis;
    await admin.command('config', ['set', 'requirepass', 'right'], 5_000);
    const wrong = connect(server.url.replace('//', '//:wrong@'), { reconnectBaseMs: 5 }).redis;
    const error = await failure(wrong.command('get', ['x'], 5_000));
    expect(error.message).toContain('WRONGPASS');
    expect(error.message).not.toContain('wrong@');
    const right = connect(server.url.replace('//', '//:right@')).redis;
    expect(await right.command('get', ['x'], 5_000)).toBeNull();
    await admin.command('config', ['set', 'requirepass', ''], 5_000);
  });
});
