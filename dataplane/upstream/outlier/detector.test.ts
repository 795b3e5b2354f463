import { describe, expect, test } from 'vitest';
import { TimerWheel } from '../../io/wheel.ts';
import type { PassiveHealth } from '../../snapshot/backend/health.ts';
import { type Attempt, type AttemptFailure, BAD, GOOD, UNDECIDED } from '../watcher.ts';
import { OutlierDetector } from './detector.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import { ejectable, ejectionMs, lowSuccess, slow } from './judge.ts';

const SETTINGS: PassiveHealth = {
  intervalMs: 5_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 120_000,
  maxEjectedPercent: 50,
};

/** A backend of so many endpoints with a clock. */
class Backend {
  readonly clock = { ms: 1_000_000 };
  readonly wheel = new TimerWheel({ now: () => this.clock.ms, automatic: false, tickMs: 1 });
  readonly events: string[] = [];
  readonly detector: OutlierDetector;
  readonly records: EndpointRecord[];

  constructor(endpoints: number, settings: Partial<PassiveHealth>) {
    this.detector = new OutlierDetector({
      settings: { ...SETTINGS, ...settings },
      wheel: this.wheel,
      random: () => 0,
      onEjected: ({ name }, reason, forMs) => this.events.push(`${name} ${reason} ${forMs / 1000}s`),
      onReadmitted: ({ name }) => this.events.push(`${name} back`),
      onSpared: ({ name }) => this.events.push(`${name} spared`),
    });
    this.records = Array.from({ length: endpoints }, (_, i) => this.detector.create(`e${i}`, () => {}));
  }

  begin(): Attempt {
    return { chosenAtMs: this.clock.ms, verdict: UNDECIDED };
  }

  /** A whole attempt at endpoint `i`. */
  send(i: number, status: number, latencyMs = 1, times = 1): void {
    const record = this.records[i] as EndpointRecord;
    for (let sent = 0; sent < times; sent++) {
      const attempt = this.begin();
      record.answered(status, latencyMs, attempt);
      attempt.verdict = status < 500 ? GOOD : BAD;
      record.left(attempt);
    }
  }

  fail(i: number, failure: AttemptFailure, times = 1): void {
    const record = this.records[i] as EndpointRecord;
    for (let failed = 0; failed < times; failed++) {
      const attempt = this.begin();
      record.failed(failure, attempt);
      attempt.verdict = BAD;
      record.left(attempt);
    }
  }

  pass(ms: number): void {
    for (const until = this.clock.ms + ms; this.clock.ms < until; ) {
      this.clock.ms += 100;
      this.wheel.advance();
    }
  }
}

describe('errors in a row', () => {
  test('eject at once; a good answer between begins anew; 4xx is good', () => {
    const backend = new Backend(4, { consecutiveErrors: 5 });
    backend.send(0, 500, 1, 4);
    backend.send(0, 404);
    backend.send(0, 503, 1, 2);
    backend.fail(0, 'reset', 2);
    expect(backend.events).toEqual([]);
    backend.fail(0, 'timeout');
    expect(backend.events).toEqual(['e0 consecutiveErrors 30s']);
  });

  test('responses that always break off are errors in a row', () => {
    const backend = new Backend(4, { consecutiveErrors: 3 });
    for (let i = 0; i < 3; i++) {
      const record = backend.records[1] as EndpointRecord;
      const attempt = backend.begin();
      record.answered(200, 1, attempt);
      attempt.verdict = GOOD;
      record.failed('reset', attempt);
      attempt.verdict = BAD;
      record.left(attempt);
    }
    expect(backend.events).toEqual(['e1 consecutiveErrors 30s']);
  });

  test('connect errors have a threshold of their own; an answer, good or not, and a reset begin anew', () => {
    const backend = new Backend(4, { consecutiveConnectErrors: 3 });
    backend.fail(0, 'connect', 2);
    backend.send(0, 500);
    backend.fail(0, 'connect-timeout', 2);
    backend.fail(0, 'reset');
    backend.fail(0, 'connect', 2);
    expect(backend.events).toEqual([]);
    backend.fail(0, 'connect-timeout');
    expect(backend.events).toEqual(['e0 consecutiveConnectErrors 30s']);
  });

  test('an attempt without a verdict counts for nothing', () => {
    const backend = new Backend(4, { consecutiveErrors: 2 });
    backend.fail(0, 'reset');
    (backend.records[0] as EndpointRecord).left(backend.begin());
    backend.fail(0, 'reset');
    expect(backend.events).toEqual(['e0 consecutiveErrors 30s']);
  });
});

describe('ejection', () => {
  test('lasts longer each time up to the maximum, and shorter again after intervals without one', () => {
    const backend = new Backend(4, { consecutiveErrors: 1 });
    for (const seconds of [30, 60, 90, 120, 120]) {
      backend.events.length = 0;
      backend.fail(0, 'reset');
      expect(backend.events).toEqual([`e0 consecutiveErrors ${seconds}s`]);
      backend.pass(seconds * 1000 - 200);
      expect(backend.events).toHaveLength(1);
      backend.pass(400);
      expect(backend.events[1]).toBe('e0 back');
    }
    backend.pass(15_200);
    backend.events.length = 0;
    backend.fail(0, 'reset');
    // 4 in a row, less two or three whole intervals, and this one.
    expect(backend.events).toEqual([expect.stringMatching(/ (60|90)s$/)]);
    backend.pass(150_000);
    backend.events.length = 0;
    backend.fail(0, 'reset');
    expect(backend.events).toEqual(['e0 consecutiveErrors 30s']);
  });

  test('what began before it came back counts for nothing', () => {
    const backend = new Backend(4, { consecutiveErrors: 1 });
    const record = backend.records[0] as EndpointRecord;
    const old = backend.begin();
    backend.fail(0, 'reset');
    backend.pass(31_000);
    record.failed('timeout', old);
    expect(backend.events).toEqual(['e0 consecutiveErrors 30s', 'e0 back']);
  });

  test('of no more than the share, and of one where there are two', () => {
    const backend = new Backend(5, { consecutiveErrors: 1, maxEjectedPercent: 50 });
    for (const i of [0, 1, 2, 3]) backend.fail(i, 'reset');
    expect(backend.events.map((event) => event.slice(0, 9))).toEqual([
      'e0 consec',
      'e1 consec',
      'e2 spared',
      'e3 spared',
    ]);
    const two = new Backend(2, { consecutiveErrors: 1, maxEjectedPercent: 0 });
    for (const i of [0, 1]) two.fail(i, 'reset');
    expect(two.events.map((event) => event.slice(0, 9))).toEqual(['e0 consec', 'e1 spared']);
    expect([1, 2, 3, 10].map((endpoints) => ejectable(endpoints, 34))).toEqual([0, 1, 1, 3]);
    expect(ejectable(1, 100)).toBe(1);
  });

  test('an endpoint that went makes room, and is not touched any more', () => {
    const backend = new Backend(3, { consecutiveErrors: 1, maxEjectedPercent: 34 });
    backend.fail(0, 'reset');
    (backend.records[0] as EndpointRecord).close();
    backend.fail(0, 'reset', 3);
    backend.fail(1, 'reset');
    backend.pass(40_000);
    expect(backend.events).toEqual(['e0 consecutiveErrors 30s', 'e1 consecutiveErrors 30s', 'e1 back']);
  });

  test('nothing is armed where there is nothing to do', () => {
    const backend = new Backend(3, { consecutiveErrors: 1, latency: { minRequests: 1, factorPercent: 500 } });
    expect(backend.wheel.size).toBe(0);
    backend.send(0, 200);
    expect(backend.wheel.size).toBe(1);
    backend.pass(11_000);
    expect(backend.wheel.size).toBe(0);
    backend.fail(0, 'reset');
    backend.pass(60_000);
    expect(backend.events.at(-1)).toBe('e0 back');
    expect(backend.wheel.size).toBe(0);
  });

  test('its length: the count times the base, bounded, and up to a tenth more', () => {
    expect([1, 2, 9].map((count) => ejectionMs(count, SETTINGS, 0))).toEqual([30_000, 60_000, 120_000]);
    expect(ejectionMs(1, SETTINGS, 0.5)).toBeCloseTo(31_500);
    expect(ejectionMs(1, { baseEjectionMs: 50, maxEjectionMs: 10 }, 0)).toBe(50);
  });
});

describe('once an interval', () => {
  test('the success rate of one that lies far below the others ejects it', () => {
    const successRate = { minRequests: 100, minEndpoints: 5, stdevFactorPercent: 190 };
    const backend = new Backend(6, { successRate });
    for (const i of [0, 1, 2, 3, 4]) backend.send(i, 200, 1, 100);
    backend.send(5, 200, 1, 50);
    backend.send(5, 500, 1, 50);
    backend.pass(4_800);
    expect(backend.events).toEqual([]);
    backend.pass(400);
    expect(backend.events).toEqual(['e5 successRate 30s']);
  });

  test('one with too few requests is not judged; each interval is judged for itself', () => {
    const successRate = { minRequests: 100, minEndpoints: 3, stdevFactorPercent: 100 };
    const backend = new Backend(5, { successRate });
    for (const i of [0, 1, 2, 3]) backend.send(i, 200, 1, 100);
    backend.send(4, 500, 1, 99);
    backend.pass(5_100);
    backend.send(4, 500);
    backend.pass(5_100);
    expect(backend.events).toEqual([]);
  });

  test('latency many times the median ejects', () => {
    const backend = new Backend(4, { latency: { minRequests: 10, factorPercent: 500 } });
    for (const i of [0, 1, 2]) backend.send(i, 200, 10, 20);
    backend.send(3, 200, 100, 20);
    backend.pass(5_100);
    expect(backend.events).toEqual(['e3 latency 30s']);
  });

  const seen = (good: number, requests: number, meanMs = 0) => ({
    seen: { requests, good, answered: requests, latencySumMs: meanMs * requests },
  });

  test('Envoy’s bound: mean less so many standard deviations, of the population', () => {
    // Mean 0.82, deviation 0.36: the bound of factor 1.9 lies at 0.136.
    const five = [seen(100, 100), seen(100, 100), seen(100, 100), seen(100, 100), seen(10, 100)];
    const settings = { minRequests: 100, minEndpoints: 5, stdevFactorPercent: 190 };
    expect(lowSuccess(five, settings)).toEqual([five[4]]);
    expect(lowSuccess(five, { ...settings, stdevFactorPercent: 210 })).toEqual([]);
    expect(lowSuccess(five, { ...settings, minEndpoints: 6 })).toEqual([]);
    expect(lowSuccess(five, { ...settings, minRequests: 101 })).toEqual([]);
    expect(lowSuccess([], { ...settings, minEndpoints: 1 })).toEqual([]);
  });

  test('the worst come first, all alike are no outliers, and of two one can be slow', () => {
    const settings = { minRequests: 1, factorPercent: 300 };
    const five = [seen(1, 1, 10), seen(1, 1, 50), seen(1, 1, 10), seen(1, 1, 90), seen(1, 1, 12)];
    expect(slow(five, settings)).toEqual([five[3], five[1]]);
    const alike = Array.from({ length: 5 }, () => seen(0, 10, 40));
    expect(slow(alike, settings)).toEqual([]);
    expect(lowSuccess(alike, { minRequests: 1, minEndpoints: 1, stdevFactorPercent: 100 })).toEqual([]);
    expect(slow(five.slice(0, 2), settings)).toEqual([five[1]]);
    expect(slow(five.slice(0, 1), settings)).toEqual([]);
    // 0.5 and 4 ms: noise.
    expect(slow([seen(1, 1, 0.5), seen(1, 1, 4)], settings)).toEqual([]);
  });
});
