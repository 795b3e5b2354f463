import { describe, expect, test } from 'vitest';
import { GOOD, UNDECIDED } from '../watcher.ts';
import { counts, deviations, endpoints, seeded, sum, type TestEndpoint } from './balance.fixture.ts';
import { DECAY_MS, FAILURE_MS, FLOOR_MS, LatencyMeter, MAX_FAILURE_MS } from './latency-meter.ts';
import { createPeakEwma } from './peak-ewma.ts';

describe('latency meter', () => {
  test('jumps up at once; comes down by e in each decay time, and by an eighth with each answer at least', () => {
    const clock = { ms: 1_000 };
    const meter = new LatencyMeter(() => clock.ms, { atMs: 0 });
    expect(meter.at(clock.ms, 0)).toBe(0);
    meter.answered(200, 10);
    meter.answered(200, 410);
    expect(meter.at(clock.ms, 0)).toBe(410);
    clock.ms += DECAY_MS / 2;
    meter.answered(200, 10);
    const half = 10 + 400 * Math.exp(-0.5);
    expect(meter.at(clock.ms, 0)).toBeCloseTo(half);
    for (let i = 0; i < 20; i++) meter.answered(200, 10);
    expect(meter.at(clock.ms, 0)).toBeCloseTo(10 + (half - 10) * (7 / 8) ** 20);
    // Without requests it sinks below what was ever measured, so that it is tried again.
    expect(meter.at(clock.ms + 3 * DECAY_MS, 0)).toBeLessThan(10);
    expect(meter.at(clock.ms + 100 * DECAY_MS, 0)).toBe(FLOOR_MS);
  });

  test('failures and 5xx are a penalty for a time, however quick they were and however many there are', () => {
    const clock = { ms: 1_000 };
    const meter = new LatencyMeter(() => clock.ms, { atMs: 0 });
    meter.answered(503, 0.1);
    for (let i = 0; i < 20; i++) meter.failed();
    // One that was asked before it failed.
    meter.answered(200, 5);
    expect(meter.at(clock.ms, 0)).toBe(FAILURE_MS);
    clock.ms += FAILURE_MS - 1;
    expect(meter.at(clock.ms, 0)).toBeGreaterThan(FAILURE_MS / 2);
    clock.ms += 1;
    expect(meter.at(clock.ms, 0)).toBe(0);
    meter.answered(200, 5);
    expect(meter.at(clock.ms, 0)).toBe(5);
  });

  test('a penalty is twice as long for who fails again after it, up to 30 s, and as at first for who was well since', () => {
    const clock = { ms: 1_000 };
    const meter = new LatencyMeter(() => clock.ms, { atMs: 0 });
    const penalty = (): number => {
      meter.failed();
      const startMs = clock.ms;
      while (meter.at(clock.ms, 0) > 0) clock.ms += 100;
      return clock.ms - startMs;
    };
    expect(Array.from({ length: 7 }, penalty)).toEqual([
      1_000,
      2_000,
      4_000,
      8_000,
      16_000,
      MAX_FAILURE_MS,
      MAX_FAILURE_MS,
    ]);
    meter.answered(200, 5);
    expect(penalty()).toBe(1_000);
  });

  test('knows nothing after it has forgotten, however long ago it failed', () => {
    const clock = { ms: 1_000 };
    const meter = new LatencyMeter(() => clock.ms, { atMs: 0 });
    meter.failed();
    meter.forget();
    expect(meter.at(clock.ms, 0)).toBe(0);
    meter.answered(200, 10);
    expect(meter.at(clock.ms, 0)).toBe(10);
  });
});

/** Sends one request a step, `stepMs` apart; each endpoint answers after its latency. Returns how many each got. */
function simulate(
  latencyOf: (index: number, nowMs: number) => number,
  weights: readonly number[],
  { steps = 20_000, stepMs = 1, failing = -1, from = 0 } = {},
): { sent: number[]; ends: number } {
  const clock = { ms: 1 };
  const all = endpoints(weights.length);
  const heard = { atMs: 0 };
  for (const one of all) one.latency = new LatencyMeter(() => clock.ms, heard);
  const { pick } = createPeakEwma(all, weights, seeded(9), () => clock.ms);
  const ends: [number, number, number][] = [];
  const sent = weights.map(() => 0);
  for (let step = 0; step < steps; step++) {
    clock.ms = step * stepMs + 1;
    for (let at = 0; at < ends.length; ) {
      const [endMs, index, tookMs] = ends[at] as [number, number, number];
      if (endMs > clock.ms) {
        at++;
        continue;
      }
      ends.splice(at, 1);
      const one = all[index] as TestEndpoint;
      one.active--;
      one.latency?.answered(index === failing ? 502 : 200, tookMs);
    }
    const index = pick(0);
    const one = all[index] as TestEndpoint;
    if (one.active++ === 0) one.latency?.began();
    if (step >= from) sent[index] = (sent[index] as number) + 1;
    const tookMs = latencyOf(index, clock.ms);
    ends.push([clock.ms + tookMs, index, tookMs]);
  }
  return { sent, ends: ends.length };
}

test('latency meter: silence while requests wait and others answer counts as latency, from when the first began', () => {
  const clock = { ms: 1_000 };
  const heard = { atMs: 0 };
  const meter = new LatencyMeter(() => clock.ms, heard);
  const other = new LatencyMeter(() => clock.ms, heard);
  meter.answered(200, 5);
  clock.ms += 700;
  meter.began();
  clock.ms += 300;
  // Nobody answers: perhaps the gateway itself stood still.
  expect(meter.at(clock.ms, 1)).toBeLessThan(5);
  other.answered(200, 5);
  expect(meter.at(clock.ms, 1)).toBe(300);
  expect(meter.at(clock.ms, 0)).toBeLessThan(5);
  meter.answered(200, 4);
  expect(meter.at(clock.ms, 3)).toBeLessThan(5);
});

test('latency meter: an attempt that was given up counts for as long as it took, where that is news', () => {
  const clock = { ms: 1_000 };
  const meter = new LatencyMeter(() => clock.ms, { atMs: 0 });
  meter.answered(200, 5);
  clock.ms += 40;
  meter.left({ chosenAtMs: 1_000, verdict: UNDECIDED });
  expect(meter.at(clock.ms, 0)).toBe(40);
  meter.left({ chosenAtMs: clock.ms - 10, verdict: UNDECIDED });
  meter.left({ chosenAtMs: clock.ms - 500, verdict: GOOD });
  expect(meter.at(clock.ms, 0)).toBe(40);
});

describe('peak EWMA', () => {
  test('alike and idle, they share by their weights', () => {
    for (const weights of [
      [1, 1, 1],
      [1, 2, 5],
      [1, 9],
    ]) {
      const all = endpoints(weights.length);
      for (const one of all) {
        one.latency = new LatencyMeter(() => 1, { atMs: 0 });
        one.latency.answered(200, 5);
      }
      const balancer = createPeakEwma(all, weights, seeded(7), () => 1);
      expect(deviations(counts(balancer, weights.length, 60_000), weights)).toBeLessThan(5);
    }
  });

  test('under load and with noise weights still hold, within a quarter', () => {
    const noise = seeded(4);
    const { sent } = simulate(() => 4 + noise(), [1, 2, 3], { stepMs: 0.5, from: 2_000 });
    [1, 2, 3].forEach((weight, i) => {
      const share = (sent[i] as number) / sum(sent) / (weight / 6);
      expect(share).toBeGreaterThan(0.75);
      expect(share).toBeLessThan(1.25);
    });
  });

  test('of eight, one 20 times slower gets less than 1 % (round-robin: 12.5 %)', () => {
    const { sent } = simulate((index) => (index === 3 ? 100 : 5), new Array<number>(8).fill(1));
    expect((sent[3] as number) / sum(sent)).toBeLessThan(0.01);
    for (const [i, count] of sent.entries()) if (i !== 3) expect(count).toBeGreaterThan(sum(sent) / 16);
  });

  test('one that becomes slow is left after the first answer says so, and tried again when it is well', () => {
    const slowFrom = 4_000;
    const slowTo = 8_000;
    const latencyOf = (index: number, nowMs: number) => (index === 0 && nowMs > slowFrom && nowMs < slowTo ? 150 : 5);
    const during = simulate(latencyOf, [1, 1, 1, 1], { steps: slowTo, from: slowFrom }).sent;
    // Some 150 ms until it is known, at a quarter of the requests and less with each that waits there.
    expect((during[0] as number) / sum(during)).toBeLessThan(0.02);
    const after = simulate(latencyOf, [1, 1, 1, 1], { steps: 40_000, from: 35_000 }).sent;
    expect((after[0] as number) / sum(after)).toBeGreaterThan(0.15);
  });

  test('one that fails quickly gets little', () => {
    const { sent } = simulate((index) => (index === 1 ? 0.2 : 5), [1, 1, 1, 1], { failing: 1 });
    expect((sent[1] as number) / sum(sent)).toBeLessThan(0.01);
  });

  test('one that never answers keeps what it got before that shows, and no more', () => {
    const { sent } = simulate((index) => (index === 2 ? Infinity : 5), [1, 1, 1, 1]);
    expect(sent[2]).toBeLessThan(10);
    // One that was well, and stops in the middle of it: no time-out, no answer.
    const paused = simulate((index, nowMs) => (index === 2 && nowMs > 4_000 ? Infinity : 5), [1, 1, 1, 1], {
      from: 4_000,
    });
    expect(paused.sent[2]).toBeLessThan(20);
  });

  test('a pause of the gateway itself, which all seem to have had, is over after some twenty answers each', () => {
    const clock = { ms: 1 };
    const all = endpoints(4);
    const heard = { atMs: 0 };
    for (const one of all) {
      one.latency = new LatencyMeter(() => clock.ms, heard);
      one.latency.answered(200, one === all[3] ? 100 : 5);
    }
    for (const one of all.slice(0, 3)) one.latency?.answered(200, 105);
    for (let i = 0; i < 20; i++) {
      clock.ms += 5;
      for (const one of all.slice(0, 3)) one.latency?.answered(200, 5);
    }
    const { pick } = createPeakEwma(all, [1, 1, 1, 1], seeded(6), () => clock.ms);
    expect(new Set(Array.from({ length: 500 }, () => pick(0)))).toEqual(new Set([0, 1, 2]));
  });

  test('a new one is asked at once, by one request until it has answered', () => {
    const clock = { ms: 1 };
    const all = endpoints(3);
    for (const one of all) one.latency = new LatencyMeter(() => clock.ms, { atMs: 0 });
    for (const one of all.slice(0, 2)) one.latency?.answered(200, 5);
    const { pick } = createPeakEwma(all, [1, 1, 1], seeded(2), () => clock.ms);
    const first = Array.from({ length: 20 }, () => pick(0));
    expect(first).toContain(2);
    (all[2] as TestEndpoint).active = 1;
    expect(new Set(Array.from({ length: 200 }, () => pick(0)))).toEqual(new Set([0, 1]));
    all[2]?.latency?.answered(200, 5);
    (all[2] as TestEndpoint).active = 0;
    expect(Array.from({ length: 50 }, () => pick(0))).toContain(2);
  });

  test('none, one, and another than those marked', () => {
    const one = endpoints(1);
    expect(createPeakEwma([], [], Math.random, () => 0).pick(0)).toBe(-1);
    expect(createPeakEwma(one, [1], Math.random, () => 0).pick(0)).toBe(0);
    const { another } = createPeakEwma(endpoints(3), [1, 1, 1], seeded(1), () => 0);
    expect(another(0, Uint8Array.of(1, 0, 1))).toBe(1);
    expect(another(0, Uint8Array.of(1, 1, 1))).toBe(-1);
  });
});
