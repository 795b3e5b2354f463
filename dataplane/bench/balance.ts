/**
 * ns a pick, and ms to make a balancer, for each algorithm, 8 and 1,000 endpoints, equal and unequal weights; then the whole choice of an
 * upstream, and what a change of it costs: `node --conditions=source dataplane/bench/balance.ts`.
 */
import { TimerWheel } from '../io/wheel.ts';
import { Headers } from '../pipeline/headers.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import type { Balancing } from '../snapshot/backend/balancing.ts';
import { createBalancer } from '../upstream/balance/create.ts';
import { hashText } from '../upstream/balance/hash.ts';
import { LatencyMeter } from '../upstream/balance/latency-meter.ts';
import { createUpstream } from '../upstream/upstream.ts';
import { UNHEALTHY } from '../upstream/watcher.ts';
import { measure, report } from './measure.ts';

const BATCH = 512;
const BATCHES = 200;
const KEYS = Uint32Array.from({ length: 4096 }, (_, i) => hashText(`user-${i}`));
const clock = { ms: 1 };
const heard = { atMs: 0 };

const settings: [string, Balancing][] = [
  ['roundRobin', { algorithm: 'roundRobin' }],
  ['random', { algorithm: 'random' }],
  ['leastRequest', { algorithm: 'leastRequest' }],
  ['peakEwma', { algorithm: 'peakEwma' }],
  ['maglev', { algorithm: 'maglev' }],
  ['maglev, bounded load', { algorithm: 'maglev', maxLoadPercent: 125 }],
  ['ringHash', { algorithm: 'ringHash' }],
  ['ringHash, bounded load', { algorithm: 'ringHash', maxLoadPercent: 125 }],
];

for (const count of [8, 1000]) {
  for (const unequal of [false, true]) {
    const weights = Array.from({ length: count }, (_, i) => (unequal ? 1 + ((i * 7919) % 97) : 1));
    const candidates = weights.map((weight, i) => {
      const latency = new LatencyMeter(() => clock.ms, heard);
      latency.answered(200, 1 + (i % 5));
      return { name: `10.0.${i >> 8}.${i & 255}:80`, active: weight, latency };
    });
    const tally = { active: weights.reduce((sum, weight) => sum + weight, 0) };
    for (const [name, balancing] of settings) {
      const input = {
        candidates,
        weights,
        unit: tally.active / count,
        tally,
        random: Math.random,
        now: () => clock.ms,
        start: 0,
      };
      const { pick } = createBalancer(balancing, input);
      report(
        `${name}, ${count} ${unequal ? 'unequal' : 'equal'}`,
        measure((i) => pick(KEYS[i & 4095] as number), BATCH, BATCHES),
      );
    }
  }
}

const exchange = memoryExchange('GET /', { clientAddress: '192.0.2.7' });
exchange.headers.add('x-user', 'somebody@example.com');
exchange.headers.add('cookie', 'a=1; session=0123456789abcdef0123456789abcdef');
exchange.responseHeaders = new Headers();
const attempt = { chosenAtMs: 0, verdict: 0 as const };
const whole: [string, Balancing][] = [
  ...settings.slice(0, 4),
  ['maglev by header', { algorithm: 'maglev', hash: { by: 'header', name: 'x-user' } }],
  ['maglev by cookie', { algorithm: 'maglev', hash: { by: 'cookie', name: 'session' } }],
  ['ringHash by address', { algorithm: 'ringHash', hash: { by: 'address' } }],
  [
    'roundRobin, sticky, zones, slow start',
    {
      algorithm: 'roundRobin',
      sticky: { cookie: 'session', ttlMs: 0, path: '/', key: 'k' },
      preferZone: true,
      slowStartMs: 30_000,
    },
  ],
];
for (const count of [8, 1000]) {
  for (const [name, balancing] of whole) {
    const wheel = new TimerWheel({ now: () => clock.ms, automatic: false });
    const upstream = createUpstream(
      {
        kind: 'backend',
        id: 'backend/bench/plain',
        protocol: 'http1',
        balancing,
        connectTimeoutMs: 1000,
        pool: { maxConnections: 1, maxPending: 1, idleTimeoutMs: 1000 },
        endpoints: 'endpoints/bench/plain',
      },
      {
        kind: 'endpoints',
        id: 'endpoints/bench/plain',
        endpoints: Array.from({ length: count }, (_, i) => ({
          address: `10.0.${i >> 8}.${i & 255}`,
          port: 80,
          weight: 1 + ((i * 7919) % 97),
          zone: `z${i % 3}`,
        })),
      },
      { wheel, zone: 'z0' },
    );
    const once = (): number => {
      const pool = upstream.pick(exchange, null);
      if (pool === null) throw new Error('no endpoint');
      pool.answered(attempt, 200, 1);
      pool.leave(attempt);
      return pool.port;
    };
    report(`upstream: pick, answer, leave: ${name}, ${count}`, measure(once, BATCH, BATCHES));
    const block = upstream.pick(exchange, null);
    if (block === null) throw new Error('no endpoint');
    block.leave(attempt);
    let on = false;
    const flap = (): number => {
      on = !on;
      block.block(UNHEALTHY, on);
      return once();
    };
    report(`upstream: an endpoint fails or is back, pick: ${name}, ${count}`, measure(flap, 4, 10));
    upstream.close();
  }
}
