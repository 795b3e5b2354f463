/** Problems, conditions and summary of each object, once it is compiled. Pure. */
import type { Problem } from '../api/problem.ts';
import type { BackendModel } from '../model/backend.ts';
import type { Collisions } from '../model/collisions.ts';
import { conditionsOf } from '../model/conditions.ts';
import type { ObjectOutcome } from '../model/outcome.ts';
import type { PolicyModel } from '../model/policy.ts';
import { formatTarget, type PolicyTable } from '../model/policy-table.ts';
import type { RouteModel } from '../model/route.ts';
import type { BackendRefusal } from './backend/backend.ts';
import type { CompiledPolicy } from './policy.ts';

/** Characters of a summary: a column of `kubectl get` is no place for more. */
const SUMMARY_ITEMS = 4;

export function routeOutcome(
  route: RouteModel,
  refusal: (backend: string) => BackendRefusal | null,
  collisions: ReturnType<Collisions['of']>,
  tlsProblems: readonly Problem[],
  resources: readonly string[],
): ObjectOutcome {
  const { ref } = route;
  const problems: Problem[] = [...route.problems, ...tlsProblems];
  const names = new Set<string>();
  let serves = false;
  const missing = (name: string, path: string): void => {
    const refused = refusal(name);
    if (refused !== null) problems.push({ object: ref, path, reason: refused.reason, message: refused.message });
  };
  for (const rule of route.rules) {
    const collision = collisions.get(rule.name);
    if (collision !== undefined) problems.push(collision.problem);
    if (rule.spec !== null && route.hosts.length > 0 && collision?.everywhere !== true) serves = true;
    for (const [index, { name }] of (rule.spec?.backends ?? []).entries()) {
      names.add(name);
      missing(name, `spec.rules[${rule.index}].backends[${index}].name`);
    }
    for (const [index, { name }] of (rule.spec?.mirrors ?? []).entries())
      missing(name, `spec.rules[${rule.index}].mirrors[${index}].name`);
    for (const [index, { name }] of (rule.spec?.fallback?.backends ?? []).entries())
      missing(name, `spec.rules[${rule.index}].fallback.backends[${index}].name`);
  }
  return {
    ...identity(route, problems, resources),
    conditions: conditionsOf(problems, serves),
    summary: { hosts: inOneLine(route.hosts), backends: inOneLine([...names]) },
  };
}

export function backendOutcome(backend: BackendModel, resources: readonly string[]): ObjectOutcome {
  const { spec, counts } = backend;
  return {
    ...identity(backend, backend.problems, resources),
    conditions: conditionsOf(backend.problems, spec !== null),
    summary: {
      target: targetOf(backend),
      protocol: spec?.protocol ?? '',
      endpoints: counts === null || spec === null ? '' : `${counts.ready}/${counts.all}`,
    },
    ...(spec === null ? {} : { serving: { endpoints: backend.endpoints, all: counts === null ? null : counts.all } }),
  };
}

export function policyOutcome(
  policy: PolicyModel,
  compiled: CompiledPolicy | undefined,
  verdict: ReturnType<PolicyTable['verdict']>,
  resources: readonly string[],
): ObjectOutcome {
  const problems = [...policy.problems, ...(compiled?.problems ?? []), ...verdict.problems];
  // One that loses everywhere refuses nobody.
  const closed = (compiled?.closed ?? []).filter((section) => verdict.effective.has(section));
  return {
    ...identity(policy, problems, resources),
    conditions: conditionsOf(problems, verdict.effective.size > 0),
    summary: {
      targets: inOneLine(policy.targets.map(({ target }) => formatTarget(target))),
      sections: inOneLine(policy.sections.map(({ section }) => section)),
    },
    ...(closed.length === 0 ? {} : { closed }),
  };
}

function identity(
  model: RouteModel | BackendModel | PolicyModel,
  problems: readonly Problem[],
  resources: readonly string[],
) {
  return { ref: model.ref, uid: model.uid, generation: model.generation, problems, resources };
}

function targetOf({ spec }: BackendModel): string {
  if (spec === null) return '';
  if (spec.service !== undefined) return `Service/${spec.service.name}:${spec.service.port}`;
  if (spec.dns !== undefined) return spec.dns.port === undefined ? spec.dns.name : `${spec.dns.name}:${spec.dns.port}`;
  return inOneLine(
    (spec.hosts ?? []).map(({ address, port }) => `${address.includes(':') ? `[${address}]` : address}:${port}`),
  );
}

function inOneLine(items: readonly string[]): string {
  const shown = items.slice(0, SUMMARY_ITEMS).join(',');
  return items.length > SUMMARY_ITEMS ? `${shown},+${items.length - SUMMARY_ITEMS}` : shown;
}
