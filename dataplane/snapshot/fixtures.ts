/** Builders of valid resources for tests and benchmarks on both sides of the contract. */
import type { PathMatch } from './primitives.ts';
import type {
  Action,
  BackendResource,
  EndpointsResource,
  Match,
  PolicyResource,
  PolicySection,
  RuleResource,
} from './resources.ts';

/** A match on a path: `/x` is a prefix, `=/x` exact, `~/x` a regular expression. */
export function matchFixture(path = '/', more: Partial<Omit<Match, 'path'>> = {}): Match {
  const kinds: Record<string, PathMatch['kind']> = { '=': 'exact', '~': 'regex' };
  const kind = kinds[path.charAt(0)];
  return {
    path: kind === undefined ? { kind: 'prefix', value: path } : { kind, value: path.slice(1) },
    methods: [],
    headers: [],
    query: [],
    cookies: [],
    sources: [],
    ...more,
  };
}

/** `name` is `<namespace>/<route>/<rule>`. Answers 200 with its own id unless told otherwise. */
export function ruleFixture(name: string, more: Partial<Omit<RuleResource, 'kind' | 'id'>> = {}): RuleResource {
  const [namespace = '', route = '', rule = ''] = name.split('/');
  return {
    kind: 'rule',
    id: `rule/${name}`,
    namespace,
    route,
    rule,
    createdAtMs: 1_700_000_000_000,
    hosts: ['*'],
    matches: [matchFixture()],
    action: respondFixture(name),
    policies: [],
    headers: {},
    timeouts: {},
    ...more,
  };
}

export function respondFixture(body: string, status = 200): Action {
  return { kind: 'respond', status, contentType: 'text/plain', body };
}

/** `names` are `<namespace>/<name>`, each with weight 1. */
export function forwardFixture(...names: string[]): Action {
  return { kind: 'forward', backends: names.map((name) => ({ weight: 1, backend: `backend/${name}` })) };
}

export function policyFixture(name: string, config: PolicySection): PolicyResource {
  return { kind: 'policy', id: `policy/${name}/${config.section}`, source: name, config };
}

/** `name` is `<namespace>/<name>`; its endpoints are `endpoints/<name>`. */
export function backendFixture(
  name: string,
  more: Partial<Omit<BackendResource, 'kind' | 'id'>> = {},
): BackendResource {
  return {
    kind: 'backend',
    id: `backend/${name}`,
    protocol: 'http1',
    balancing: { algorithm: 'roundRobin' },
    connectTimeoutMs: 2000,
    pool: { maxConnections: 64, maxPending: 1024, idleTimeoutMs: 30_000 },
    endpoints: `endpoints/${name}`,
    ...more,
  };
}

/** `addresses` are `<address or name>:<port>`, IPv6 in brackets. */
export function endpointsFixture(name: string, ...addresses: string[]): EndpointsResource {
  const endpoints = addresses.map((text) => {
    const colon = text.lastIndexOf(':');
    const address = text.slice(0, colon).replace(/^\[|\]$/g, '');
    return { address, port: Number(text.slice(colon + 1)), weight: 1 };
  });
  return { kind: 'endpoints', id: `endpoints/${name}`, endpoints };
}
