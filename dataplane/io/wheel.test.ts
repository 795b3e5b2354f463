import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Timer, TimerWheel } from './wheel.ts';

function setUp(): { clock: { ms: number }; wheel: TimerWheel; fired: [number, number][]; timer(id: number): Timer } {
  const clock = { ms: 12_345 };
  const fired: [number, number][] = [];
  return {
    clock,
    wheel: new TimerWheel({ now: () => clock.ms, automatic: false }),
    fired,
    timer: (id) => new Timer({ onTimeout: () => fired.push([id, clock.ms]) }),
  };
}

test('never early, at most a tick late, whatever is armed, moved, disarmed and dropped', () => {
  const action = fc.record({
    id: fc.nat(4),
    what: fc.constantFrom('arm', 'arm', 'disarm', 'drop'),
    delay: fc.integer({ min: 1, max: 200_000 }),
    after: fc.nat(30_000),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const { clock, wheel, fired, timer } = setUp();
      const timers = Array.from({ length: 5 }, (_, id) => timer(id));
      const due = new Map<number, number>();
      const step = (ms: number): void => {
        for (let passed = 0; passed < ms; passed += 50) {
          clock.ms += 50;
          wheel.advance();
          for (const [id, at] of fired.splice(0)) {
            const deadline = due.get(id) as number;
            expect(at).toBeGreaterThanOrEqual(deadline);
            expect(at - deadline).toBeLessThanOrEqual(150);
            due.delete(id);
          }
        }
        for (const deadline of due.values()) expect(clock.ms - deadline).toBeLessThanOrEqual(150);
      };
      for (const { id, what, delay, after } of actions) {
        const one = timers[id] as Timer;
        if (what === 'arm') {
          wheel.arm(one, delay);
          due.set(id, clock.ms + delay);
        } else {
          if (what === 'drop') wheel.drop(one);
          else wheel.disarm(one);
          due.delete(id);
        }
        step(after);
      }
      step(200_200);
      expect(due.size).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test('owners may arm and drop each other while timers fire', () => {
  const { clock, wheel } = setUp();
  const fired: string[] = [];
  const b = new Timer({ onTimeout: () => fired.push('b') });
  const c = new Timer({ onTimeout: () => fired.push('c') });
  const a: Timer = new Timer({
    onTimeout: () => {
      fired.push('a');
      wheel.drop(b);
      wheel.arm(a, 100);
    },
  });
  for (const timer of [b, c, a]) wheel.arm(timer, 100);
  clock.ms += 200;
  wheel.advance();
  expect(fired.toSorted()).toEqual(['a', 'c']);
  clock.ms += 200;
  wheel.advance();
  expect(fired.toSorted()).toEqual(['a', 'a', 'c']);
  expect(wheel.size).toBe(1);
});

test('a wheel that was long asleep fires what is due', () => {
  const { clock, wheel, fired, timer } = setUp();
  wheel.arm(timer(1), 500_000);
  clock.ms += 10_000_000;
  wheel.advance();
  expect(fired).toEqual([[1, clock.ms]]);
  expect(wheel.size).toBe(0);
});
