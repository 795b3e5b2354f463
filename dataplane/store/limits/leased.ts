/**
 * A limit whose units are fetched from Redis in batches and spent here, one batch a caller. A caller's first request waits for Redis; then the
 * next batch is fetched in the background, before the last is spent. Batches grow while they last less than TARGET_MS and shrink when they
 * last longer, until all workers of all data planes together may hold PART of the limit. What was not used for IDLE_MS goes back.
 *
 * Bound, with W workers in all and H = max(W, PART × burst or limit): in any time at most H units more than the exact limit, since a unit is
 * counted when it is fetched and may be spent later; none more in a fixed window, whose batches end with it. At most H units lie unused at the
 * same time, for at most IDLE_MS + SWEEP_MS, and a batch whose answer is lost until its key is whole again. While data planes come and go, W is
 * what the controller said last. A limit below 2 × W / PART is asked for each request.
 */
import type { Decision, Limiter, LimiterOptions } from '../../limit/store.ts';
import { scriptArguments } from './exact.ts';
import { batchAfter, type Lease, mostABatch, newLease } from './lease.ts';
import { LeaseTable } from './lease-table.ts';
import { ADJUST, LEASE } from './scripts.ts';
import type { RedisLimitsOptions } from './store.ts';

/** Callers with a batch, a worker and limit. */
const MAX_LEASES = 16_384;
const IDLE_MS = 1_000;
const SWEEP_MS = 500;
/** A bucket that is empty is not asked again sooner, unless it would be full by then. */
const PAUSE_MS = 5;
/** What is empty is asked again by then at the latest: others may have given back. */
const AGAIN_MS = 250;

export class LeasedLimit implements Limiter {
  readonly #options: RedisLimitsOptions;
  readonly #args: readonly (string | number)[];
  readonly #keyOf: (caller: string) => string;
  readonly #limit: LimiterOptions;
  readonly #pauseMs: number;
  readonly #leases = new LeaseTable();
  #sweeping: NodeJS.Timeout | null = null;

  constructor(options: RedisLimitsOptions, limit: LimiterOptions, keyOf: (caller: string) => string) {
    this.#options = options;
    this.#args = scriptArguments(limit);
    this.#keyOf = keyOf;
    this.#limit = limit;
    const fullMs = (limit.burst * limit.windowMs) / limit.limit;
    this.#pauseMs = limit.algorithm === 'tokenBucket' ? Math.min(PAUSE_MS, fullMs / 4) : 0;
  }

  take(caller: string, cost: number, decision: Decision): undefined | Promise<void> {
    const nowMs = this.#options.now();
    const lease = this.#leases.get(caller) ?? this.#add(caller);
    lease.usedAtMs = nowMs;
    return this.#settle(lease, cost, decision, nowMs, nowMs + this.#options.timeoutMs);
  }

  giveBack(caller: string, cost: number): void {
    const lease = this.#leases.get(caller);
    if (lease !== undefined && this.#options.now() < lease.goodUntilMs) lease.units += cost;
    else this.#adjust(this.#keyOf(caller), -cost, -1);
  }

  charge(caller: string, cost: number): void {
    const lease = this.#leases.get(caller);
    const held = lease !== undefined && this.#options.now() < lease.goodUntilMs ? Math.min(lease.units, cost) : 0;
    if (lease !== undefined) lease.units -= held;
    if (held < cost) this.#adjust(this.#keyOf(caller), cost - held, -1);
  }

  /** Gives back what is unused. */
  close(): void {
    if (this.#sweeping !== null) clearInterval(this.#sweeping);
    this.#sweeping = null;
    for (const lease of this.#leases.values()) this.#return(lease);
    this.#leases.clear();
  }

  /** Decides from what is here, or waits for Redis until `untilMs` and tries again. */
  #settle(lease: Lease, cost: number, decision: Decision, nowMs: number, untilMs: number): undefined | Promise<void> {
    const needed = cost === 0 ? 1 : cost;
    if (nowMs >= lease.goodUntilMs) lease.units = 0;
    if (lease.units >= needed) {
      lease.units -= cost;
      if (lease.units < lease.batch >> 1 && lease.asking === null && nowMs >= lease.emptyUntilMs) {
        this.#ask(lease, 1, lease.batch - lease.units, nowMs, this.#options.timeoutMs);
      }
      return say(decision, lease, nowMs, 0);
    }
    if (nowMs < lease.emptyUntilMs && needed >= lease.emptyFor) {
      return say(decision, lease, nowMs, Math.max(1, lease.retryAtMs - nowMs));
    }
    if (nowMs >= untilMs || this.#options.redis.state === 'down') return fail(decision);
    if (lease.asking === null) {
      this.#ask(lease, needed, Math.max(needed, lease.batch, lease.waiting), nowMs, untilMs - nowMs);
    }
    lease.waiting += needed;
    return patience(lease, nowMs, untilMs).then((answered) => {
      lease.waiting -= needed;
      if (!answered) return fail(decision);
      return this.#settle(lease, cost, decision, this.#options.now(), untilMs);
    });
  }

  /** Fetches up to `want` units, at least `need` or none. */
  #ask(lease: Lease, need: number, want: number, nowMs: number, timeoutMs: number): void {
    const { redis, now } = this.#options;
    lease.askedUntilMs = nowMs + timeoutMs;
    lease.asking = redis.run(LEASE, [lease.key], [...this.#args, need, want], timeoutMs).then(
      (answer) => {
        lease.asking = null;
        this.#take(lease, answer as number[], need, want, nowMs, now());
        return true;
      },
      () => {
        lease.asking = null;
        return false;
      },
    );
  }

  /** All times count from when the question was sent: Redis looked later, so that nothing is good for longer than Redis says. */
  #take(lease: Lease, answer: readonly number[], need: number, want: number, sentAtMs: number, nowMs: number): void {
    const [given = 0, left = 0, resetMs = 0, waitMs = 0, goodMs = 0, window = -1] = answer;
    lease.left = left;
    lease.resetAtMs = sentAtMs + resetMs;
    if (given === 0) {
      lease.emptyFor = need;
      lease.emptyUntilMs = sentAtMs + Math.min(AGAIN_MS, Math.max(waitMs, this.#pauseMs));
      lease.retryAtMs = sentAtMs + waitMs;
      lease.batch = 1;
      return;
    }
    // Units of a window that is over are worth nothing.
    const kept = nowMs < lease.goodUntilMs && lease.window === window ? lease.units : 0;
    lease.units = kept + given;
    lease.window = window;
    // Whoever waits for them has them, even if their window ended on the way: Redis admitted that request.
    lease.goodUntilMs = Math.max(sentAtMs + goodMs, nowMs + 1);
    lease.emptyUntilMs = 0;
    const most = mostABatch(this.#limit, this.#options.workers());
    lease.batch = batchAfter(lease, given, want, sentAtMs, most);
    lease.fetchedAtMs = sentAtMs;
  }

  #add(caller: string): Lease {
    if (this.#leases.size >= MAX_LEASES) this.#evict();
    const lease = newLease(caller, this.#keyOf(caller));
    this.#leases.add(lease);
    this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return lease;
  }

  #evict(): void {
    for (const lease of this.#leases.values()) {
      if (lease.asking !== null) continue;
      this.#return(lease);
      this.#leases.delete(lease);
      return;
    }
    // All of them wait for Redis: the oldest goes on waiting, unknown to later requests.
    this.#leases.delete(this.#leases.values().next().value as Lease);
  }

  #sweep(): void {
    const nowMs = this.#options.now();
    for (const lease of this.#leases.values()) {
      if (lease.asking !== null || nowMs - lease.usedAtMs < IDLE_MS || nowMs < lease.emptyUntilMs) continue;
      this.#return(lease);
      this.#leases.delete(lease);
    }
    if (this.#leases.size > 0 || this.#sweeping === null) return;
    clearInterval(this.#sweeping);
    this.#sweeping = null;
  }

  #return(lease: Lease): void {
    if (lease.units > 0 && this.#options.now() < lease.goodUntilMs) this.#adjust(lease.key, -lease.units, lease.window);
    lease.units = 0;
  }

  #adjust(key: string, units: number, window: number): void {
    const { redis, timeoutMs } = this.#options;
    redis.run(ADJUST, [key], [...this.#args, units, window], timeoutMs).catch(() => {});
  }
}

/** The question under way; where that began later than the request, no longer than the request may wait. */
function patience({ asking, askedUntilMs }: Lease, nowMs: number, untilMs: number): Promise<boolean> {
  if (asking === null) throw new Error('nothing was asked');
  if (askedUntilMs <= untilMs) return asking;
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, untilMs - nowMs, false);
    void asking.then((answered) => {
      clearTimeout(timer);
      resolve(answered);
    });
  });
}

function say(decision: Decision, lease: Lease, nowMs: number, retryMs: number): undefined {
  decision.failed = false;
  decision.admitted = retryMs === 0;
  decision.remaining = Math.max(0, lease.units + lease.left);
  decision.resetMs = Math.max(0, lease.resetAtMs - nowMs);
  decision.retryMs = retryMs;
  return undefined;
}

function fail(decision: Decision): undefined {
  decision.failed = true;
  return undefined;
}
