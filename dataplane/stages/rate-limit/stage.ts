/**
 * Rate limits: all of a section must admit a request, in their order. Where a later one refuses, what the earlier took is given back. Those that
 * Redis is asked about for each request come last and together: one question, whatever their number.
 *
 * Refused is 429 (RFC 6585 section 4), for requests in flight too: it is this client that has too many, the gateway is well. Responses tell
 * of the limits in RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), beside what the backend says there. Of a
 * limit that is shared out, RateLimit-Policy names the whole and RateLimit what this data plane has left: never too much.
 */
import { type AskedLimit, type Decision, type Limiter, newDecision } from '../../limit/store.ts';
import type { Explained, Stage } from '../../pipeline/chain.ts';
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { problem } from '../../pipeline/respond.ts';
import type { RateLimitSection } from '../../snapshot/sections/rate-limit.ts';
import type { StageContext } from '../context.ts';
import { StageError } from '../stage-error.ts';
import { createLimit, type Limit, type Tier } from './tier.ts';

type Outcome = Answer | undefined | Promise<Answer | undefined>;

/** What was taken for one exchange. */
class Taken {
  /** Values of the response fields so far. */
  policies = '';
  fields = '';
  /** One for each limit that admitted; only where somebody will ask. */
  entries: Entry[] | null = null;
}

interface Entry {
  readonly limit: Limit;
  readonly limiter: Limiter;
  readonly key: string;
  readonly cost: number;
}

export function createRateLimit(config: RateLimitSection, context: StageContext): Stage {
  const limits = config.limits.map((limit, index) => createLimit(limit, context, `limits[${index}]`));
  const names = new Set<string>();
  for (const [index, { name }] of limits.entries()) {
    if (names.has(name)) throw new StageError(`limits[${index}].name`, `a second limit called ${name}`);
    names.add(name);
  }
  const takeTogether = togetherOf(limits, context);
  const together = takeTogether === null ? [] : limits.filter(({ exact }) => exact);
  const alone = takeTogether === null ? limits : limits.filter(({ exact }) => !exact);
  const unwatch = watchRedis(limits, context);
  const held = limits.some((limit) => limit.held);
  const charged = limits.some((limit) => limit.responseCost !== null);
  const kept = limits.length > 1 || held || charged || limits.some((limit) => limit.late);
  const { responseFields } = config;
  const scratch = newDecision();

  function onRequest(exchange: Exchange): Outcome {
    const taken = new Taken();
    exchange.limits = taken;
    return ask(exchange, taken, 0);
  }

  function ask(exchange: Exchange, taken: Taken, from: number): Outcome {
    for (let i = from; i < alone.length; i++) {
      const limit = alone[i] as Limit;
      const tier = limit.tierOf(exchange);
      const key = limit.key(exchange);
      const cost = limit.cost(exchange);
      // What is answered later must not be written over meanwhile.
      const decision = limit.late ? newDecision() : scratch;
      const waiting = tier.limiter.take(key, cost, decision);
      if (waiting !== undefined) {
        return waiting.then(() => {
          if (exchange.finished) return undefined;
          return settle(exchange, taken, limit, tier, key, cost, decision) ?? ask(exchange, taken, i + 1);
        });
      }
      const answer = settle(exchange, taken, limit, tier, key, cost, decision);
      if (answer !== undefined) return answer;
    }
    return together.length === 0 ? undefined : askTogether(exchange, taken);
  }

  function askTogether(exchange: Exchange, taken: Taken): Outcome {
    const tiers = together.map((limit) => limit.tierOf(exchange));
    const asked = together.map((limit, i): AskedLimit => {
      const { limiter } = tiers[i] as Tier;
      const [key, cost] = [limit.key(exchange), limit.cost(exchange)];
      return { limiter, key, cost, decision: newDecision(), firm: !limit.dryRun };
    });
    const waiting = takeTogether?.(asked);
    if (waiting === undefined) return settleTogether(exchange, taken, tiers, asked);
    return waiting.then(() => (exchange.finished ? undefined : settleTogether(exchange, taken, tiers, asked)));
  }

  function settleTogether(
    exchange: Exchange,
    taken: Taken,
    tiers: readonly Tier[],
    asked: readonly AskedLimit[],
  ): Answer | undefined {
    const refusing = asked.findIndex(({ decision, firm }) => firm && !decision.failed && !decision.admitted);
    for (const [i, { key, cost, decision }] of asked.entries()) {
      const [limit, tier] = [together[i] as Limit, tiers[i] as Tier];
      // Where one refuses, nothing was taken from the others.
      if (refusing >= 0 && i !== refusing) {
        if (responseFields && limit.told) tell(taken, limit, tier, decision);
        continue;
      }
      const answer = settle(exchange, taken, limit, tier, key, cost, decision);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  function settle(
    exchange: Exchange,
    taken: Taken,
    limit: Limit,
    tier: Tier,
    key: string,
    cost: number,
    first: Decision,
  ): Answer | undefined {
    let decision = first;
    let { limiter } = tier;
    if (decision.failed) {
      limit.storeFailed.value++;
      if (limit.onStoreFailure === 'deny' && !limit.dryRun) {
        undo(taken);
        const detail = 'Whether this request is within its limits can not be told at the moment.';
        return problem(503, 'rate-limit-unavailable', detail, exchange.requestId, ['retry-after', '1']);
      }
      if (tier.local === null) return undefined;
      limiter = tier.local;
      decision = scratch;
      limiter.take(key, cost, decision);
    }
    if (responseFields && limit.told) tell(taken, limit, tier, decision);
    if (decision.admitted) {
      limit.allowed.value++;
      if (kept) {
        taken.entries ??= [];
        taken.entries.push({ limit, limiter, key, cost });
      }
      return undefined;
    }
    limit.refused.value++;
    if (limit.dryRun) {
      if (exchange.wouldRefuse === '') exchange.wouldRefuse = limit.code;
      return undefined;
    }
    undo(taken);
    const seconds = String(Math.max(1, Math.ceil(decision.retryMs / 1000)));
    return problem(429, limit.code, limit.detail, exchange.requestId, ['retry-after', seconds]);
  }

  function tell(taken: Taken, limit: Limit, tier: Tier, { remaining, resetMs }: Decision): void {
    const item = limit.item(remaining, Math.ceil(resetMs / 1000));
    if (taken.fields === '') {
      taken.fields = item;
      taken.policies = tier.policy;
    } else {
      taken.fields += `, ${item}`;
      taken.policies += `, ${tier.policy}`;
    }
  }

  function undo(taken: Taken): void {
    if (taken.entries === null) return;
    for (const { limiter, key, cost } of taken.entries) limiter.giveBack(key, cost);
    taken.entries = null;
  }

  function onResponse(exchange: Exchange): void {
    const taken = exchange.limits as Taken | null;
    if (taken === null) return;
    if (charged && taken.entries !== null) charge(exchange, taken.entries);
    if (taken.fields === '') return;
    exchange.responseHeaders?.add('ratelimit-policy', taken.policies);
    exchange.responseHeaders?.add('ratelimit', taken.fields);
  }

  function charge(exchange: Exchange, entries: readonly Entry[]): void {
    for (const { limit, limiter, key } of entries) {
      const cost = limit.responseCost === null ? 0 : limit.responseCost(exchange);
      if (cost > 0) limiter.charge(key, cost);
    }
  }

  function onFinish(exchange: Exchange): void {
    const entries = (exchange.limits as Taken | null)?.entries;
    if (entries === null || entries === undefined) return;
    for (const { limit, limiter, key, cost } of entries) if (limit.held) limiter.giveBack(key, cost);
  }

  async function explain(exchange: Exchange): Promise<Explained> {
    const left: string[] = [];
    let refusing: Limit | null = null;
    for (const limit of limits) {
      const decision = newDecision();
      await limit.tierOf(exchange).limiter.take(limit.key(exchange), 0, decision);
      left.push(`${limit.name}: ${decision.failed ? 'its store does not answer' : `${decision.remaining} left`}`);
      if (!decision.admitted && !decision.failed && !limit.dryRun) refusing ??= limit;
    }
    return { text: left.join('; '), answer: refusing === null ? null : { status: 429, code: refusing.code } };
  }

  return {
    name: 'rateLimit',
    onRequest,
    explain,
    ...((responseFields || charged) && { onResponse }),
    ...(held && { onFinish }),
    close() {
      unwatch?.();
      for (const { tiers } of limits) {
        for (const { limiter, local } of tiers) {
          limiter.close?.();
          local?.close?.();
        }
      }
    },
  };
}

/** Null where it would make no difference. */
function togetherOf(limits: readonly Limit[], { services }: StageContext) {
  const store = services.limits.redis;
  if (store?.takeTogether === undefined || limits.filter(({ exact }) => exact).length < 2) return null;
  return store.takeTogether.bind(store);
}

const MEANWHILE = {
  allow: 'does not limit',
  deny: 'refuses with 503',
  local: 'limits each data plane to its share',
};

/** Says in the Policy's status that Redis fails, and what that means. */
function watchRedis(limits: readonly Limit[], { services, trouble }: StageContext): (() => void) | undefined {
  const shared = limits.filter(({ late }) => late);
  if (shared.length === 0) return undefined;
  const meanwhile = shared.map(({ name, onStoreFailure }) => `"${name}" ${MEANWHILE[onStoreFailure]}`).join(', ');
  return services.redis?.watch((reason) => trouble(reason === null ? null : `${reason}; meanwhile ${meanwhile}`));
}
