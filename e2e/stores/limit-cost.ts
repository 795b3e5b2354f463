/** CPU a decision of a token bucket over 1,000 callers: in memory, leased from a real Redis, asked of it each time. */
import { createLimitMemory } from '../../dataplane/limit/memory.ts';
import { createMemoryStore } from '../../dataplane/limit/memory-store.ts';
import { type Limiter, type LimiterOptions, newDecision } from '../../dataplane/limit/store.ts';
import { RedisLimitStore } from '../../dataplane/store/limits/store.ts';
import { Redis } from '../../dataplane/store/redis/redis.ts';
import { startRedisProcess } from '../components/redis.ts';

const ROUNDS = 5;
/** As many requests at once as a worker may have. */
const AT_ONCE = 64;

const callers = Array.from({ length: 1_000 }, (_, i) => `192.0.2.${i}`);
const options = (mode: LimiterOptions['mode']): LimiterOptions => ({
  scope: `policy/bench/cost/rateLimit ${mode}`,
  algorithm: 'tokenBucket',
  limit: 1e8,
  windowMs: 1_000,
  burst: 1e8,
  global: true,
  mode,
});

const server = await startRedisProcess();
if (server === undefined) process.exit(1);
const redis = new Redis({ url: server.url, counter: () => ({ value: 0 }) });
redis.open();
await redis.attempted();
const shared = new RedisLimitStore({ redis, timeoutMs: 2_000, now: () => performance.now(), workers: () => 3 });
const memory = createMemoryStore({ memory: createLimitMemory({ keys: 100_000, workers: 1 }), worker: 0 });

await report('memory', memory.open(options('exact')), 2_000_000);
await report('leased', shared.open(options('leased')), 2_000_000);
await report('exact', shared.open(options('exact')), 50_000);
await redis.close();
await server.stop();

/** The best round: what it costs when nobody else uses the core. This process's CPU time, Redis's is not in it. */
async function report(name: string, limiter: Limiter, decisions: number): Promise<void> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    let refused = 0;
    for (let i = 0; i < decisions; i += AT_ONCE) refused += await ask(limiter, i);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, ((user + system) * 1_000) / decisions);
    if (refused > 0) throw new Error(`${name}: ${refused} were refused`);
  }
  console.log(`${name.padEnd(8)} ${best.toFixed(0).padStart(6)} ns a decision`);
  limiter.close?.();
}

async function ask(limiter: Limiter, from: number): Promise<number> {
  let refused = 0;
  const waiting: Promise<void>[] = [];
  for (let i = from; i < from + AT_ONCE; i++) {
    const decision = newDecision();
    const late = limiter.take(callers[i % callers.length] as string, 1, decision);
    if (late === undefined) refused += decision.admitted ? 0 : 1;
    else
      waiting.push(
        late.then(() => {
          refused += decision.admitted ? 0 : 1;
        }),
      );
  }
  if (waiting.length > 0) await Promise.all(waiting);
  // Answers come between turns of the event loop, as requests do.
  else if (from % 8_192 === 0) await new Promise(setImmediate);
  return refused;
}
