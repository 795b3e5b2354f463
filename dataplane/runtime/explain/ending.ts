/** Where a request ends once its stages let it pass: what a rule forwards to, or what it answers by itself. */

import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import { rewritePath } from '../../pipeline/rewrite.ts';
import type { ExplainedBackend, Explanation } from '../../snapshot/explain.ts';
import type { Action, WeightedBackend } from '../../snapshot/resources.ts';
import { createRedirect } from '../../stages/redirect.ts';
import type { EndpointState, Upstream } from '../../upstream/upstream.ts';
import type { Ledger } from '../ledger.ts';
import { balancingText } from './balancing.ts';

type Forward = Extract<Action, { kind: 'forward' }>;
type Ending = NonNullable<Explanation['answer']>;

/** The share to explain: the one asked for, else the one with the largest weight. Undefined: it has none, or none is called so. */
export function chooseShare({ backends }: Forward, wanted: string | undefined): WeightedBackend | undefined {
  if (wanted !== undefined) return backends.find((one) => nameOf(one) === wanted || nameOf(one).endsWith(`/${wanted}`));
  return backends.filter(({ weight }) => weight > 0).toSorted((a, b) => b.weight - a.weight)[0];
}

export function explainBackends(
  action: Action,
  chosen: WeightedBackend | undefined,
  ledger: Ledger,
): ExplainedBackend[] {
  if (action.kind !== 'forward') return [];
  const of = action.backends.reduce((sum, { weight }) => sum + weight, 0);
  return action.backends.map((one) => ({
    backend: nameOf(one),
    weight: one.weight,
    of,
    ownPolicies: one.policies !== undefined,
    chosen: one === chosen,
    text: backendText(one, ledger),
  }));
}

type Reason = EndpointState['blocked'][number];

const BLOCKED: Readonly<Record<Reason, string>> = {
  unhealthy: 'unhealthy',
  ejected: 'ejected',
  open: 'kept away by their breaker',
};

function backendText({ backend, fail }: WeightedBackend, ledger: Ledger): string {
  if (fail !== undefined) return `answers ${fail.status} ${fail.code}: ${fail.message}`;
  const held = backend === undefined ? undefined : ledger.backends.get(backend);
  if (held === undefined) return 'is not there, or was rejected';
  const { endpoints, connections, active, breaker } = held.upstream.stats;
  if (endpoints === 0) return 'no endpoint: answers 503 no-endpoint';
  if (breaker === 'open') return 'its circuit breaker is open: answers 503 breaker-open';
  const balancing = balancingText(held.resource.balancing);
  return `${balancing} over ${endpoints} ${endpoints === 1 ? 'endpoint' : 'endpoints'} (of one worker: ${connections} connections, ${active} busy${kept(held.upstream)})`;
}

/** Those that get no requests, by the first reason each, and the first that TLS fails with. */
function kept(upstream: Upstream): string {
  const counts = new Map<Reason, number>();
  for (const { blocked } of upstream.states()) {
    const [reason] = blocked;
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const [tlsError] = upstream.states().flatMap((state) => state.tlsError ?? []);
  const texts = Array.from(counts, ([reason, count]) => `, ${count} ${BLOCKED[reason]}`);
  return `${texts.join('')}${tlsError === undefined ? '' : `, TLS fails: ${tlsError}`}`;
}

/** Null: it is forwarded. */
export function explainEnding(action: Action, chosen: WeightedBackend | undefined, exchange: Exchange): Ending | null {
  const answer = (status: number, code: string, detail: string): Ending => ({ status, code, detail, by: 'rule' });
  switch (action.kind) {
    case 'forward':
      if (chosen === undefined) return answer(500, 'no-backend', 'no backend of this rule has a weight above 0');
      if (chosen.fail === undefined) return null;
      if (action.fallback?.on.includes('unavailable')) {
        const { respond } = action.fallback;
        return respond === undefined ? null : answer(respond.status, '', 'the fallback: its backend is not there');
      }
      return answer(chosen.fail.status, chosen.fail.code, chosen.fail.message);
    case 'redirect': {
      const made: Answer[] = [];
      createRedirect(action, (_exchange, one) => made.push(one))(exchange);
      const [one] = made;
      return answer(one?.status ?? action.status, one?.code ?? '', `to ${withoutQuery(one?.headers.get('location'))}`);
    }
    case 'respond':
      return answer(action.status, '', `a direct answer of ${Buffer.byteLength(action.body)} bytes`);
    case 'fail':
      return answer(action.status, action.code, action.message);
  }
}

/** What a rewrite makes of the request; empty: nothing. */
export function rewritten(action: Action, { path, matchedPrefix }: Exchange): string {
  if (action.kind !== 'forward' || action.rewrite === undefined) return '';
  const { host, path: to } = action.rewrite;
  const parts = [
    ...(to === undefined ? [] : [`path ${rewritePath(to, path, matchedPrefix)}`]),
    ...(host === undefined ? [] : [`host ${host}`]),
  ];
  return parts.join(', ');
}

/** `<namespace>/<name>`, empty where it could not be resolved. */
function nameOf({ backend }: WeightedBackend): string {
  return backend === undefined ? '' : backend.slice(backend.indexOf('/') + 1);
}

/** A query may hold credentials. */
function withoutQuery(location = ''): string {
  const at = location.indexOf('?');
  return at < 0 ? location : `${location.slice(0, at)}?…`;
}
