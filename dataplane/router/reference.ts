/**
 * The router as one would explain it: write down every match of every rule, sort, take the first that matches. Slow and
 * written apart from the real one, which is held against it in tests.
 */
import { BlockList, isIPv6 } from 'node:net';
import type { Match as MatchResource, RuleResource, ValueMatch } from '../snapshot/resources.ts';
import type { RequestView } from './predicates.ts';

export interface ReferenceMatch {
  readonly rule: RuleResource;
  readonly matchedPrefix: string;
}

interface Entry {
  readonly rule: RuleResource;
  readonly host: string;
  readonly match: MatchResource;
  /** Compared from left to right, smaller first. */
  readonly key: readonly (number | string)[];
}

export function referenceMatch(
  rules: readonly RuleResource[],
  request: RequestView,
  answersPreflight: (rule: RuleResource) => boolean = () => false,
): ReferenceMatch | null {
  const entries = rules.flatMap((rule) =>
    rule.hosts.flatMap((host) => rule.matches.map((match, index) => toEntry(rule, host, match, index))),
  );
  entries.sort((a, b) => compareKeys(a.key, b.key));
  for (const { rule, host, match } of entries) {
    if (!hostMatches(host, request.host) || !pathMatches(match, request.path)) continue;
    if (!predicatesMatch(match, request, answersPreflight(rule))) continue;
    const { kind, value } = match.path;
    return { rule, matchedPrefix: kind === 'regex' ? '' : kind === 'exact' ? value : trimSlashes(value) };
  }
  return null;
}

function toEntry(rule: RuleResource, host: string, match: MatchResource, index: number): Entry {
  const { kind, value } = match.path;
  const some = (list: readonly unknown[]) => (list.length > 0 ? 0 : 1);
  return {
    rule,
    host,
    match,
    key: [
      host === '*' ? 2 : host.startsWith('*.') ? 1 : 0,
      -host.length,
      { exact: 0, prefix: 1, regex: 2 }[kind],
      kind === 'prefix' ? -trimSlashes(value).length : 0,
      some(match.methods),
      -match.headers.length,
      -match.query.length,
      -match.cookies.length,
      some(match.sources),
      rule.createdAtMs,
      `${rule.namespace}/${rule.route}`,
      rule.order ?? 0,
      rule.rule,
      index,
    ],
  };
}

function compareKeys(a: Entry['key'], b: Entry['key']): number {
  for (const [i, x] of a.entries()) {
    const y = b[i] as number | string;
    if (x < y) return -1;
    if (x > y) return 1;
  }
  return 0;
}

function hostMatches(pattern: string, host: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern;
}

function pathMatches(match: MatchResource, path: string): boolean {
  if (!path.startsWith('/')) return false;
  const { kind, value } = match.path;
  if (kind === 'exact') return path === value;
  if (kind === 'regex') return new RegExp(`^(${value})$`).test(path);
  const prefix = trimSlashes(value);
  return path === prefix || path.startsWith(`${prefix}/`);
}

function predicatesMatch(match: MatchResource, request: RequestView, answersPreflight: boolean): boolean {
  const header = (name: string) => {
    const values = request.headers.fields.filter((_, i, all) => i % 2 === 1 && all[i - 1] === name.toLowerCase());
    return values.length === 0 ? null : values.join(', ');
  };
  const asked = header('access-control-request-method');
  const preflight = answersPreflight && request.method === 'OPTIONS' && header('origin') !== null && asked !== null;
  const methods = match.methods;
  if (methods.length > 0 && !methods.includes(request.method) && !(preflight && methods.includes(asked))) return false;
  const query = new URLSearchParams(request.query ?? '');
  const crumbs = (header('cookie') ?? '').split(/[;,] */).map((crumb) => crumb.split(/=(.*)/s));
  const cookie = (name: string) => crumbs.find((crumb) => crumb[0] === name)?.[1] ?? null;
  return (
    match.headers.every((test) => valueMatches(test, header(test.name))) &&
    match.query.every((test) => valueMatches(test, query.get(test.name))) &&
    match.cookies.every((test) => valueMatches(test, cookie(test.name))) &&
    (match.sources.length === 0 || match.sources.some((source) => sourceMatches(source, request.clientAddress)))
  );
}

function valueMatches(test: ValueMatch, value: string | null): boolean {
  if (value === null) return false;
  if (test.kind === 'present') return true;
  return test.kind === 'exact' ? value === test.value : new RegExp(`^(${test.value})$`).test(value);
}

function sourceMatches(source: string, address: string): boolean {
  const list = new BlockList();
  const [network = '', bits] = source.split('/');
  const family = isIPv6(network) ? 'ipv6' : 'ipv4';
  list.addSubnet(network, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family);
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function trimSlashes(prefix: string): string {
  return prefix.replace(/\/+$/, '');
}
