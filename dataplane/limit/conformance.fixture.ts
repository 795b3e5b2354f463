/** What every store of limits must do, whatever keeps its state: run against memory here, and against a real Redis in e2e/stores. */
import { afterAll, describe, expect, test } from 'vitest';
import {
  type Algorithm,
  type Decision,
  type Limiter,
  type LimiterOptions,
  type LimitStore,
  newDecision,
} from './store.ts';

const ALGORITHMS: readonly Algorithm[] = ['tokenBucket', 'slidingWindow', 'fixedWindow'];
/** So long that nothing comes back while this runs. */
const WINDOW_MS = 2_678_400_000;

export async function decide(limiter: Limiter, key = '', cost = 1): Promise<Decision> {
  const decision = newDecision();
  await limiter.take(key, cost, decision);
  return decision;
}

/** Only stores that are asked for each request: of a lease, one limiter may hold what another one is refused. */
export function describeStore(name: string, open: () => LimitStore): void {
  describe(name, () => {
    const limiters: Limiter[] = [];
    afterAll(() => {
      for (const limiter of limiters) limiter.close?.();
    });
    let serial = 0;
    const options = (algorithm: Algorithm, more: Partial<LimiterOptions> = {}): LimiterOptions => {
      const limit = more.limit ?? 10;
      const scope = `policy/conformance/${process.pid}-${Date.now()}/rateLimit ${serial++}`;
      return { scope, algorithm, limit, windowMs: WINDOW_MS, burst: limit, global: true, mode: 'exact', ...more };
    };
    const limiterOf = (asked: LimiterOptions): Limiter => {
      const limiter = open().open(asked);
      limiters.push(limiter);
      return limiter;
    };

    test.each(ALGORITHMS)('%s: the whole limit, counted down, and not one more', async (algorithm) => {
      const limiter = limiterOf(options(algorithm, { limit: 5 }));
      for (let left = 4; left >= 0; left--) {
        expect(await decide(limiter)).toMatchObject({ admitted: true, failed: false, remaining: left, retryMs: 0 });
      }
      const refused = await decide(limiter);
      expect(refused).toMatchObject({ admitted: false, failed: false, remaining: 0 });
      expect(refused.retryMs).toBeGreaterThan(0);
      expect(refused.retryMs).toBeLessThanOrEqual(2 * WINDOW_MS);
      expect(refused.resetMs).toBeGreaterThan(0);
      expect(refused.resetMs).toBeLessThanOrEqual(2 * WINDOW_MS);
    });

    test.each(ALGORITHMS)(
      '%s: two limiters of one scope are one limit; scopes and keys are apart',
      async (algorithm) => {
        const one = options(algorithm, { limit: 2 });
        const [a, b] = [limiterOf(one), limiterOf(one)];
        expect((await decide(a, 'x')).admitted).toBe(true);
        expect((await decide(b, 'x')).admitted).toBe(true);
        expect((await decide(a, 'x')).admitted).toBe(false);
        expect((await decide(b, 'x')).admitted).toBe(false);
        for (const key of ['', 'y', 'x ', ' x', 'X', 'x\0', 'x'.repeat(5_000), 'é', '\ud800', '{x}', '__proto__']) {
          expect(await decide(a, key), key.slice(0, 20)).toMatchObject({ admitted: true, remaining: 1 });
        }
        expect(await decide(limiterOf(options(algorithm, { limit: 2 })), 'x')).toMatchObject({ admitted: true });
      },
    );

    test.each(ALGORITHMS)('%s: a cost is taken whole or not at all', async (algorithm) => {
      const limiter = limiterOf(options(algorithm, { limit: 10 }));
      expect(await decide(limiter, '', 7)).toMatchObject({ admitted: true, remaining: 3 });
      expect(await decide(limiter, '', 4)).toMatchObject({ admitted: false, remaining: 3 });
      expect(await decide(limiter, '', 3)).toMatchObject({ admitted: true, remaining: 0 });
      const other = limiterOf(options(algorithm, { limit: 10 }));
      expect((await decide(other, '', 11)).admitted).toBe(false);
    });

    test.each(ALGORITHMS)('%s: cost 0 looks and takes nothing', async (algorithm) => {
      const limiter = limiterOf(options(algorithm, { limit: 1 }));
      for (let i = 0; i < 3; i++) expect(await decide(limiter, '', 0)).toMatchObject({ admitted: true, remaining: 1 });
      await decide(limiter);
      expect(await decide(limiter, '', 0)).toMatchObject({ admitted: false, remaining: 0 });
    });

    test.each(ALGORITHMS)(
      '%s: what is given back can be taken again, and no more than was taken',
      async (algorithm) => {
        const limiter = limiterOf(options(algorithm, { limit: 4 }));
        await decide(limiter, '', 4);
        limiter.giveBack('', 3);
        await expect.poll(async () => (await decide(limiter, '', 0)).remaining).toBe(3);
        expect(await decide(limiter, '', 3)).toMatchObject({ admitted: true, remaining: 0 });
        limiter.giveBack('', 4);
        await expect.poll(async () => (await decide(limiter, '', 0)).remaining).toBe(4);
        limiter.giveBack('never taken', 2);
        await expect.poll(async () => (await decide(limiter, 'never taken', 4)).admitted).toBe(true);
        expect((await decide(limiter, 'never taken')).admitted).toBe(false);
      },
    );

    test.each(ALGORITHMS)('%s: a charge is not asked, and may lead below zero', async (algorithm) => {
      const limiter = limiterOf(options(algorithm, { limit: 5 }));
      limiter.charge('', 3);
      await expect.poll(async () => (await decide(limiter, '', 0)).remaining).toBe(2);
      limiter.charge('', 50);
      await expect.poll(async () => (await decide(limiter, '', 0)).admitted).toBe(false);
      limiter.giveBack('', 4);
      expect((await decide(limiter)).admitted).toBe(false);
    });

    test('a token bucket holds its burst, which may be less or more than the limit', async () => {
      for (const burst of [2, 9]) {
        const limiter = limiterOf(options('tokenBucket', { limit: 5, burst }));
        for (let i = 0; i < burst; i++) expect((await decide(limiter)).admitted).toBe(true);
        expect((await decide(limiter)).admitted).toBe(false);
      }
    });

    test('the largest amounts there are', async () => {
      const most = 1_000_000_000;
      for (const algorithm of ALGORITHMS) {
        const limiter = limiterOf(options(algorithm, { limit: most }));
        expect(await decide(limiter, '', most)).toMatchObject({ admitted: true, remaining: 0 });
        expect((await decide(limiter, '', most)).admitted).toBe(false);
      }
    });
  });
}
