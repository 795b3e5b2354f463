/**
 * ns and garbage an attempt for what guards a backend (choice, the answer's head, the end), and what opossum costs instead:
 * `node --conditions=source dataplane/bench/guards.ts`.
 */
import CircuitBreaker from 'opossum';
import { startWheel } from '../io/wheel.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import type { Circuit } from '../snapshot/backend/breaker.ts';
import type { PassiveHealth } from '../snapshot/backend/health.ts';
import { backendFixture, endpointsFixture } from '../snapshot/fixtures.ts';
import type { BackendResource } from '../snapshot/resources.ts';
import { createUpstream } from '../upstream/upstream.ts';
import { type Attempt, UNDECIDED } from '../upstream/watcher.ts';
import { measure, report } from './measure.ts';

const wheel = startWheel();
const exchange = memoryExchange('GET /');
const ENDPOINTS = 8;

const circuit: Circuit = {
  errorThresholdPercentage: 50,
  volumeThreshold: 20,
  rollingCountTimeoutMs: 10_000,
  rollingCountBuckets: 10,
  consecutiveFailures: 10,
  slowCallDurationMs: 2_000,
  slowCallThresholdPercentage: 50,
  resetTimeoutMs: 30_000,
  halfOpenRequests: 3,
};
const passive: PassiveHealth = {
  consecutiveErrors: 5,
  consecutiveConnectErrors: 3,
  successRate: { minRequests: 100, minEndpoints: 5, stdevFactorPercent: 190 },
  latency: { minRequests: 100, factorPercent: 500 },
  intervalMs: 5_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectedPercent: 50,
};
const health = { panicPercent: 50, passive };
const limits = backendFixture('a/b').pool;

function attempts(name: string, more: Partial<BackendResource>, status = 200): void {
  const addresses = Array.from({ length: ENDPOINTS }, (_, i) => `10.0.0.${i}:80`);
  const upstream = createUpstream({ ...backendFixture('a/b'), ...more }, endpointsFixture('a/b', ...addresses), {
    wheel,
  });
  const attempt = { chosenAtMs: 0, verdict: UNDECIDED } as { -readonly [K in keyof Attempt]: Attempt[K] };
  report(
    name,
    measure(() => {
      const pool = upstream.pick(exchange, null);
      if (pool === null) throw new Error('refused');
      attempt.chosenAtMs = wheel.now();
      attempt.verdict = UNDECIDED;
      pool.answered(attempt, status, 1.5);
      pool.leave(attempt);
      return pool;
    }),
  );
  upstream.close();
}

console.log(`an attempt at one of ${ENDPOINTS} endpoints, the reading of the clock included`);
attempts('nothing configured', {});
attempts('outlier ejection, all detectors', { health });
attempts('breaker of each endpoint', { breaker: { endpoint: circuit } });
attempts('breaker of the backend', { breaker: { backend: circuit } });
attempts('both breakers and outlier ejection', { health, breaker: { endpoint: circuit, backend: circuit } });
const { consecutiveFailures: _, ...shares } = circuit;
attempts(
  'both breakers, answers that fail',
  {
    breaker: {
      endpoint: { ...shares, volumeThreshold: 1_000_000 },
      backend: { ...shares, volumeThreshold: 1_000_000 },
    },
  },
  500,
);
attempts('maxRequests', { pool: { ...limits, maxRequests: 1_000 } });
attempts('adaptive limit', { pool: { ...limits, adaptive: { minLimit: 10, maxLimit: 1_000, tolerancePercent: 150 } } });
attempts('all of it', {
  health,
  breaker: { endpoint: circuit, backend: circuit },
  pool: { ...limits, maxRequests: 1_000, adaptive: { minLimit: 10, maxLimit: 1_000, tolerancePercent: 150 } },
});
wheel.stop();

/** The fastest tenth of batches of fires one after the other, as `measure` has it for what returns at once. */
async function fires(name: string, call: () => Promise<unknown>): Promise<void> {
  const times: number[] = [];
  for (let batch = 0; batch < 400; batch++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < 256; i++) await call();
    if (batch >= 200) times.push(Number(process.hrtime.bigint() - start) / 256);
  }
  times.sort((a, b) => a - b);
  const ns = (q: number): string => (times[Math.floor(times.length * q)] as number).toFixed(0).padStart(6);
  console.log(`${name.padEnd(48)} best ${ns(0.1)} ns   median ${ns(0.5)} ns`);
}

console.log('opossum, around a call that is there at once');
const good = async (): Promise<number> => 1;
const refused = new Error('refused');
const bad = async (): Promise<number> => {
  throw refused;
};
const bare = { timeout: false, rollingPercentilesEnabled: false, enableSnapshots: false } as const;
const never = { volumeThreshold: Number.MAX_SAFE_INTEGER };
await fires('the call alone, awaited', good);
for (const [name, action, options] of [
  ['fire(), as it comes', good, {}],
  ['fire(), no time-out, percentiles, snapshots', good, bare],
  ['the same, a call that fails', bad, { ...bare, ...never }],
] as const) {
  const breaker = new CircuitBreaker(action, { ...options });
  await fires(name, () => breaker.fire().catch(() => null));
  breaker.shutdown();
}
