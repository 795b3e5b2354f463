/**
 * One match of one rule, ready to be tested, and the order among those with the same path.
 *
 * Order (Gateway API, HTTPRouteRule.matches): a method before none, more headers, more query parameters, then (ours) more
 * cookies, a source before none; then the older Route, then `<namespace>/<name>`, then the rule's place in its Route, then the match's place.
 */
import type { RulePlace } from '../snapshot/decode.ts';
import type { PathMatch } from '../snapshot/primitives.ts';
import type { Match as MatchResource } from '../snapshot/resources.ts';
import {
  compilePredicates,
  compileWholeRegex,
  type Predicates,
  predicatesHold,
  type RequestView,
} from './predicates.ts';
import { RouteError } from './route-error.ts';

/** What a look-up answers; made when the rule is compiled, so that a match allocates nothing. */
export interface Match<T> {
  readonly target: T;
  /** The exact path or the prefix (without its trailing slash, so `` for `/`) that matched; empty for a regular expression. */
  readonly matchedPrefix: string;
}

export interface Candidate<T> extends Match<T> {
  readonly path: CompiledPath;
  readonly predicates: Predicates | null;
  readonly rank: Rank;
}

export interface CompiledPath {
  readonly kind: PathMatch['kind'];
  /** Exact path, or prefix without trailing slashes, or the source of the expression. */
  readonly value: string;
  readonly regex: RegExp | null;
}

export interface Rank {
  /** Counts in order of precedence: method, headers, query, cookies, source. */
  readonly specificity: readonly number[];
  readonly createdAtMs: number;
  /** `<namespace>/<route>` */
  readonly name: string;
  readonly order: number;
  readonly rule: string;
  readonly index: number;
}

/** Where a rule goes in a router. */
export interface Routable<T> {
  readonly hosts: readonly string[];
  readonly candidates: readonly Candidate<T>[];
}

/**
 * `answersPreflight`: a CORS preflight (OPTIONS with Origin and Access-Control-Request-Method) is matched as the method it asks
 * about, for rules whose CORS stage will answer it. Throws RouteError naming the wrong field.
 */
export function compileRoutable<T>(rule: RulePlace, target: T, answersPreflight = false): Routable<T> {
  for (const [index, host] of rule.hosts.entries()) checkHost(host, `hosts[${index}]`);
  return {
    hosts: [...new Set(rule.hosts)],
    candidates: rule.matches.map((match, index) => compileCandidate(rule, match, index, target, answersPreflight)),
  };
}

/** The first of a sorted list whose predicates hold. */
export function firstHolding<T>(candidates: readonly Candidate<T>[], request: RequestView): Match<T> | null {
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i] as Candidate<T>;
    if (holds(candidate, request)) return candidate;
  }
  return null;
}

export function holds<T>(candidate: Candidate<T>, request: RequestView): boolean {
  return candidate.predicates === null || predicatesHold(candidate.predicates, request);
}

/** Order among candidates of equal path; total, so that every data plane routes alike. */
export function compareCandidates<T>(a: Candidate<T>, b: Candidate<T>): number {
  const x = a.rank;
  const y = b.rank;
  for (let i = 0; i < x.specificity.length; i++) {
    const difference = (y.specificity[i] as number) - (x.specificity[i] as number);
    if (difference !== 0) return difference;
  }
  return (
    x.createdAtMs - y.createdAtMs ||
    compareText(x.name, y.name) ||
    x.order - y.order ||
    compareText(x.rule, y.rule) ||
    x.index - y.index
  );
}

/**
 * What of a rule can be routed at all, for a rule that is to be refused: hosts and matches that are wrong are left out. Null when
 * nothing is left. Never throws.
 */
export function compileSalvage<T>(rule: RulePlace, target: T): Routable<T> | null {
  const hosts = new Set(rule.hosts.filter((host) => succeeds(() => checkHost(host, 'hosts'))));
  const candidates: Candidate<T>[] = [];
  for (const [index, match] of rule.matches.entries()) {
    succeeds(() => candidates.push(compileCandidate(rule, match, index, target, false)));
  }
  return hosts.size === 0 || candidates.length === 0 ? null : { hosts: [...hosts], candidates };
}

function succeeds(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof RouteError) return false;
    throw error;
  }
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function compileCandidate<T>(
  rule: RulePlace,
  match: MatchResource,
  index: number,
  target: T,
  answersPreflight: boolean,
): Candidate<T> {
  const field = `matches[${index}]`;
  const path = compilePath(match.path, `${field}.path`);
  return {
    target,
    matchedPrefix: path.kind === 'regex' ? '' : path.value,
    path,
    predicates: compilePredicates(match, field, answersPreflight),
    rank: {
      // Alternatives (methods, sources) widen a match, so only their presence makes it more specific.
      specificity: [
        Math.min(match.methods.length, 1),
        match.headers.length,
        match.query.length,
        match.cookies.length,
        Math.min(match.sources.length, 1),
      ],
      createdAtMs: rule.createdAtMs,
      name: `${rule.namespace}/${rule.route}`,
      order: rule.order ?? 0,
      rule: rule.rule,
      index,
    },
  };
}

function compilePath(path: PathMatch, field: string): CompiledPath {
  if (path.kind === 'regex') {
    return { kind: 'regex', value: path.value, regex: compileWholeRegex(path.value, `${field}.value`) };
  }
  if (!path.value.startsWith('/')) throw new RouteError(`${field}.value`, 'must start with /');
  // Gateway API: a trailing slash of a prefix is ignored.
  const value = path.kind === 'prefix' ? path.value.replace(/\/+$/, '') : path.value;
  return { kind: path.kind, value, regex: null };
}

function checkHost(host: string, field: string): void {
  const name = host.startsWith('*.') ? host.slice(2) : host;
  if (host !== '*' && (name === '' || name.includes('*') || name !== name.toLowerCase())) {
    throw new RouteError(field, 'must be a lower-case name, *.name or *');
  }
}
