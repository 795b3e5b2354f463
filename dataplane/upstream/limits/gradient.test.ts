import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Gradient, type GradientOptions } from './gradient.ts';

const OPTIONS: GradientOptions = { minLimit: 5, maxLimit: 1000, tolerancePercent: 150 };

/** Numbers from 0 to below 1 (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A server that works on so many requests at a time, first come first served, and a gate in front of it. Steps of 1 ms. */
class Simulation {
  slots: number;
  serviceMs: number;
  nowMs = 5_000;
  inFlight = 0;
  admitted = 0;
  refused = 0;
  readonly gradient: Gradient;
  private readonly random = seeded(7);
  private readonly queue: number[] = [];
  private working: { ends: number; began: number }[] = [];

  constructor(slots: number, serviceMs: number, options = OPTIONS) {
    this.slots = slots;
    this.serviceMs = serviceMs;
    this.gradient = new Gradient(options);
  }

  /** `arrivals` a second for so many seconds. `each` is called once a second. */
  run(seconds: number, arrivals: number, each: () => void = () => {}): void {
    for (let step = 0; step < seconds * 1000; step++) {
      this.nowMs++;
      for (const done of this.working.filter(({ ends }) => ends <= this.nowMs)) {
        this.inFlight--;
        this.gradient.sample(this.nowMs, this.nowMs - done.began);
      }
      this.working = this.working.filter(({ ends }) => ends > this.nowMs);
      let arriving = Math.floor(arrivals / 1000) + (this.random() < (arrivals % 1000) / 1000 ? 1 : 0);
      for (; arriving > 0; arriving--) {
        if (this.inFlight >= this.gradient.limit) this.refused++;
        else {
          this.inFlight++;
          this.admitted++;
          this.queue.push(this.nowMs);
        }
      }
      while (this.queue.length > 0 && this.working.length < this.slots) {
        const began = this.queue.shift() as number;
        this.working.push({ ends: this.nowMs + this.serviceMs * (0.5 + this.random()), began });
      }
      if (step % 1000 === 999) each();
    }
  }
}

const SERVERS = [
  [20, 20],
  [50, 50],
  [200, 10],
] as const;

describe('against a simulated server', () => {
  test.each(SERVERS)(
    'settles near the knee: %i slots of %i ms, offered 1.5 times what they can do',
    (slots, serviceMs) => {
      const server = new Simulation(slots, serviceMs);
      const capacity = (slots / serviceMs) * 1000;
      server.run(15, capacity * 1.5);
      const { admitted } = server;
      const limits: number[] = [];
      server.run(40, capacity * 1.5, () => limits.push(server.gradient.limit));
      expect((server.admitted - admitted) / 40).toBeGreaterThan(capacity * 0.9);
      for (const limit of limits) {
        // Below the slots only while it looks for the latency without a queue.
        expect(limit).toBeGreaterThan(slots * 0.5);
        expect(limit).toBeLessThan(slots * 2);
      }
    },
  );

  test('refuses nobody where the server can do what it is offered', () => {
    const server = new Simulation(50, 50);
    server.run(5, 500);
    const { refused } = server;
    server.run(40, 500);
    expect(server.refused).toBe(refused);
  });

  test('an overload that comes at once is met within two seconds', () => {
    const server = new Simulation(50, 50);
    server.run(10, 500);
    expect(server.gradient.limit).toBe(1000);
    server.run(2, 3_000);
    expect(server.gradient.limit).toBeLessThan(120);
  });

  test('an overload ends: the limit is back where it was', () => {
    const server = new Simulation(50, 50);
    server.run(10, 500);
    server.run(10, 4_000);
    expect(server.gradient.limit).toBeLessThan(100);
    server.run(3, 500);
    const { refused } = server;
    server.run(20, 800);
    expect(server.refused).toBe(refused);
  });

  test('a server that becomes slower for good is not held to what it was', () => {
    const server = new Simulation(50, 50);
    server.run(10, 500);
    server.serviceMs = 200;
    server.run(15, 400);
    const { admitted } = server;
    server.run(30, 400);
    // 50 slots of 200 ms are 250 a second.
    expect((server.admitted - admitted) / 30).toBeGreaterThan(250 * 0.85);
  });

  test('one that becomes faster is given more', () => {
    const server = new Simulation(50, 100);
    server.run(10, 1_500);
    server.serviceMs = 20;
    server.run(5, 2_200);
    const { refused } = server;
    server.run(20, 2_200);
    expect((server.refused - refused) / (20 * 2_200)).toBeLessThan(0.05);
  });
});

test('stays within its bounds, whatever it is told', () => {
  const step = fc.record({
    waitMs: fc.integer({ min: 0, max: 3_000 }),
    latencyMs: fc.double({ min: 0, max: 60_000, noNaN: true }),
    times: fc.integer({ min: 1, max: 60 }),
    drop: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 0, max: 500 }),
      (steps, minLimit, more) => {
        const gradient = new Gradient({ minLimit, maxLimit: minLimit + more, tolerancePercent: 120 });
        let nowMs = 100_000;
        for (const { waitMs, latencyMs, times, drop } of steps) {
          for (let i = 0; i < times; i++) {
            nowMs += waitMs / times;
            if (drop) gradient.drop(nowMs);
            else gradient.sample(nowMs, latencyMs);
            expect(gradient.limit).toBeGreaterThanOrEqual(minLimit);
            expect(gradient.limit).toBeLessThanOrEqual(minLimit + more);
            expect(Number.isInteger(gradient.limit)).toBe(true);
          }
        }
      },
    ),
  );
});

test('time-outs alone shrink it', () => {
  const gradient = new Gradient(OPTIONS);
  let nowMs = 0;
  for (; nowMs < 10_000; nowMs += 5) gradient.sample(nowMs, 10);
  const before = gradient.limit;
  for (; nowMs < 11_000; nowMs += 5) gradient.drop(nowMs);
  expect(gradient.limit).toBeLessThan(before);
});
