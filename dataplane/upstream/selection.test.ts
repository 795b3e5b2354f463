import { describe, expect, test } from 'vitest';
import { TimerWheel } from '../io/wheel.ts';
import { backendFixture } from '../snapshot/fixtures.ts';
import type { Endpoint } from '../snapshot/resources.ts';
import { createDialer } from './dial/dialer.ts';
import { NO_MATERIALS } from './dial/tls-settings.ts';
import { EndpointPool } from './endpoint-pool.ts';
import { type SelectionSettings, select } from './selection.ts';
import { EJECTED, OPEN, UNHEALTHY } from './watcher.ts';

const wheel = new TimerWheel({ automatic: false });

function pools(...endpoints: Partial<Endpoint>[]): EndpointPool[] {
  const backend = backendFixture('ns/b');
  const dialer = createDialer(backend, NO_MATERIALS);
  return endpoints.map(
    (more, i) => new EndpointPool({ address: `10.0.0.${i}`, port: 80, weight: 1, ...more }, backend, dialer, { wheel }),
  );
}

function settings(more: Partial<SelectionSettings> & { panicPercent?: number } = {}): SelectionSettings {
  const { panicPercent, ...rest } = more;
  return {
    balancing: { algorithm: 'roundRobin' },
    health: panicPercent === undefined ? undefined : { panicPercent },
    zone: '',
    risen: () => 1,
    ...rest,
  };
}

/** Name and share of all requests, in percent. */
function shares(list: EndpointPool[], with_: SelectionSettings): string[] {
  const { pools: chosen, weights } = select(list, with_);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return chosen.map(({ address }, i) => `${address} ${Math.round(((weights[i] as number) / total) * 100)}`);
}

function block(list: EndpointPool[], reason: number, ...indexes: number[]): void {
  for (const i of indexes) list[i]?.block(reason, true);
}

describe('selection', () => {
  test('weights are those configured as long as nothing else plays a part', () => {
    const list = pools({ weight: 3 }, { weight: 500 }, { weight: 7 });
    block(list, UNHEALTHY, 1);
    expect(select(list, settings()).weights).toEqual([3, 7]);
  });

  test('priorities: by weight of what serves, the first tier at its own weights', () => {
    const list = pools({}, {}, { priority: 1, weight: 5 }, { priority: 1, weight: 5 });
    expect(select(list, settings()).pools).toHaveLength(2);
    expect(select(list, settings()).spare.map(({ address }) => address)).toEqual(['10.0.0.2', '10.0.0.3']);
    block(list, EJECTED, 0);
    expect(shares(list, settings({ panicPercent: 0 }))).toEqual(['10.0.0.1 70', '10.0.0.2 15', '10.0.0.3 15']);
    expect(select(list, settings({ panicPercent: 0 })).weights[0]).toBe(1);
    block(list, UNHEALTHY, 1);
    expect(shares(list, settings({ panicPercent: 0 }))).toEqual(['10.0.0.2 50', '10.0.0.3 50']);
  });

  test('panic: below the share health counts no more, open breakers do', () => {
    const list = pools({}, {}, {}, {}, { priority: 1 });
    block(list, UNHEALTHY, 0, 1);
    const at50 = settings({ panicPercent: 50 });
    expect(select(list, at50)).toMatchObject({ panic: false });
    block(list, EJECTED, 2);
    block(list, OPEN, 0);
    const selection = select(list, at50);
    expect(selection.panic).toBe(true);
    // Three of four may be asked in the first tier: it carries everything.
    expect(selection.pools.map(({ address }) => address)).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  });

  test('panic at 0 % is never: none healthy, none chosen', () => {
    const list = pools({}, {});
    block(list, UNHEALTHY, 0, 1);
    expect(select(list, settings({ panicPercent: 0 })).pools).toEqual([]);
    expect(select(list, settings({ panicPercent: 1 })).pools).toHaveLength(2);
  });

  test('breakers alone cause no panic', () => {
    const list = pools({}, {});
    block(list, OPEN, 0, 1);
    expect(select(list, settings({ panicPercent: 100 }))).toMatchObject({ pools: [], panic: false });
  });

  test('zones within each tier, and not in panic', () => {
    const list = pools({ zone: 'a' }, { zone: 'b' }, { zone: 'b', priority: 1 }, { zone: 'c', priority: 1 });
    const near = settings({ zone: 'a', balancing: { algorithm: 'random', preferZone: true }, panicPercent: 50 });
    expect(shares(list, near)).toEqual(['10.0.0.0 100']);
    expect(shares(list, { ...near, zone: '' })).toEqual(['10.0.0.0 50', '10.0.0.1 50']);
    block(list, UNHEALTHY, 0, 1);
    expect(shares(list, near)).toEqual(['10.0.0.2 50', '10.0.0.3 50']);
    block(list, UNHEALTHY, 2);
    expect(shares(list, near)).toEqual(['10.0.0.0 50', '10.0.0.1 50']);
  });

  test('slow start weighs within the tier, which keeps its share', () => {
    const list = pools({}, {}, {}, { priority: 1 });
    const rising = settings({ risen: (pool) => (pool === list[0] ? 0.1 : 1), panicPercent: 0 });
    expect(select(list, rising).weights).toEqual([0.1, 1, 1]);
    block(list, UNHEALTHY, 2);
    expect(shares(list, rising)).toEqual(['10.0.0.0 8', '10.0.0.1 85', '10.0.0.3 7']);
  });

  test('nothing there', () => {
    expect(select([], settings({ panicPercent: 50 }))).toEqual({ pools: [], weights: [], spare: [], panic: false });
  });
});
