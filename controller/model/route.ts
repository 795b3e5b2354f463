/** A Route, validated part by part: what is good of it serves, whatever the rest. Pure: one object in, one model out. */

import type { ObjectRef, Problem } from '../api/problem.ts';
import { routeHost } from '../api/v1alpha1/common.ts';
import { type RouteMatch, type RouteRule, routeMatch, routeRule, routeSpec, ruleName } from '../api/v1alpha1/route.ts';
import { passthroughAlone, type RouteTls, routeTls } from '../api/v1alpha1/route-tls.ts';
import { check, invalid, validateSpec } from '../api/validate.ts';
import { refOf, type TidegateObject } from '../store/objects.ts';

export interface RouteModel {
  readonly kind: 'Route';
  readonly ref: ObjectRef;
  readonly uid: string | undefined;
  readonly generation: number;
  readonly createdAtMs: number;
  /** `*` for every host. Empty: hosts were named and none of them is valid, so it serves nothing. */
  readonly hosts: readonly string[];
  readonly rules: readonly RuleModel[];
  /** Null: it is invalid. Undefined: there is none. */
  readonly tls: RouteTls | null | undefined;
  readonly problems: readonly Problem[];
}

export interface RuleModel {
  readonly name: string;
  /** Its place in spec.rules, for the path of a Problem. */
  readonly index: number;
  /** Valid ones only; empty: every request. A rule all of whose matches are broken is not here. */
  readonly matches: readonly RouteMatch[];
  /** Null: the rule is broken, and every request it matches is told so. */
  readonly spec: RouteRule | null;
}

export function modelRoute(object: TidegateObject): RouteModel {
  const ref = refOf(object);
  const base = {
    kind: 'Route' as const,
    ref,
    uid: object.metadata.uid,
    generation: object.metadata.generation ?? 0,
    createdAtMs: createdAtMs(object),
  };
  const whole = check(routeSpec, object.spec);
  if (whole.value !== undefined) {
    const { hosts, rules, tls } = whole.value;
    return {
      ...base,
      hosts: hosts === undefined || hosts.length === 0 ? ['*'] : hosts,
      rules: rules.map((spec, index) => ({ name: spec.name, index, matches: spec.matches ?? [], spec })),
      tls,
      problems: [],
    };
  }
  const problems = validateSpec(ref, object.spec);
  const rules: RuleModel[] = [];
  const seen = new Set<string>();
  for (const [index, raw] of list(object.spec, 'rules').slice(0, MAX_RULES).entries()) {
    const rule = modelRule(raw, index);
    if (rule === null) continue;
    if (seen.has(rule.name)) {
      const path = ['spec', 'rules', index, 'name'];
      problems.push(invalid(ref, path, `another rule of this Route has the name ${rule.name}`));
      continue;
    }
    seen.add(rule.name);
    rules.push(rule);
  }
  return { ...base, hosts: validHosts(object.spec), rules, tls: validTls(object.spec, rules), problems };
}

const MAX_RULES = 64;

function modelRule(raw: unknown, index: number): RuleModel | null {
  const { value } = check(routeRule, raw);
  if (value !== undefined) return { name: value.name, index, matches: value.matches ?? [], spec: value };
  const { value: name } = check(ruleName, field(raw, 'name'));
  if (name === undefined) return null;
  const given = field(raw, 'matches');
  if (given === undefined || (Array.isArray(given) && given.length === 0))
    return { name, index, matches: [], spec: null };
  const matches = list(raw, 'matches').flatMap((match) => check(routeMatch, match).value ?? []);
  // Nothing left to match by: answering every request in its place would harm other rules.
  return matches.length === 0 ? null : { name, index, matches, spec: null };
}

function validTls(spec: unknown, rules: readonly RuleModel[]): RouteTls | null | undefined {
  const given = field(spec, 'tls');
  if (given === undefined) return undefined;
  const { value } = check(routeTls, given);
  if (value === undefined) return null;
  const specs = rules.flatMap((rule) => (rule.spec === null ? [] : [rule.spec]));
  // As to the rules, a passthrough is right or it is none.
  return passthroughAlone.test({ tls: value, rules: specs }) === true ? value : null;
}

function validHosts(spec: unknown): string[] {
  const given = field(spec, 'hosts');
  if (given === undefined || (Array.isArray(given) && given.length === 0)) return ['*'];
  return [...new Set(list(spec, 'hosts').flatMap((host) => check(routeHost, host).value ?? []))];
}

/** 0 when unknown: the oldest. */
export function createdAtMs(object: TidegateObject): number {
  const ms = Date.parse(object.metadata.creationTimestamp ?? '');
  return Number.isNaN(ms) ? 0 : ms;
}

/** The installation an object names; not a string counts as the default, so that its Problem is shown somewhere. */
export function gatewayOf(object: TidegateObject, fallback: string): string {
  const gateway = field(object.spec, 'gateway');
  return typeof gateway === 'string' ? gateway : fallback;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function list(value: unknown, name: string): readonly unknown[] {
  const items = field(value, name);
  return Array.isArray(items) ? items : [];
}
