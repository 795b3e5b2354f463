/** Which policy decides each section of a Route's rules, and at which level: for people who ask. Nothing is compiled from it. Pure. */
import type { SectionName } from '../api/v1alpha1/policy.ts';
import type { PolicyTable } from '../model/policy-table.ts';
import type { RouteModel } from '../model/route.ts';
import type { Slot } from '../model/slot.ts';

export interface EffectiveSection {
  /** `<namespace>/<name>` */
  readonly policy: string;
  readonly level: Slot['level'];
  readonly enforced: boolean;
}

export type EffectiveSections = { readonly [S in SectionName]?: EffectiveSection };

export interface EffectiveRule {
  readonly rule: string;
  readonly sections: EffectiveSections;
  /** By name of a Backend: where a policy for it decides something else than `sections` says. */
  readonly backends: Readonly<Record<string, EffectiveSections>>;
}

export function effectiveRules(route: RouteModel, table: PolicyTable): EffectiveRule[] {
  const { namespace, name } = route.ref;
  return route.rules.map(({ name: rule, spec }) => {
    const sections = sectionsOf(table, namespace, name, rule);
    const backends: Record<string, EffectiveSections> = {};
    for (const { name: backend } of spec?.backends ?? []) {
      const own = sectionsOf(table, namespace, name, rule, backend);
      if (Object.values(own).some(({ level }) => level === 'backend')) backends[backend] = own;
    }
    return { rule, sections, backends };
  });
}

function sectionsOf(
  table: PolicyTable,
  namespace: string,
  route: string,
  rule: string,
  backend?: string,
): EffectiveSections {
  const sections: Partial<Record<SectionName, EffectiveSection>> = {};
  for (const [section, { policy, level }] of table.trace(namespace, route, rule, backend)) {
    sections[section] = { policy: `${policy.ref.namespace}/${policy.ref.name}`, level, enforced: policy.enforce };
  }
  return sections;
}
