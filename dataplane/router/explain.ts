/** Every match that a request's host and path lead to, in the order in which the router asks them, and why one does not hold. Slow: for people. */
import { type Candidate, compareCandidates, type Routable } from './candidate.ts';
import { missOf, type RequestView } from './predicates.ts';

export interface Considered<T> {
  /** As the rule names it: `a.b`, `*.b`, `*`. */
  readonly host: string;
  readonly candidate: Candidate<T>;
  /** What keeps it from holding; empty: it holds. */
  readonly miss: string;
}

/** The first that holds is what the router answers. */
export function consider<T>(routables: Iterable<Routable<T>>, request: RequestView): Considered<T>[] {
  const found: Considered<T>[] = [];
  for (const { hosts, candidates } of routables) {
    for (const host of hosts) {
      if (!hostHolds(host, request.host)) continue;
      for (const candidate of candidates) {
        if (!pathHolds(candidate, request.path)) continue;
        const miss = candidate.predicates === null ? '' : missOf(candidate.predicates, request);
        found.push({ host, candidate, miss });
      }
    }
  }
  return found.sort(
    (a, b) =>
      compareHosts(a.host, b.host) ||
      comparePaths(a.candidate, b.candidate) ||
      compareCandidates(a.candidate, b.candidate),
  );
}

/** Why `other`, which comes later in the order, comes later. */
export function whyLess<T>(winner: Considered<T>, other: Considered<T>): string {
  if (winner.host !== other.host) return `host ${other.host} is less specific`;
  const [first, second] = [winner.candidate, other.candidate];
  const path = `${second.path.kind} ${second.path.value || '/'}`;
  if (first.path.kind !== second.path.kind) return `${path}: ${first.path.kind} comes before ${second.path.kind}`;
  if (first.path.value !== second.path.value)
    return first.path.kind === 'prefix' ? `${path} is shorter` : `${path} is younger`;
  const asks = ['a method', 'headers', 'query', 'cookies', 'sources'];
  const more = first.rank.specificity.findIndex((count, i) => count !== second.rank.specificity[i]);
  if (more >= 0) return `asks less: no or fewer ${asks[more]}`.replace('no or fewer a method', 'no method');
  if (first.rank.createdAtMs !== second.rank.createdAtMs) return 'the same match in a younger Route';
  return first.rank.name !== second.rank.name
    ? 'the same match in a Route later by name'
    : 'the same match later in its Route';
}

export function hostHolds(pattern: string, host: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern;
}

function pathHolds<T>({ path: { kind, value, regex } }: Candidate<T>, path: string): boolean {
  // `*` of OPTIONS and the authority of CONNECT are no paths: no rule is about them.
  if (!path.startsWith('/')) return false;
  if (kind === 'exact') return path === value;
  return kind === 'regex' ? regex?.test(path) === true : path === value || path.startsWith(`${value}/`);
}

function compareHosts(a: string, b: string): number {
  const rank = (host: string) => (host === '*' ? 2 : host.startsWith('*.') ? 1 : 0);
  return rank(a) - rank(b) || b.length - a.length;
}

const KINDS = { exact: 0, prefix: 1, regex: 2 };

function comparePaths<T>({ path: a }: Candidate<T>, { path: b }: Candidate<T>): number {
  return KINDS[a.kind] - KINDS[b.kind] || (a.kind === 'prefix' ? b.value.length - a.value.length : 0);
}
