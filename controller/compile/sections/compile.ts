/** Section → how it is compiled. Exhaustive: a new section does not build until it is here. */
import type { PolicySection } from '@tidegate/dataplane/snapshot/resources';
import type { SectionName } from '../../api/v1alpha1/policy.ts';
import type { SectionSpec } from '../../model/policy.ts';
import { compileHeaderEdits, compileTimeouts } from '../edits.ts';
import { compileRetry } from '../retry.ts';
import { compileAuthentication } from './authentication.ts';
import { compileAuthorization } from './authorization.ts';
import type { SectionContext } from './context.ts';
import { compileCors } from './cors.ts';
import { compileFault } from './fault.ts';
import { compileRateLimit } from './rate-limit.ts';
import { compileSecurity } from './security.ts';
import { compileShedding } from './shedding.ts';

export type Compiled<S extends SectionName> = Extract<PolicySection, { section: S }>;

/** Null: it could not be built, and the context holds why. */
type Compile<S extends SectionName> = (spec: SectionSpec<S>, context: SectionContext) => Compiled<S> | null;

const SECTIONS: { readonly [S in SectionName]: Compile<S> } = {
  shedding: compileShedding,
  security: compileSecurity,
  cors: compileCors,
  authentication: compileAuthentication,
  authorization: compileAuthorization,
  rateLimit: compileRateLimit,
  transform: ({ request, response }) => ({
    section: 'transform',
    ...(request === undefined ? {} : { request: compileHeaderEdits(request) }),
    ...(response === undefined ? {} : { response: compileHeaderEdits(response) }),
  }),
  fault: compileFault,
  retry: (spec) => ({ section: 'retry', ...compileRetry(spec) }),
  timeout: (spec) => ({ section: 'timeout', ...compileTimeouts(spec) }),
};

export function compileSection<S extends SectionName>(
  section: S,
  spec: SectionSpec<S>,
  context: SectionContext,
): PolicySection | null {
  return SECTIONS[section](spec, context);
}
