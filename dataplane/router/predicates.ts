/** What a match asks beyond host and path: method, headers, query, cookies, source address. Built once, tested per request. */
import type { BlockList } from 'node:net';
import { addressList, listHolds } from '../pipeline/addresses.ts';
import { wholeRegex } from '../pipeline/path-test.ts';
import { type HeaderView, parseCookies, parseQuery } from '../pipeline/values.ts';
import type { Match as MatchResource, ValueMatch } from '../snapshot/resources.ts';
import { RouteError } from './route-error.ts';

/** What the router sees of a request; an Exchange is one. */
export interface RequestView {
  readonly method: string;
  readonly path: string;
  /** Raw query without `?`. */
  readonly query: string | undefined;
  /** Lower-case, without port. */
  readonly host: string;
  readonly headers: HeaderView;
  readonly clientAddress: string;
}

interface ValueTest {
  readonly name: string;
  /** Null: being present is enough. */
  readonly value: string | RegExp | null;
}

export interface Predicates {
  readonly methods: readonly string[] | null;
  /** A CORS preflight counts as the method it asks about. */
  readonly answersPreflight: boolean;
  readonly headers: readonly ValueTest[] | null;
  readonly query: readonly ValueTest[] | null;
  readonly cookies: readonly ValueTest[] | null;
  readonly sources: BlockList | null;
}

/** Null where a match asks for nothing beyond its path. Throws RouteError naming the field. */
export function compilePredicates(match: MatchResource, field: string, answersPreflight: boolean): Predicates | null {
  const methods = match.methods.length === 0 ? null : match.methods;
  const headers = compileValues(match.headers, `${field}.headers`, true);
  const query = compileValues(match.query, `${field}.query`, false);
  const cookies = compileValues(match.cookies, `${field}.cookies`, false);
  const sources = compileSources(match.sources, `${field}.sources`);
  if (methods === null && headers === null && query === null && cookies === null && sources === null) return null;
  return { methods, answersPreflight, headers, query, cookies, sources };
}

export function predicatesHold(tests: Predicates, request: RequestView): boolean {
  if (tests.methods !== null && !methodHolds(tests, tests.methods, request)) return false;
  if (tests.headers !== null) {
    for (const test of tests.headers) if (!valueHolds(test, request.headers.getCombined(test.name))) return false;
  }
  if (tests.query !== null) {
    const query = parseQuery(request.query);
    for (const test of tests.query) if (!valueHolds(test, query.get(test.name))) return false;
  }
  if (tests.cookies !== null) {
    const cookies = parseCookies(request.headers);
    for (const test of tests.cookies) if (!valueHolds(test, cookies.get(test.name))) return false;
  }
  return tests.sources === null || listHolds(tests.sources, request.clientAddress);
}

/** The first test that does not hold, in words that name fields and quote no value; empty: all hold. */
export function missOf(tests: Predicates, request: RequestView): string {
  if (tests.methods !== null && !methodHolds(tests, tests.methods, request)) {
    return `method ${tests.methods.join(', ')} only`;
  }
  const differs = (list: readonly ValueTest[] | null, what: string, valueIn: (name: string) => string | undefined) => {
    const missed = list?.find((test) => !valueHolds(test, valueIn(test.name)));
    if (missed === undefined) return '';
    return `${what} ${missed.name} ${valueIn(missed.name) === undefined ? 'is missing' : 'is another'}`;
  };
  const query = parseQuery(request.query);
  const cookies = parseCookies(request.headers);
  return (
    differs(tests.headers, 'header', (name) => request.headers.getCombined(name)) ||
    differs(tests.query, 'query parameter', (name) => query.get(name)) ||
    differs(tests.cookies, 'cookie', (name) => cookies.get(name)) ||
    (predicatesHold(tests, request) ? '' : `client ${request.clientAddress} is not among its sources`)
  );
}

/** A regular expression that must match the whole of a value. Throws RouteError. */
export function compileWholeRegex(source: string, field: string): RegExp {
  try {
    return wholeRegex(source);
  } catch (error) {
    throw new RouteError(field, error instanceof Error ? error.message : 'not a regular expression');
  }
}

function methodHolds(tests: Predicates, methods: readonly string[], request: RequestView): boolean {
  if (methods.includes(request.method)) return true;
  if (!tests.answersPreflight || request.method !== 'OPTIONS' || request.headers.get('origin') === undefined)
    return false;
  const asked = request.headers.get('access-control-request-method');
  return asked !== undefined && methods.includes(asked);
}

function valueHolds(test: ValueTest, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (test.value === null) return true;
  return typeof test.value === 'string' ? test.value === value : test.value.test(value);
}

function compileValues(matches: readonly ValueMatch[], field: string, lowerCase: boolean): readonly ValueTest[] | null {
  if (matches.length === 0) return null;
  return matches.map((match, index) => {
    const name = lowerCase ? match.name.toLowerCase() : match.name;
    if (match.kind === 'present') return { name, value: null };
    if (match.kind === 'exact') return { name, value: match.value };
    return { name, value: compileWholeRegex(match.value, `${field}[${index}].value`) };
  });
}

function compileSources(sources: readonly string[], field: string): BlockList | null {
  if (sources.length === 0) return null;
  return addressList(sources, (index, message) => {
    throw new RouteError(`${field}[${index}]`, message);
  });
}
