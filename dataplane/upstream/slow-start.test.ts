import { expect, test } from 'vitest';
import { TimerWheel } from '../io/wheel.ts';
import { SlowStart } from './slow-start.ts';

function setUp(durationMs: number) {
  const clock = { ms: 1_000 };
  const wheel = new TimerWheel({ now: () => clock.ms, automatic: false });
  let steps = 0;
  const slowStart = new SlowStart<object>(wheel, () => steps++);
  slowStart.configure(durationMs);
  const advance = (ms: number): void => {
    for (let i = 0; i < ms; i += 100) {
      clock.ms += 100;
      wheel.advance();
    }
  };
  return { slowStart, wheel, advance, steps: () => steps };
}

test('from a tenth to the whole in ten steps of a timer, which then stops', () => {
  const { slowStart, wheel, advance, steps } = setUp(10_000);
  const one = {};
  slowStart.begin(one);
  const seen = [slowStart.risen(one)];
  for (let i = 0; i < 12; i++) {
    advance(1_000);
    seen.push(slowStart.risen(one));
  }
  expect(seen).toEqual([0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1, 1]);
  expect(steps()).toBeGreaterThanOrEqual(10);
  expect(steps()).toBeLessThanOrEqual(12);
  expect(wheel.size).toBe(0);
});

test('each by itself; one that goes is forgotten', () => {
  const { slowStart, wheel, advance } = setUp(1_000);
  const [early, late] = [{}, {}];
  slowStart.begin(early);
  advance(500);
  slowStart.begin(late);
  expect([slowStart.risen(early), slowStart.risen(late)]).toEqual([0.5, 0.1]);
  slowStart.end(late);
  expect(slowStart.risen(late)).toBe(1);
  slowStart.close();
  expect(wheel.size).toBe(0);
});

test('off: whole at once, no timer', () => {
  const { slowStart, wheel } = setUp(0);
  const one = {};
  slowStart.begin(one);
  expect(slowStart.risen(one)).toBe(1);
  expect(wheel.size).toBe(0);
});

test('switched off while one rises', () => {
  const { slowStart, wheel } = setUp(5_000);
  const one = {};
  slowStart.begin(one);
  slowStart.configure(0);
  expect(slowStart.risen(one)).toBe(1);
  expect(wheel.size).toBe(0);
});
