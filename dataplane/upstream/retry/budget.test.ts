import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RetryBudget } from './budget.ts';

describe('retry budget', () => {
  test('a share of the requests', () => {
    const budget = new RetryBudget();
    const settings = { percent: 20, minPerSecond: 0 };
    for (let i = 0; i < 99; i++) budget.request(1000);
    const taken = Array.from({ length: 30 }, () => budget.take(1000, settings)).filter((granted) => granted).length;
    expect(taken).toBe(19);
    budget.request(1000);
    expect([budget.take(1000, settings), budget.take(1000, settings)]).toEqual([true, false]);
  });

  test('or a floor, where that is more, but not both', () => {
    const budget = new RetryBudget();
    for (let i = 0; i < 10; i++) budget.request(0);
    const settings = { percent: 20, minPerSecond: 1 };
    expect(Array.from({ length: 20 }, () => budget.take(0, settings)).filter((granted) => granted)).toHaveLength(10);
  });

  test('what is two seconds old does not count, on either side', () => {
    const budget = new RetryBudget();
    const settings = { percent: 100, minPerSecond: 0 };
    budget.request(100);
    expect(budget.take(1_999, settings)).toBe(true);
    expect(budget.take(1_999, settings)).toBe(false);
    budget.request(2_000);
    // The request of 100 is forgotten, the retry of 1,999 is not.
    expect(budget.take(2_000, settings)).toBe(false);
    expect(budget.take(3_800, settings)).toBe(true);
  });

  test('a calm time leaves two seconds of its share to an outage, not more', () => {
    const budget = new RetryBudget();
    const settings = { percent: 20, minPerSecond: 3 };
    let [requests, retries] = [0, 0];
    for (let ms = 0; ms < 60_000; ms += 10) budget.request(ms);
    for (let ms = 60_000; ms < 65_000; ms += 10) {
      budget.request(ms);
      requests++;
      for (let i = 0; i < 3; i++) if (budget.take(ms, settings)) retries++;
    }
    expect(retries).toBeGreaterThanOrEqual(requests * 0.2);
    expect(retries).toBeLessThanOrEqual((requests + 200) * 0.2);
  });

  test('nothing for nobody, and all for everybody', () => {
    const budget = new RetryBudget();
    budget.request(0);
    expect(budget.take(0, { percent: 0, minPerSecond: 0 })).toBe(false);
    expect(budget.take(0, { percent: 100, minPerSecond: 0 })).toBe(true);
  });

  test('property: however requests and retries fall in time, retries never exceed their share', () => {
    const steps = fc.array(fc.record({ afterMs: fc.nat(4000), requests: fc.nat(20), retries: fc.nat(20) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 3 }),
        (list, percent, minPerSecond) => {
          const budget = new RetryBudget();
          let [nowMs, requests, retries] = [0, 0, 0];
          for (const step of list) {
            nowMs += step.afterMs;
            for (let i = 0; i < step.requests; i++) budget.request(nowMs);
            requests += step.requests;
            for (let i = 0; i < step.retries; i++) if (budget.take(nowMs, { percent, minPerSecond })) retries++;
          }
          const floor = minPerSecond * (nowMs / 1000 + 10);
          expect(retries).toBeLessThanOrEqual((requests * percent) / 100 + floor);
          if (minPerSecond === 0) expect(retries).toBeLessThanOrEqual((requests * percent) / 100);
        },
      ),
    );
  });
});
