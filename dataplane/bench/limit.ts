/**
 * ns and garbage a request for each algorithm and for the stage, with 1, 10,000 and a million keys:
 * `node --conditions=source dataplane/bench/limit.ts`.
 */
import { KeyHash } from '../limit/hash.ts';
import { createLimitMemory } from '../limit/memory.ts';
import { createMemoryStore } from '../limit/memory-store.ts';
import { packShare } from '../limit/share.ts';
import { type Algorithm, type LimiterOptions, newDecision } from '../limit/store.ts';
import { Headers } from '../pipeline/headers.ts';
import { memoryExchange } from '../pipeline/memory-downstream.ts';
import { rateLimitSection } from '../snapshot/sections/rate-limit.ts';
import { contextFixture } from '../stages/context.fixture.ts';
import { createRateLimit } from '../stages/rate-limit/stage.ts';
import { measure, report } from './measure.ts';

const BATCH = 256;
const BATCHES = 600;

const memory = createLimitMemory({ keys: 262_144, workers: 2 });
const store = createMemoryStore({ memory, worker: 0 });
const decision = newDecision();

const options = (algorithm: Algorithm, global = false): LimiterOptions => ({
  scope: `policy/ns/limits/rateLimit ${algorithm} ${global}`,
  algorithm,
  limit: 1_000_000_000,
  windowMs: algorithm === 'concurrency' ? 0 : 1_000,
  burst: 1_000_000_000,
  global,
  mode: 'exact',
});

/** Strings as a parser makes them. */
const keys = Array.from({ length: 1_000_000 }, (_, i) =>
  Buffer.from(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`).toString('latin1'),
);
const hash = new KeyHash(memory.seed, 'policy');
report(
  'hash of an address',
  measure((i) => hash.update(keys[i] as string), BATCH, BATCHES),
);
for (const algorithm of ['tokenBucket', 'fixedWindow', 'slidingWindow', 'concurrency'] as const) {
  const limiter = store.open(options(algorithm));
  const held = algorithm === 'concurrency';
  const one = (key: string): void => {
    limiter.take(key, 1, decision);
    if (held) limiter.giveBack(key, 1);
  };
  report(
    `${algorithm}, one key`,
    measure(() => one('192.0.2.7'), BATCH, BATCHES),
  );
  let next = 0;
  report(
    `${algorithm}, 10,000 keys`,
    measure(() => one(keys[next++ % 10_000] as string), BATCH, BATCHES),
  );
}
for (const place of [null, 0, 2]) {
  new Int32Array(memory.share)[0] = place === null ? 1 : packShare({ place, of: 3 });
  const limiter = store.open(options('tokenBucket', true));
  const name = place === null ? 'tokenBucket, global, the only data plane' : `tokenBucket, global, share ${place} of 3`;
  report(
    name,
    measure(() => limiter.take('192.0.2.7', 1, decision), BATCH, BATCHES),
  );
}
const flooded = createMemoryStore({ memory: createLimitMemory({ keys: 65_536, workers: 1 }), worker: 0 }).open(
  options('tokenBucket'),
);
let at = 0;
report(
  'tokenBucket, a million keys in 65,536 slots',
  measure(() => flooded.take(keys[at++ % 1_000_000] as string, 1, decision), BATCH, BATCHES),
);

const limit = {
  name: 'per-client',
  algorithm: 'tokenBucket',
  limit: 1_000_000_000,
  windowMs: 1_000,
  key: [{ by: 'address' }],
};
const stageCases: [string, unknown[], Record<string, unknown>][] = [
  ['stage: one limit by address', [limit], {}],
  ['stage: the same, without response fields', [limit], { responseFields: false }],
  ['stage: the same, IPv6 /64', [{ ...limit, key: [{ by: 'address' }] }], { v6: true }],
  ['stage: two limits, composed key', [limit, { ...limit, name: 'b', key: [{ by: 'address' }, { by: 'rule' }] }], {}],
  ['stage: one limit, share of 3', [{ ...limit, scope: 'global' }], {}],
  [
    'stage: requests in flight',
    [{ name: 'c', algorithm: 'concurrency', limit: 1_000_000, key: [{ by: 'address' }] }],
    {},
  ],
];
const { services } = contextFixture();
const context = contextFixture({ services: { ...services, limits: { memory: store, redis: null } } });
for (const [name, limits, { v6, ...more }] of stageCases) {
  const stage = createRateLimit(rateLimitSection.parse({ section: 'rateLimit', limits, ...more }), context);
  const { onRequest, onResponse, onFinish } = stage;
  const make = () =>
    Array.from({ length: BATCH }, (_, i) => {
      const clientAddress = v6 ? `2001:db8:0:${i}::1` : (keys[i] as string);
      const exchange = memoryExchange('GET /', { clientAddress });
      exchange.responseHeaders = new Headers(['content-type', 'text/plain', 'server', 'x']);
      return exchange;
    });
  let made = make();
  const prepare = () => {
    made = make();
  };
  report(
    name,
    measure(
      (i) => {
        const exchange = made[i] as (typeof made)[number];
        onRequest?.(exchange);
        void onResponse?.(exchange);
        onFinish?.(exchange);
      },
      BATCH,
      BATCHES,
      prepare,
    ),
  );
}
