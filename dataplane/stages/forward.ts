/** Terminal: forwards to one of the rule's backends, picked by weight. */
import type { Terminal } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Action, WeightedBackend } from '../snapshot/resources.ts';
import { createProblem, type Reply } from './terminal.ts';

export interface ForwardDeps {
  /** Terminal for one backend id; throws StageError when there is none. */
  readonly toBackend: (id: string) => Terminal;
  readonly reply: Reply;
  /** At least 0, less than 1. */
  readonly random: () => number;
}

/**
 * An unresolved reference answers with its reason for its share of the requests; weight 0 gets none. Where no weight is left, Gateway
 * API asks for a 500.
 */
export function createForward(action: Extract<Action, { kind: 'forward' }>, deps: ForwardDeps): Terminal {
  const shares: { readonly upTo: number; readonly terminal: Terminal }[] = [];
  let total = 0;
  for (const one of action.backends) {
    // Resolved with weight 0 too: a reference that is missing is reported before somebody shifts traffic to it.
    const terminal = createShare(one, deps);
    if (one.weight === 0) continue;
    total += one.weight;
    shares.push({ upTo: total, terminal });
  }
  const first = shares[0];
  if (first === undefined) {
    return createProblem(500, 'no-backend', 'No backend of this route has a weight above 0.', deps.reply);
  }
  if (shares.length === 1) return first.terminal;
  return (exchange: Exchange) => {
    const point = deps.random() * total;
    for (const share of shares) {
      if (point < share.upTo) {
        share.terminal(exchange);
        return;
      }
    }
  };
}

function createShare(one: WeightedBackend, deps: ForwardDeps): Terminal {
  if (one.fail !== undefined) return createProblem(one.fail.status, one.fail.code, one.fail.message, deps.reply);
  if (one.backend !== undefined) return deps.toBackend(one.backend);
  return createProblem(500, 'no-backend', 'This backend could not be resolved.', deps.reply);
}
