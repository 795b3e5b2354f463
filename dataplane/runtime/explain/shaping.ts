/** What a rule does besides forwarding by weight, in words. */
import type { Exchange } from '../../pipeline/exchange.ts';
import type { ExplainedSection } from '../../snapshot/explain.ts';
import type { Action, RuleResource, WeightedBackend } from '../../snapshot/resources.ts';
import { byWeight } from '../../stages/forward.ts';
import type { Ledger } from '../ledger.ts';
import { splitOf } from '../shaped-forward.ts';

/** The share that the value a rule splits by leads to; undefined: it is drawn. */
export function splitShare(resource: RuleResource, exchange: Exchange): WeightedBackend | undefined {
  const { action } = resource;
  if (action.kind !== 'forward' || action.split === undefined) return undefined;
  let drawn = false;
  const random = () => {
    drawn = true;
    return 0;
  };
  const pick = byWeight(
    action.backends.map((value) => ({ weight: value.weight, value })),
    splitOf(resource, { random }),
  );
  const share = pick?.(exchange);
  return drawn ? undefined : share;
}

/** Nothing where it only forwards. */
export function explainShaping(action: Action, ledger: Ledger): ExplainedSection[] {
  if (action.kind !== 'forward') return [];
  const { split, mirrors = [], fallback } = action;
  const line = (section: string, text: string): ExplainedSection => ({ section, source: 'rule', text });
  const named = (id: string) =>
    `${id.slice(id.indexOf('/') + 1)}${ledger.backends.has(id) ? '' : ' (not there, left out)'}`;
  const told: ExplainedSection[] = [];
  if (split !== undefined) told.push(line('split', `by ${split.by} ${split.name}; without it at random`));
  for (const { backend, perMillion, bodyBytes } of mirrors) {
    told.push(line('mirror', `${perMillion / 10_000} % to ${named(backend)}, bodies up to ${bodyBytes} bytes`));
  }
  if (fallback !== undefined) {
    const { on, statuses, respond, backends = [] } = fallback;
    const when = on.map((one) => (one === 'status' ? `status ${statuses.join(', ')}` : one)).join('; ');
    const where =
      respond === undefined
        ? `to ${backends.map(({ backend }) => named(backend)).join(', ')}`
        : `answers ${respond.status} (${Buffer.byteLength(respond.body)} bytes)`;
    told.push(line('fallback', `on ${when}: ${where}`));
  }
  return told;
}
