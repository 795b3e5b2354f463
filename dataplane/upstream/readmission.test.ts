import { expect, test } from 'vitest';
import { TimerWheel } from '../io/wheel.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { backendFixture, endpointsFixture } from '../snapshot/fixtures.ts';
import { seeded } from './balance/balance.fixture.ts';
import type { EndpointPool } from './endpoint-pool.ts';
import { createUpstream } from './upstream.ts';
import { UNDECIDED } from './watcher.ts';

test('with peakEwma an endpoint that failed gets requests as soon as its health is back', () => {
  const clock = { ms: 1_000 };
  const wheel = new TimerWheel({ now: () => clock.ms, automatic: false });
  const backend = { ...backendFixture('ns/a'), balancing: { algorithm: 'peakEwma' as const } };
  const hosts = [1, 2, 3, 4].map((i) => ({ address: `10.0.0.${i}`, port: 80, weight: 1 }));
  const upstream = createUpstream(
    backend,
    { ...endpointsFixture('ns/a'), endpoints: hosts },
    { wheel, random: seeded(3) },
  );
  const exchange = memoryExchange('GET /');
  const one = (end: (pool: EndpointPool, attempt: { chosenAtMs: number; verdict: 0 }) => void): string => {
    const pool = upstream.pick(exchange, null);
    if (pool === null) throw new Error('no endpoint');
    const attempt = { chosenAtMs: clock.ms, verdict: UNDECIDED } as const;
    end(pool, attempt);
    pool.leave(attempt);
    clock.ms += 5;
    return pool.name;
  };
  const well = () => one((pool, attempt) => pool.answered(attempt, 200, 5));
  for (let i = 0; i < 100; i++) well();
  const failed = one((pool, attempt) => pool.failed(attempt, 'connect'));
  upstream.view({ endpoints: null, unhealthy: [failed] });
  for (let i = 0; i < 20; i++) expect(well()).not.toBe(failed);
  upstream.view({ endpoints: null, unhealthy: [] });
  const next = Array.from({ length: 40 }, well);
  expect(next.filter((name) => name === failed).length).toBeGreaterThan(4);
  upstream.close();
});
