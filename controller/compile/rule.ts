/** Rules of a Route as resources. Pure. */
import type {
  Action,
  Match,
  PathRewrite,
  RuleResource,
  ValueMatch,
  WeightedBackend,
} from '@tidegate/dataplane/snapshot/resources';
import type { RouteMatch, RouteRule } from '../api/v1alpha1/route.ts';
import { methodsOf, pathOf } from '../model/match-path.ts';
import type { RouteModel, RuleModel } from '../model/route.ts';
import { compileHeaderEdits, compileTimeouts } from './edits.ts';
import { compileRetry } from './retry.ts';
import { compileShaping } from './shaping.ts';

/** Why requests to a backend can't be forwarded, in words for the client: they name nothing inside. */
export interface BackendFailure {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export interface RuleSurroundings {
  /** Null: the Backend serves. */
  readonly failureOf: (namespace: string, backend: string) => BackendFailure | null;
  readonly policiesOf: (namespace: string, route: string, rule: string) => RulePolicies;
}

export interface RulePolicies {
  /** Ids of the policy resources that hold for the rule, sorted. */
  readonly ids: readonly string[];
  /** Of those that hold for what it sends to one Backend; null where they are the same. */
  readonly at: (backend: string) => readonly string[] | null;
}

export function compileRoute(route: RouteModel, around: RuleSurroundings): RuleResource[] {
  // Nothing of what passes through is ever a request here.
  if (route.hosts.length === 0 || route.tls?.passthrough === true) return [];
  return route.rules.map((rule) => compileRule(route, rule, around));
}

function compileRule(route: RouteModel, rule: RuleModel, around: RuleSurroundings): RuleResource {
  const { namespace, name } = route.ref;
  const { spec } = rule;
  const headers = spec?.headers;
  // A broken rule answers by itself; what a policy would add to that is nobody's wish.
  const policies = spec === null ? null : around.policiesOf(namespace, name, rule.name);
  return {
    kind: 'rule',
    id: `rule/${namespace}/${name}/${rule.name}`,
    namespace,
    route: name,
    rule: rule.name,
    createdAtMs: route.createdAtMs,
    ...(rule.index === 0 ? {} : { order: rule.index }),
    hosts: [...new Set(route.hosts)].sort(),
    matches: rule.matches.length === 0 ? [compileMatch({})] : rule.matches.map(compileMatch),
    action: spec === null || policies === null ? BROKEN : compileAction(namespace, spec, policies, around),
    policies: [...(policies?.ids ?? [])],
    headers: {
      ...(headers?.request === undefined ? {} : { request: compileHeaderEdits(headers.request) }),
      ...(headers?.response === undefined ? {} : { response: compileHeaderEdits(headers.response) }),
    },
    timeouts: compileTimeouts(spec?.timeouts),
    ...(spec?.retry === undefined ? {} : { retry: compileRetry(spec.retry) }),
  };
}

const BROKEN: Action = {
  kind: 'fail',
  status: 500,
  code: 'rule-invalid',
  message: 'The configuration of this route is invalid.',
};

function compileMatch(match: RouteMatch): Match {
  return {
    path: pathOf(match),
    methods: methodsOf(match),
    headers: (match.headers ?? []).map((item) => compileValue(item, item.name.toLowerCase())),
    query: (match.query ?? []).map((item) => compileValue(item, item.name)),
    cookies: (match.cookies ?? []).map((item) => compileValue(item, item.name)),
    sources: match.sources ?? [],
  };
}

function compileValue(
  item: { readonly exact?: string | undefined; readonly regex?: string | undefined },
  name: string,
): ValueMatch {
  if (item.exact !== undefined) return { kind: 'exact', name, value: item.exact };
  if (item.regex !== undefined) return { kind: 'regex', name, value: item.regex };
  return { kind: 'present', name };
}

function compileAction(namespace: string, spec: RouteRule, policies: RulePolicies, around: RuleSurroundings): Action {
  if (spec.redirect !== undefined) {
    const { status, scheme, host, port, path } = spec.redirect;
    return {
      kind: 'redirect',
      status,
      ...(scheme === undefined ? {} : { scheme }),
      ...(host === undefined ? {} : { host }),
      ...(port === undefined ? {} : { port }),
      ...(path === undefined ? {} : { path: compilePath(path) }),
    };
  }
  if (spec.respond !== undefined) {
    const { status, contentType, body } = spec.respond;
    const type = contentType ?? (body === undefined ? undefined : 'text/plain; charset=utf-8');
    return { kind: 'respond', status, ...(type === undefined ? {} : { contentType: type }), body: body ?? '' };
  }
  const { host, path } = spec.rewrite ?? {};
  return {
    kind: 'forward',
    backends: (spec.backends ?? []).map(({ name, weight }): WeightedBackend => {
      const fail = around.failureOf(namespace, name);
      const own = policies.at(name);
      return {
        weight,
        ...(fail === null ? { backend: `backend/${namespace}/${name}` } : { fail }),
        ...(own === null ? {} : { policies: [...own] }),
      };
    }),
    ...(spec.rewrite === undefined
      ? {}
      : {
          rewrite: {
            ...(host === undefined ? {} : { host }),
            ...(path === undefined ? {} : { path: compilePath(path) }),
          },
        }),
    ...compileShaping(namespace, spec, (name) => around.failureOf(namespace, name) === null),
  };
}

function compilePath(path: { readonly full?: string | undefined; readonly prefix?: string | undefined }): PathRewrite {
  return path.full === undefined ? { kind: 'prefix', value: path.prefix ?? '/' } : { kind: 'full', value: path.full };
}
