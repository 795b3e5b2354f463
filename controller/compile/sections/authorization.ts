/** Authorization, from how a user writes it to how a data plane runs it. */
import type { PathMatch } from '@tidegate/dataplane/snapshot/primitives';
import type { AuthorizationRule, TimeWindow } from '@tidegate/dataplane/snapshot/sections/authorization';
import type { AuthorizationSpec } from '../../api/v1alpha1/sections/authorization.ts';
import type { SectionSpec } from '../../model/policy.ts';
import { compileCertificateMatch } from '../certificate-match.ts';
import type { Compiled } from './compile.ts';

type RuleSpec = NonNullable<AuthorizationSpec['rules']>[number];
type TimeSpec = NonNullable<RuleSpec['times']>[number];
type PathSpec = NonNullable<RuleSpec['paths']>[number];

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;

export function compileAuthorization(spec: SectionSpec<'authorization'>): Compiled<'authorization'> {
  return {
    section: 'authorization',
    default: spec.default,
    dryRun: spec.dryRun,
    rules: (spec.rules ?? []).map(compileRule),
  };
}

function compileRule(rule: RuleSpec): AuthorizationRule {
  return {
    name: rule.name,
    action: rule.action,
    consumers: rule.consumers ?? [],
    groups: rule.groups ?? [],
    scopes: rule.scopes ?? [],
    claims: (rule.claims ?? []).map(({ name, values }) => ({ name, values: values ?? [] })),
    methods: rule.methods ?? [],
    paths: (rule.paths ?? []).map(compilePath),
    addresses: rule.addresses ?? [],
    times: (rule.times ?? []).map(compileTime),
    ...(rule.certificate === undefined ? {} : { certificate: compileCertificateMatch(rule.certificate) }),
    ...(rule.cel === undefined ? {} : { cel: rule.cel }),
  };
}

function compilePath({ exact, regex, prefix }: PathSpec): PathMatch {
  if (exact !== undefined) return { kind: 'exact', value: exact };
  if (regex !== undefined) return { kind: 'regex', value: regex };
  return { kind: 'prefix', value: prefix ?? '/' };
}

function compileTime({ days = [...DAYS], from, to, timezone }: TimeSpec): TimeWindow {
  const places = new Set(days.map((day) => DAYS.indexOf(day)));
  return { days: [...places].sort(), from: minuteOf(from), to: minuteOf(to), timezone };
}

function minuteOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
}
