/** The scripts of limits in a real Redis, with injected time, against the limiters in memory. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limiterOptions, storeFixture } from '../../dataplane/limit/store.fixture.ts';
import { newDecision } from '../../dataplane/limit/store.ts';
import { scriptArguments } from '../../dataplane/store/limits/exact.ts';
import { limitKeys } from '../../dataplane/store/limits/keys.ts';
import { ADJUST, LEASE, TAKE } from '../../dataplane/store/limits/scripts.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { type Script, script } from '../../dataplane/store/redis/script.ts';
import { describeWith } from '../components/in-tests.ts';
import { startRedis } from '../components/redis.ts';

/** A script that takes the time, whole µs since the epoch, as its last argument; all keys live on. */
function timed({ lua }: Script): Script {
  const clock = '{ math.floor(tonumber(ARGV[#ARGV]) / 1000000), tonumber(ARGV[#ARGV]) % 1000000 }';
  const changed = lua.replace("redis.call('TIME')", clock).replaceAll(/, 'PX', ms\(.*\) \+ 1\)/g, ')');
  if (changed.includes('TIME') || changed.includes('PX')) throw new Error('the scripts look different now');
  return script(changed);
}
const [take, adjust, lease] = [timed(TAKE), timed(ADJUST), timed(LEASE)];

const algorithm = fc.constantFrom('tokenBucket' as const, 'fixedWindow' as const, 'slidingWindow' as const);
const quota = fc.record({
  algorithm,
  limit: fc.integer({ min: 1, max: 20 }),
  // Whole µs a unit, so that both sides count the same fractions.
  unitMs: fc.integer({ min: 1, max: 500 }),
  burst: fc.integer({ min: 1, max: 40 }),
});
const traffic = fc.array(
  fc.record({
    waitMs: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 5_000 })),
    act: fc.constantFrom('take' as const, 'take' as const, 'take' as const, 'charge' as const, 'giveBack' as const),
    cost: fc.integer({ min: 0, max: 4 }),
  }),
  { minLength: 1, maxLength: 40 },
);

describeWith(await startRedis(), 'the scripts of limits', (server) => {
  const redis = new Redis({ url: server.url, counter: () => ({ value: 0 }) });
  let serial = 0;
  const freshKey = () => limitKeys(`test-${process.pid}-${Date.now()}`, 'scope')(`caller-${serial++}`);
  const ask = async (what: Script, key: string, args: readonly (string | number)[]): Promise<number[]> =>
    (await redis.run(what, [key], args, 5_000)) as number[];

  test('decide as the limiters in memory do', async () => {
    await fc.assert(
      fc.asyncProperty(quota, traffic, async ({ algorithm, limit, unitMs, burst }, steps) => {
        const epochMs = 1_800_000_000_000;
        const fixture = storeFixture({ epochMs });
        const windowMs = limit * unitMs;
        const options = limiterOptions({
          algorithm,
          limit,
          windowMs,
          burst: algorithm === 'tokenBucket' ? burst : limit,
        });
        const limiter = fixture.store.open(options);
        const key = freshKey();
        const args = scriptArguments(options);
        for (const { waitMs, act, cost } of steps) {
          fixture.now += waitMs;
          const nowMicros = (epochMs + fixture.now) * 1000;
          if (act !== 'take') {
            // Only what was taken is given back, of the window it was taken from.
            if (act === 'giveBack') continue;
            limiter.charge('', cost);
            await ask(adjust, key, [...args, cost, -1, nowMicros]);
            continue;
          }
          const expected = newDecision();
          limiter.take('', cost, expected);
          const [admitted, remaining, resetMs = 0, retryMs = 0] = await ask(take, key, [...args, cost, 1, nowMicros]);
          expect({ admitted: admitted === 1, remaining }).toEqual({
            admitted: expected.admitted,
            remaining: expected.remaining,
          });
          expect(Math.abs(resetMs - expected.resetMs)).toBeLessThanOrEqual(1.01);
          expect(Math.abs(retryMs - expected.retryMs)).toBeLessThanOrEqual(1.01);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('what is given back can be taken again, but not out of a window that is over', async () => {
    for (const algorithm of ['tokenBucket', 'fixedWindow', 'slidingWindow'] as const) {
      const key = freshKey();
      const args = scriptArguments(limiterOptions({ algorithm, limit: 5 }));
      const at = 1_800_000_000_500_000;
      const [given, left, , , , window = 0] = await ask(lease, key, [...args, 1, 4, at]);
      expect([given, left]).toEqual([4, 1]);
      await ask(adjust, key, [...args, -3, window, at]);
      expect((await ask(lease, key, [...args, 1, 9, at])).slice(0, 2)).toEqual([4, 0]);
      // Less than is needed is left alone.
      await ask(adjust, key, [...args, -1, window, at]);
      const [none, one, , wait = 0] = await ask(lease, key, [...args, 2, 9, at]);
      expect([none, one]).toEqual([0, 1]);
      expect(wait).toBeGreaterThan(0);
      if (algorithm === 'tokenBucket') continue;
      const later = at + 1_000_000;
      await ask(lease, key, [...args, 1, 1, later]);
      const [, before] = await ask(lease, key, [...args, 99, 99, later]);
      await ask(adjust, key, [...args, -1, window, later]);
      expect((await ask(lease, key, [...args, 99, 99, later]))[1]).toBe(before);
    }
  });

  test('batches and single units together never exceed a fixed window, nor a bucket', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.record({ need: fc.integer({ min: 1, max: 5 }), more: fc.integer({ min: 0, max: 30 }) }), {
          maxLength: 20,
        }),
        async (limit, batches) => {
          for (const algorithm of ['tokenBucket', 'fixedWindow', 'slidingWindow'] as const) {
            const key = freshKey();
            const args = scriptArguments(limiterOptions({ algorithm, limit, windowMs: 60_000 }));
            const at = 1_800_000_000_000_000;
            let sum = 0;
            for (const { need, more } of batches) {
              const [given = 0] = await ask(lease, key, [...args, need, need + more, at]);
              expect(given === 0 || (given >= need && given <= need + more)).toBe(true);
              sum += given;
              const [admitted = 0] = await ask(take, key, [...args, 1, 1, at]);
              sum += admitted;
            }
            expect(sum).toBeLessThanOrEqual(limit);
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});
