/** A Policy as resources: a block a section, and the secrets it takes along. Pure. */
import type { PolicySection, Resource } from '@tidegate/dataplane/snapshot/resources';
import { PROTECTING } from '@tidegate/dataplane/snapshot/sections/fail';
import type { Problem } from '../api/problem.ts';
import type { SectionName } from '../api/v1alpha1/policy.ts';
import type { PolicyModel, SectionConfig } from '../model/policy.ts';
import { compileSection } from './sections/compile.ts';
import { SectionContext, type SectionSurroundings } from './sections/context.ts';

export interface CompiledPolicy {
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
  /** Sections that refuse their requests, as they could not be built. */
  readonly closed: readonly SectionName[];
}

export function compilePolicy(policy: PolicyModel, surroundings: SectionSurroundings): CompiledPolicy {
  const { namespace, name } = policy.ref;
  const resources = new Map<string, Resource>();
  const problems: Problem[] = [];
  const closed: SectionName[] = [];
  for (const section of policy.sections) {
    const context = new SectionContext(policy.ref, section.section, surroundings);
    const config = section.spec === null ? null : build(section, context);
    problems.push(...context.problems);
    const protects = PROTECTING.has(section.section);
    const failed = config === null || context.problems.length > 0;
    if (failed && !protects) continue;
    if (failed) closed.push(section.section);
    else for (const resource of context.resources.values()) resources.set(resource.id, resource);
    const id = policyId(policy, section.section);
    resources.set(id, {
      kind: 'policy',
      id,
      source: `${namespace}/${name}`,
      config: failed ? failClosed(section.section) : config,
    });
  }
  return { resources: [...resources.values()], problems, closed };
}

export function policyId(policy: PolicyModel, section: SectionName): string {
  return `policy/${policy.ref.namespace}/${policy.ref.name}/${section}`;
}

function build(section: SectionConfig, context: SectionContext): PolicySection | null {
  return section.spec === null ? null : compileSection(section.section, section.spec as never, context);
}

/** What is wrong is for the operator: the client learns nothing of the inside. */
function failClosed(of: SectionName): PolicySection {
  const message =
    'A protection of this route is not configured correctly; the operator finds the reason in its status.';
  return { section: 'fail', of, status: 503, code: 'policy-invalid', message };
}
