/** Which rule takes a request and why, in words. */
import type { RuleSlot } from '../../pipeline/chain.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import { type Considered, consider, hostHolds, whyLess } from '../../router/explain.ts';
import type { RulePart } from '../compile-rule.ts';

export interface Routing {
  readonly why: string;
  readonly notTaken: readonly { readonly rule: string; readonly why: string }[];
  readonly notTakenMore: number;
}

/** Rules named that did not get the request. */
const SHOWN = 8;

/** `taken`: the rule's slot that the router answered; null: none. */
export function explainRouting(rules: Iterable<RulePart>, exchange: Exchange, taken: RuleSlot | null): Routing {
  const routables = [...rules].flatMap(({ routable }) => (routable === null ? [] : [routable]));
  const considered = consider(routables, exchange);
  const winner = considered.find(({ miss }) => miss === '');
  if (taken === null || winner === undefined) {
    const near = considered.map(({ candidate, miss }) => ({ rule: nameOf(candidate.target), why: miss }));
    if (near.length > 0) return { why: '', ...bounded(near) };
    const others = routables.flatMap(({ hosts, candidates }) => {
      const host = hosts.find((one) => hostHolds(one, exchange.host));
      return host === undefined ? [] : candidates.map((candidate) => ({ host, candidate, miss: '' }));
    });
    return {
      why: '',
      ...bounded(others.map((one) => ({ rule: nameOf(one.candidate.target), why: `takes ${placeOf(one)}` }))),
    };
  }
  const others = firstOfEach(considered.filter(({ candidate }) => candidate.target !== taken));
  const less = others.filter(({ miss }) => miss === '');
  const missed = others.filter(({ miss }) => miss !== '');
  const more = less.length === 0 ? '' : `; ${less.length} ${less.length === 1 ? 'other matches' : 'others match'} less`;
  return {
    why: `${placeOf(winner)}${more}`,
    ...bounded([
      ...less.map((other) => ({ rule: nameOf(other.candidate.target), why: whyLess(winner, other) })),
      ...missed.map(({ candidate, miss }) => ({ rule: nameOf(candidate.target), why: miss })),
    ]),
  };
}

function bounded(notTaken: readonly { readonly rule: string; readonly why: string }[]) {
  return { notTaken: notTaken.slice(0, SHOWN), notTakenMore: Math.max(0, notTaken.length - SHOWN) };
}

/** A rule with several matches is named once, by the one that came furthest. */
function firstOfEach(list: readonly Considered<RuleSlot>[]): Considered<RuleSlot>[] {
  const seen = new Map<RuleSlot, Considered<RuleSlot>>();
  for (const one of list) {
    const before = seen.get(one.candidate.target);
    if (before === undefined || (before.miss !== '' && one.miss === '')) seen.set(one.candidate.target, one);
  }
  return [...seen.values()];
}

function nameOf({ rule: { resource } }: RuleSlot): string {
  return `${resource.namespace}/${resource.route} rule ${resource.rule}`;
}

/** `exact host api.example.com, prefix /orders, 2 headers` */
function placeOf({ host, candidate }: Considered<RuleSlot>): string {
  const [methods, headers, query, cookies, sources] = candidate.rank.specificity as [
    number,
    number,
    number,
    number,
    number,
  ];
  const count = (n: number, one: string, many = `${one}s`) => (n === 0 ? [] : [n === 1 ? `1 ${one}` : `${n} ${many}`]);
  return [
    host === '*' ? 'any host' : host.startsWith('*.') ? `host ${host}` : 'exact host',
    `${candidate.path.kind} ${candidate.path.value || '/'}`,
    ...(methods === 0 ? [] : [`method ${candidate.predicates?.methods?.join(', ') ?? ''}`]),
    ...count(headers, 'header'),
    ...count(query, 'query parameter'),
    ...count(cookies, 'cookie'),
    ...(sources === 0 ? [] : ['source address']),
  ].join(', ');
}
