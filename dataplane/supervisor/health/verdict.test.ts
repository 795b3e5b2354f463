import fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstWaitMs, judge, type ProbedState, UNPROBED, waitMs } from './verdict.ts';

const THRESHOLDS = { healthyThreshold: 2, unhealthyThreshold: 3 };

/** `+` a success, `-` a failure; the states as `H` and `u`. */
function states(outcomes: string): string {
  let state: ProbedState = UNPROBED;
  return Array.from(outcomes, (outcome) => {
    state = judge(state, outcome === '+', THRESHOLDS);
    return state.healthy ? 'H' : 'u';
  }).join('');
}

test('an endpoint counts as healthy before its first probe, and that one alone decides', () => {
  expect(UNPROBED.healthy).toBe(true);
  expect(states('-')).toBe('u');
  expect(states('+')).toBe('H');
});

test('after that it takes failures, or successes, one after the other', () => {
  expect(states('+--+---')).toBe('HHHHHHu');
  expect(states('-+-++')).toBe('uuuuH');
  expect(states('-++---++')).toBe('uuHHHuuH');
});

test('property: a state changes only after as many outcomes in a row as its threshold says', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (outcomes, healthyThreshold, unhealthyThreshold) => {
        let state: ProbedState = UNPROBED;
        for (const [i, succeeded] of outcomes.entries()) {
          const before = state;
          state = judge(before, succeeded, { healthyThreshold, unhealthyThreshold });
          const needed = before.healthy ? unhealthyThreshold : healthyThreshold;
          const row = outcomes.slice(Math.max(0, i + 1 - needed), i + 1);
          const inARow = row.length === needed && row.every((one) => one === !before.healthy);
          if (i === 0) expect(state.healthy).toBe(succeeded);
          else if (state.healthy !== before.healthy) expect(inARow).toBe(true);
          // And it does change then, unless some of the row brought the former change about.
          if (i > 0 && inARow && state.healthy === before.healthy) expect(i + 1 - needed).toBeLessThan(1);
        }
      },
    ),
  );
});

test('waits lie within the jitter and cover it; first probes of many are spread over a quarter of the interval', () => {
  expect([waitMs(1000, 20, 0), waitMs(1000, 20, 0.5), waitMs(1000, 20, 0.999999)]).toEqual([800, 1000, 1200]);
  expect(waitMs(1000, 0, 0.9)).toBe(1000);
  expect(waitMs(1, 100, 0)).toBe(1);
  expect([0, 15].map((index) => firstWaitMs(index, 16, 8000))).toEqual([0, 0]);
  expect([0, 50, 99].map((index) => firstWaitMs(index, 100, 8000))).toEqual([0, 1000, 1980]);
});
