/** Sections of a Policy as resources: exhaustive, so that a new section does not compile until it is here. Pure. */
import type { PolicyResource, PolicySection } from '@tidegate/dataplane/snapshot/resources';
import { durationMs } from '../api/duration.ts';
import type { SectionName } from '../api/v1alpha1/policy.ts';
import type { PolicyModel, SectionConfig } from '../model/policy.ts';
import { compileHeaderEdits, compileTimeouts } from './edits.ts';

const DEFAULT_ALLOW_METHODS = ['GET', 'HEAD', 'POST'];
const DEFAULT_MAX_AGE_SECONDS = 5;

export function compilePolicy(policy: PolicyModel): PolicyResource[] {
  const { namespace, name } = policy.ref;
  return policy.sections.map((section) => ({
    kind: 'policy',
    id: policyId(policy, section.section),
    source: `${namespace}/${name}`,
    config: compileSection(section),
  }));
}

export function policyId(policy: PolicyModel, section: SectionName): string {
  return `policy/${policy.ref.namespace}/${policy.ref.name}/${section}`;
}

function compileSection(config: SectionConfig): PolicySection {
  switch (config.section) {
    case 'cors': {
      const { spec } = config;
      return {
        section: 'cors',
        allowOrigins: spec.allowOrigins,
        allowMethods: spec.allowMethods ?? DEFAULT_ALLOW_METHODS,
        allowHeaders: spec.allowHeaders ?? [],
        exposeHeaders: spec.exposeHeaders ?? [],
        allowCredentials: spec.allowCredentials,
        maxAgeSeconds: spec.maxAge === undefined ? DEFAULT_MAX_AGE_SECONDS : Math.floor(durationMs(spec.maxAge) / 1000),
      };
    }
    case 'transform': {
      const { request, response } = config.spec;
      return {
        section: 'transform',
        ...(request === undefined ? {} : { request: compileHeaderEdits(request) }),
        ...(response === undefined ? {} : { response: compileHeaderEdits(response) }),
      };
    }
    case 'timeout':
      return { section: 'timeout', ...compileTimeouts(config.spec) };
  }
}
