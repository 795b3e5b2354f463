import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Circuit as CircuitSettings } from '../../snapshot/backend/breaker.ts';
import { type Attempt, BAD, GOOD, UNDECIDED } from '../watcher.ts';
import { Circuit, type CircuitState } from './circuit.ts';

const SETTINGS: CircuitSettings = {
  errorThresholdPercentage: 50,
  volumeThreshold: 4,
  rollingCountTimeoutMs: 10_000,
  rollingCountBuckets: 10,
  resetTimeoutMs: 30_000,
  halfOpenRequests: 2,
};

/** A circuit with a clock, told of attempts as a pool tells its watchers. */
class Circuits {
  nowMs = 1_000_000;
  readonly states: CircuitState[] = [];
  readonly circuit: Circuit;

  constructor(settings: Partial<CircuitSettings> = {}) {
    this.circuit = new Circuit({ ...SETTINGS, ...settings }, (state) => this.states.push(state));
  }

  begin(): Attempt | null {
    return this.circuit.admits(this.nowMs) ? { chosenAtMs: this.nowMs, verdict: UNDECIDED } : null;
  }

  answer(attempt: Attempt | null, status: number): void {
    if (attempt === null) throw new Error('was not admitted');
    this.circuit.answered(status, this.nowMs - attempt.chosenAtMs, attempt);
    attempt.verdict = status < 500 ? GOOD : BAD;
  }

  fail(attempt: Attempt | null): void {
    if (attempt === null) throw new Error('was not admitted');
    this.circuit.failed('reset', attempt, this.nowMs);
    attempt.verdict = BAD;
  }

  leave(attempt: Attempt | null): void {
    if (attempt !== null) this.circuit.left(attempt);
  }

  /** A whole attempt that takes so long. */
  send(status: number, latencyMs = 1): void {
    const attempt = this.begin();
    this.nowMs += latencyMs;
    this.answer(attempt, status);
    this.leave(attempt);
  }

  open(): void {
    for (let i = 0; i < 4; i++) this.send(500);
    expect(this.circuit.state).toBe('open');
  }

  halfOpen(): void {
    this.open();
    this.nowMs += 30_000;
    this.circuit.elapse(this.nowMs);
    expect(this.circuit.state).toBe('halfOpen');
  }
}

describe('closed', () => {
  test('opens when the share of failures is reached, not before there are enough requests', () => {
    const one = new Circuits();
    for (const status of [500, 503, 200]) one.send(status);
    expect(one.circuit.state).toBe('closed');
    one.send(502);
    expect(one.states).toEqual(['open']);
    expect(one.begin()).toBeNull();
  });

  test('4xx are no failures, and attempts without a verdict count for nothing', () => {
    const one = new Circuits();
    for (let i = 0; i < 10; i++) one.send(404);
    for (let i = 0; i < 10; i++) one.leave(one.begin());
    for (let i = 0; i < 9; i++) one.send(500);
    expect(one.circuit.state).toBe('closed');
    one.send(500);
    expect(one.circuit.state).toBe('open');
  });

  test('what has left the window counts no more', () => {
    const one = new Circuits();
    for (let i = 0; i < 3; i++) one.send(500);
    one.nowMs += 10_000;
    one.send(200);
    one.send(200);
    one.send(500);
    expect(one.circuit.state).toBe('closed');
    one.send(500);
    expect(one.circuit.state).toBe('open');
  });

  test('so many failures in a row open it, whatever the share; a good one between begins anew', () => {
    const one = new Circuits({ consecutiveFailures: 3, volumeThreshold: 1000 });
    for (const status of [500, 500, 200, 500, 500]) one.send(status);
    expect(one.circuit.state).toBe('closed');
    one.fail(one.begin());
    expect(one.circuit.state).toBe('open');
  });

  test('responses that break off each time are failures in a row', () => {
    const one = new Circuits({ consecutiveFailures: 3, volumeThreshold: 1000 });
    for (let i = 0; i < 3; i++) {
      const attempt = one.begin();
      one.answer(attempt, 200);
      one.fail(attempt);
      one.leave(attempt);
    }
    expect(one.circuit.state).toBe('open');
  });

  test('a response that breaks off is one request and one failure', () => {
    const one = new Circuits({ errorThresholdPercentage: 100 });
    for (let i = 0; i < 3; i++) {
      const attempt = one.begin();
      one.answer(attempt, 200);
      one.fail(attempt);
      one.leave(attempt);
    }
    expect(one.circuit.state).toBe('closed');
    one.send(500);
    expect(one.circuit.state).toBe('open');
  });

  test('slow calls open it by their share; without a share nothing is slow', () => {
    const one = new Circuits({ slowCallDurationMs: 100, slowCallThresholdPercentage: 50 });
    const other = new Circuits({ slowCallDurationMs: 100 });
    for (const latencyMs of [100, 1, 101, 101]) {
      expect(one.circuit.state).toBe('closed');
      one.send(200, latencyMs);
      other.send(200, latencyMs);
    }
    expect(one.circuit.state).toBe('open');
    expect(other.circuit.state).toBe('closed');
  });
});

describe('open', () => {
  test('refuses until its time is over, and says how long that is', () => {
    const one = new Circuits();
    one.open();
    const openedMs = one.nowMs;
    expect(one.circuit.remainingMs(one.nowMs)).toBe(30_000);
    one.nowMs += 29_999;
    expect(one.begin()).toBeNull();
    expect(one.circuit.remainingMs(one.nowMs)).toBe(1);
    one.nowMs = openedMs + 30_000;
    expect(one.begin()).not.toBeNull();
    expect(one.states).toEqual(['open', 'halfOpen']);
  });

  test('what began before it opened counts for nothing, then and later', () => {
    const one = new Circuits();
    const old = Array.from({ length: 20 }, () => one.begin());
    one.nowMs += 5;
    one.open();
    one.nowMs += 30_000;
    one.answer(old[0] as Attempt, 200);
    const probe = one.begin();
    one.answer(old[1] as Attempt, 200);
    one.answer(old[2] as Attempt, 200);
    one.leave(old[3] as Attempt);
    expect(one.circuit.state).toBe('halfOpen');
    expect(one.begin()).not.toBeNull();
    expect(one.begin()).toBeNull();
    one.answer(probe, 200);
    one.fail(old[4] as Attempt);
    expect(one.circuit.state).toBe('halfOpen');
  });
});

describe('half open', () => {
  test('lets so many probes through, and closes when all have succeeded', () => {
    const one = new Circuits();
    one.halfOpen();
    const probes = [one.begin(), one.begin()];
    expect(one.begin()).toBeNull();
    one.answer(probes[0] as Attempt, 200);
    // Those that succeeded are not sent again.
    expect(one.begin()).toBeNull();
    one.answer(probes[1] as Attempt, 404);
    expect(one.states).toEqual(['open', 'halfOpen', 'closed']);
    for (let i = 0; i < 3; i++) one.send(500);
    expect(one.circuit.state).toBe('closed');
  });

  test('one failure opens it again, for the whole time; the other probes count for nothing', () => {
    const one = new Circuits();
    one.halfOpen();
    const [bad, late] = [one.begin(), one.begin()];
    one.nowMs += 10;
    one.fail(bad);
    one.leave(bad);
    expect(one.circuit.remainingMs(one.nowMs)).toBe(30_000);
    one.answer(late, 200);
    one.leave(late);
    expect(one.states).toEqual(['open', 'halfOpen', 'open']);
    one.nowMs += 30_000;
    expect([one.begin(), one.begin(), one.begin()].filter((attempt) => attempt !== null)).toHaveLength(2);
  });

  test('a slow probe is a failure', () => {
    const one = new Circuits({ slowCallDurationMs: 100, slowCallThresholdPercentage: 90 });
    one.halfOpen();
    one.send(200, 101);
    expect(one.circuit.state).toBe('open');
  });

  test('a client that leaves gives its place back, and so does one for whom nothing began', () => {
    const one = new Circuits();
    one.halfOpen();
    const [left, kept] = [one.begin(), one.begin()];
    one.answer(kept, 200);
    one.leave(left);
    expect(one.circuit.admits(one.nowMs)).toBe(true);
    expect(one.circuit.admits(one.nowMs)).toBe(false);
    one.circuit.withdraw();
    one.send(200);
    expect(one.circuit.state).toBe('closed');
    one.leave(kept);
    expect(one.begin()).not.toBeNull();
  });
});

test('never more probes at a time than it may, whatever happens; and it is open for its time and no longer', () => {
  const step = fc.record({
    what: fc.constantFrom('begin', 'begin', 'good', 'bad', 'fail', 'leave', 'wait'),
    which: fc.nat(20),
    ms: fc.integer({ min: 1, max: 20_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (steps, halfOpenRequests) => {
      const one = new Circuits({ halfOpenRequests, volumeThreshold: 2 });
      let under: Attempt[] = [];
      let openedMs = 0;
      for (const { what, which, ms } of steps) {
        const attempt = under[which % Math.max(1, under.length)];
        const before = one.circuit.state;
        if (what === 'wait') one.nowMs += ms;
        else if (what === 'begin') {
          const begun = one.begin();
          if (begun !== null) under.push(begun);
          else if (one.circuit.state === 'open') expect(one.nowMs - openedMs).toBeLessThan(30_000);
        } else if (attempt !== undefined) {
          if (what === 'fail') one.fail(attempt);
          else if (what !== 'leave' && attempt.verdict === UNDECIDED) one.answer(attempt, what === 'good' ? 200 : 500);
          if (what !== 'good') {
            one.leave(attempt);
            under = under.filter((other) => other !== attempt);
          }
        }
        if (one.circuit.state === 'open' && before !== 'open') openedMs = one.nowMs;
        if (one.circuit.state === 'halfOpen') {
          const probes = under.filter(({ chosenAtMs, verdict }) => chosenAtMs > openedMs && verdict === UNDECIDED);
          expect(probes.length).toBeLessThanOrEqual(halfOpenRequests);
        }
      }
    }),
  );
});
