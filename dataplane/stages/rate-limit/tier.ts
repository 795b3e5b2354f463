/** One limit of a section, made ready: its tiers (what it is for most, and each override) and who has which. */
import type { Limiter, LimiterOptions } from '../../limit/store.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import type { LimitConfig } from '../../snapshot/sections/rate-limit.ts';
import type { Counter } from '../../telemetry/stage-counters.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { type CostOf, requestCost, responseCost } from './cost.ts';
import { createKey, type KeyOf } from './keys.ts';

export interface Tier {
  readonly limiter: Limiter;
  /** In memory, for when the store fails; null where that is not asked for. */
  readonly local: Limiter | null;
  /** Item of RateLimit-Policy. */
  readonly policy: string;
}

export interface Limit {
  readonly name: string;
  readonly code: string;
  readonly detail: string;
  /** Item of RateLimit. */
  readonly item: (remaining: number, resetSeconds: number) => string;
  /** Whether clients are told of it. */
  readonly told: boolean;
  /** Whether its store answers by a promise at times. */
  readonly late: boolean;
  /** Whether its store is asked about each request. */
  readonly exact: boolean;
  /** Requests in flight: given back when the exchange is over. */
  readonly held: boolean;
  readonly key: KeyOf;
  readonly cost: CostOf;
  readonly responseCost: CostOf | null;
  readonly tierOf: (exchange: Exchange) => Tier;
  readonly tiers: readonly Tier[];
  readonly onStoreFailure: LimitConfig['onStoreFailure'];
  readonly dryRun: boolean;
  readonly allowed: Counter;
  /** Refused, or in dry run what would have been. */
  readonly refused: Counter;
  readonly storeFailed: Counter;
}

/** `field` is its place in the section, for errors. Throws StageError. */
export function createLimit(config: LimitConfig, context: StageContext, field: string): Limit {
  check(config, field);
  const { name, algorithm, dryRun, onStoreFailure } = config;
  const held = algorithm === 'concurrency';
  const whole = createTier(config, config, context, field);
  const overrides = config.overrides.map((override, i) => {
    const { limit, windowMs = config.windowMs, burst = override.limit } = override;
    return createTier(config, { limit, windowMs, burst }, context, `${field}.overrides[${i}]`);
  });
  const count = (outcome: string) => context.counter('rate_limit', { limit: name, outcome });
  return {
    name,
    code: held ? 'concurrency-limited' : 'rate-limited',
    detail: held
      ? `Too many requests at a time: the limit "${name}" is reached.`
      : `Too many requests: the limit "${name}" is reached.`,
    item: createItem(name),
    told: !dryRun,
    late: config.store === 'redis',
    exact: config.store === 'redis' && config.mode === 'exact',
    held,
    key: createKey(config.key),
    cost: requestCost(config.cost),
    responseCost: responseCost(config.cost),
    tierOf: overrides.length === 0 ? () => whole : tierFinder(config, whole, overrides),
    tiers: [whole, ...overrides],
    onStoreFailure,
    dryRun,
    allowed: count('allowed'),
    refused: count(dryRun ? 'dry_run' : 'refused'),
    storeFailed: count('store_failed'),
  };
}

interface Amounts {
  readonly limit: number;
  readonly windowMs?: number | undefined;
  readonly burst?: number | undefined;
}

function createTier(config: LimitConfig, amounts: Amounts, context: StageContext, field: string): Tier {
  const { algorithm, name } = config;
  const { limit, windowMs = 0 } = amounts;
  const options: LimiterOptions = {
    // Not the amounts: who edits a limit does not give everybody a new one.
    scope: `${context.policy} ${name} ${algorithm} ${windowMs}`,
    algorithm,
    limit,
    windowMs,
    burst: algorithm === 'tokenBucket' ? (amounts.burst ?? limit) : limit,
    global: config.scope === 'global',
    mode: config.mode,
  };
  const { memory, redis } = context.services.limits;
  const policy = policyItem(config, limit, windowMs);
  if (config.store === 'memory') return { limiter: memory.open(options), local: null, policy };
  if (redis === null)
    throw new StageError(
      `${field}.store`,
      'this data plane has no Redis: set TIDEGATE_REDIS_URL (dataplane.redis.secretName of the chart)',
    );
  const local = config.onStoreFailure === 'local' ? memory.open(options) : null;
  return { limiter: redis.open(options), local, policy };
}

/** The last text is remembered: callers far from their limit mostly have the same left. */
function createItem(name: string): Limit['item'] {
  let lastRemaining = -1;
  let lastSeconds = -1;
  let text = '';
  return (remaining, resetSeconds) => {
    if (remaining !== lastRemaining || resetSeconds !== lastSeconds) {
      lastRemaining = remaining;
      lastSeconds = resetSeconds;
      text = `"${name}";r=${remaining}${resetSeconds > 0 ? `;t=${resetSeconds}` : ''}`;
    }
    return text;
  };
}

/** draft-ietf-httpapi-ratelimit-headers-10 section 3: quota, window in whole seconds, and the unit where it is not requests. */
function policyItem({ algorithm, name, cost }: LimitConfig, limit: number, windowMs: number): string {
  if (algorithm === 'concurrency') return `"${name}";q=${limit};qu="concurrent-requests"`;
  const unit = cost.from === 'fixed' && cost.amount === 1 ? '' : ';qu="units"';
  return `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}${unit}`;
}

/** The first override that names the consumer or one of the groups. */
function tierFinder(config: LimitConfig, whole: Tier, tiers: readonly Tier[]): (exchange: Exchange) => Tier {
  const consumers = new Map<string, number>();
  const groups = new Map<string, number>();
  for (const [index, override] of config.overrides.entries()) {
    for (const name of override.consumers) if (!consumers.has(name)) consumers.set(name, index);
    for (const name of override.groups) if (!groups.has(name)) groups.set(name, index);
  }
  return ({ identity }) => {
    if (identity === null) return whole;
    let first = consumers.get(identity.consumer) ?? tiers.length;
    if (groups.size > 0) for (const group of identity.groups) first = Math.min(first, groups.get(group) ?? first);
    return tiers[first] ?? whole;
  };
}

/** What one object's schema can't say. */
function check(config: LimitConfig, field: string): void {
  const { algorithm, limit, cost, scope, store } = config;
  const amounts = [
    { ...config, at: field },
    ...config.overrides.map((override, i) => ({
      ...override,
      windowMs: override.windowMs ?? config.windowMs,
      at: `${field}.overrides[${i}]`,
    })),
  ];
  for (const { windowMs, burst, at } of amounts) {
    if (algorithm === 'concurrency' && windowMs !== undefined)
      throw new StageError(`${at}.windowMs`, 'concurrency has no window');
    if (algorithm !== 'concurrency' && windowMs === undefined) throw new StageError(`${at}.windowMs`, 'must be set');
    if (algorithm !== 'tokenBucket' && burst !== undefined)
      throw new StageError(`${at}.burst`, 'only a token bucket has one');
  }
  if (algorithm === 'concurrency' && !(cost.from === 'fixed' && cost.amount === 1))
    throw new StageError(`${field}.cost`, 'each request in flight counts as 1');
  const most = Math.max(limit, config.burst ?? 0);
  if (cost.from === 'fixed' && cost.amount > most)
    throw new StageError(`${field}.cost.amount`, `above ${most}: no request would ever be admitted`);
  if (store === 'redis' && algorithm === 'concurrency')
    throw new StageError(`${field}.store`, 'requests in flight are not counted in Redis: set store to memory');
  if (store === 'redis' && scope === 'local')
    throw new StageError(`${field}.scope`, 'a limit in Redis is global: set scope to global, or store to memory');
}
