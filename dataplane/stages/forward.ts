/** Terminal: forwards to one of the rule's backends, picked by weight. */
import type { Terminal } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { SplitPoint } from '../pipeline/split.ts';
import type { Action, WeightedBackend } from '../snapshot/resources.ts';
import { createProblem, type Reply } from './terminal.ts';

export interface ForwardDeps {
  /** Terminal for one backend id; throws StageError when there is none. */
  readonly toBackend: (id: string) => Terminal;
  readonly reply: Reply;
  /** Where a request falls among the shares. */
  readonly point: SplitPoint;
}

/**
 * An unresolved reference answers with its reason for its share of the requests; weight 0 gets none. Where no weight is left, Gateway
 * API asks for a 500.
 */
export function createForward(action: Extract<Action, { kind: 'forward' }>, deps: ForwardDeps): Terminal {
  // Resolved with weight 0 too: a reference that is missing is reported before somebody shifts traffic to it.
  const shares = action.backends.map((one) => ({ weight: one.weight, value: createShare(one, deps) }));
  const used = shares.filter(({ weight }) => weight > 0);
  if (used.length === 1) return (used[0] as (typeof used)[number]).value;
  const pick = byWeight(used, deps.point);
  if (pick === null) {
    return createProblem(500, 'no-backend', 'No backend of this route has a weight above 0.', deps.reply);
  }
  return (exchange: Exchange) => pick(exchange)(exchange);
}

/** Gives each value for its share of the requests. Null where none has a weight. */
export function byWeight<T>(
  items: readonly { readonly weight: number; readonly value: T }[],
  pointOf: SplitPoint,
): ((exchange: Exchange) => T) | null {
  const shares: { readonly upTo: number; readonly value: T }[] = [];
  let total = 0;
  for (const { weight, value } of items) {
    if (weight === 0) continue;
    total += weight;
    shares.push({ upTo: total, value });
  }
  const last = shares.pop();
  if (last === undefined) return null;
  return (exchange) => {
    const point = pointOf(exchange) * total;
    for (const { upTo, value } of shares) if (point < upTo) return value;
    return last.value;
  };
}

/** Terminal of one backend of a rule. Throws StageError where it is not there. */
export function createShare(one: WeightedBackend, deps: ForwardDeps): Terminal {
  if (one.fail !== undefined) return createProblem(one.fail.status, one.fail.code, one.fail.message, deps.reply);
  if (one.backend !== undefined) return deps.toBackend(one.backend);
  return createProblem(500, 'no-backend', 'This backend could not be resolved.', deps.reply);
}
