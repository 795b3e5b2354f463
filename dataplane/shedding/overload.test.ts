import { describe, expect, test } from 'vitest';
import { type Handled, type Simulation, simulate } from './event-loop.fixture.ts';
import { PRIORITIES } from './priority.ts';

/** 1,000 requests a second is what the loop can do; turning one away costs a twentieth. */
const LOOP = { admitMs: 1, shedMs: 0.05, targetMs: 100 };
const CAPACITY = 1000;

function waits(handled: readonly Handled[]): number[] {
  return handled.map(({ waitedMs }) => waitedMs).sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

const admittedOf = (handled: readonly Handled[]) => handled.filter(({ admitted }) => admitted);
const shedOf = (handled: readonly Handled[]) => handled.filter(({ admitted }) => !admitted);

describe('open loop', () => {
  test.each([
    { times: 1.5, targetMs: 100 },
    { times: 2, targetMs: 20 },
    { times: 5, targetMs: 20 },
    { times: 5, targetMs: 100 },
    { times: 5, targetMs: 250 },
  ])('$times times the capacity, target $targetMs ms', ({ times, targetMs }) => {
    const { handled } = simulate({ ...LOOP, targetMs, durationMs: 8000, rate: () => times * CAPACITY });
    // What turning away costs is gone; of the rest nearly all is goodput.
    const possible = 1 - (times - 1) * LOOP.shedMs;
    const goodput = admittedOf(handled).length / (8 * CAPACITY);
    expect(goodput).toBeGreaterThan(0.7);
    expect(goodput).toBeGreaterThan(0.95 * possible);
    // No second without goodput: it does not swing.
    for (let second = 1; second < 8; second++) {
      const within = handled.filter(({ atMs }) => atMs >= second * 1000 && atMs < (second + 1) * 1000);
      expect(admittedOf(within).length).toBeGreaterThan(0.5 * CAPACITY);
    }
    const settled = waits(admittedOf(handled).filter(({ atMs }) => atMs > 3000));
    expect(quantile(settled, 0.5)).toBeLessThan(2 * targetMs);
    expect(quantile(settled, 0.99)).toBeLessThan(3 * targetMs + 20);
  });

  test('20 times the capacity, where turning away takes nearly half of the time', () => {
    const { handled } = simulate({ ...LOOP, shedMs: 0.02, durationMs: 8000, rate: () => 20 * CAPACITY });
    expect(admittedOf(handled).length / (8 * CAPACITY)).toBeGreaterThan(0.55);
    expect(quantile(waits(admittedOf(handled).filter(({ atMs }) => atMs > 3000)), 0.99)).toBeLessThan(500);
  });

  test.each([20, 100, 250])('over within a second after the load is, target %i ms', (targetMs) => {
    const rate = (nowMs: number) => (nowMs < 4000 ? 5 : 0.5) * CAPACITY;
    const { handled, lastPressedMs } = simulate({ ...LOOP, targetMs, durationMs: 8000, rate });
    expect(lastPressedMs).toBeGreaterThan(3000);
    expect(lastPressedMs).toBeLessThan(5000);
    expect(shedOf(handled).every(({ atMs }) => atMs < 5000)).toBe(true);
  });

  test('nothing is turned away below the capacity, nor for a burst that is worked off soon', () => {
    expect(shedOf(simulate({ ...LOOP, durationMs: 5000, rate: () => 0.9 * CAPACITY }).handled)).toEqual([]);
    const burst = (nowMs: number) => (nowMs % 1000 < 40 ? 3 * CAPACITY : 0.3 * CAPACITY);
    expect(shedOf(simulate({ ...LOOP, durationMs: 5000, rate: burst }).handled)).toEqual([]);
  });

  test('one long turn of other work turns nobody away', () => {
    const stall = { atMs: 1000, forMs: 600 };
    const { handled } = simulate({ ...LOOP, admitMs: 0.2, durationMs: 3000, rate: () => 300, stall });
    expect(waits(handled).at(-1)).toBeGreaterThan(500);
    expect(shedOf(handled)).toEqual([]);
  });
});

describe('closed loop', () => {
  test.each([64, 1000])('%i clients that saturate the loop are all served', (clients) => {
    const { handled } = simulate({ ...LOOP, admitMs: 0.02, shedMs: 0.01, targetMs: 250, durationMs: 1000, clients });
    expect(handled.length).toBeGreaterThan(40_000);
    expect(shedOf(handled)).toEqual([]);
  });
});

describe('connections that wait to be accepted', () => {
  test.each([100, 250])(
    'five times the capacity by clients that open one when all are busy, target %i ms',
    (targetMs) => {
      const rate = (nowMs: number) => (nowMs < 6000 ? 1250 : 125);
      const { handled, lastPressedMs } = simulate({
        ...{ admitMs: 4, shedMs: 0.05, targetMs, durationMs: 8000, sockets: 64, rate },
      });
      const during = handled.filter(({ atMs }) => atMs < 6000);
      expect(admittedOf(during).length).toBeGreaterThan(0.85 * 6 * 250);
      expect(quantile(waits(during), 0.99)).toBeLessThan(1500);
      expect(waits(during.filter(({ atMs }) => atMs > 3000)).at(-1)).toBeLessThan(1500);
      expect(lastPressedMs).toBeLessThan(7000);
      expect(shedOf(handled).every(({ atMs }) => atMs < 7000)).toBe(true);
    },
  );

  test('a herd of a thousand clients that connect at once is served', () => {
    const { handled } = simulate({
      ...{ admitMs: 0.02, shedMs: 0.01, targetMs: 250, durationMs: 2000, sockets: 64, clients: 1000 },
    });
    expect(handled.length).toBeGreaterThan(50_000);
    expect(shedOf(handled)).toEqual([]);
  });
});

test('a thread that gets little of the CPU and has little to do turns nobody away', () => {
  const { handled } = simulate({ ...LOOP, admitMs: 1, cpuShare: 0.1, durationMs: 5000, rate: () => 80 });
  expect(handled.length).toBeGreaterThan(350);
  expect(shedOf(handled)).toEqual([]);
});

test('a thread that gets half of the CPU still sheds what is beyond its half', () => {
  const simulation: Simulation = { ...LOOP, cpuShare: 0.5, durationMs: 8000, rate: () => 5 * CAPACITY };
  const { handled } = simulate(simulation);
  expect(admittedOf(handled).length).toBeGreaterThan(0.5 * 0.5 * 8 * CAPACITY);
  expect(quantile(waits(admittedOf(handled).filter(({ atMs }) => atMs > 3000)), 0.99)).toBeLessThan(1000);
});

test('the lowest priority goes first, critical requests never', () => {
  // A tenth is critical, a fifth high, a fifth normal, half low; twice the capacity: half must go.
  const mix = [3, 2, 2, 1, 1, 0, 0, 0, 0, 0];
  const { handled } = simulate({
    ...LOOP,
    durationMs: 8000,
    rate: () => 2 * CAPACITY,
    priority: (n) => mix[n % mix.length] as number,
  });
  const settled = handled.filter(({ atMs }) => atMs > 2000);
  const served = PRIORITIES.map((_, priority) => {
    const all = settled.filter((one) => one.priority === priority);
    return admittedOf(all).length / all.length;
  });
  const [low = 1, normal = 0, high = 0, critical = 0] = served;
  expect(critical).toBe(1);
  expect(high).toBe(1);
  expect(normal).toBeGreaterThan(0.7);
  expect(low).toBeLessThan(0.2);
});

test('critical requests beyond the capacity are all let through', () => {
  const { handled } = simulate({ ...LOOP, durationMs: 2000, rate: () => 2 * CAPACITY, priority: () => 3 });
  expect(shedOf(handled)).toEqual([]);
});
