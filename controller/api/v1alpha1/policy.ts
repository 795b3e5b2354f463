/** Policy: what requests have to live with, from the whole gateway down to one rule. */
import { z } from 'zod';
import { atLeastOneOf, type Rule, withRules } from '../rule.ts';
import { conditions, gateway, label, objectName, timeouts } from './common.ts';
import { retry } from './retry.ts';
import { authentication } from './sections/authentication.ts';
import { authorization } from './sections/authorization.ts';
import { cors } from './sections/cors.ts';
import { fault } from './sections/fault.ts';
import { rateLimit } from './sections/rate-limit.ts';
import { security } from './sections/security.ts';
import { shedding } from './sections/shedding.ts';
import { transform } from './sections/transform.ts';

export const targetRef = withRules(
  z.strictObject({
    kind: z
      .enum(['Gateway', 'Namespace', 'Route', 'Backend'])
      .describe(
        'Gateway: the whole installation. Namespace: every Route of it. Route: one Route, or one of its rules. Backend: what any rule sends to it.',
      ),
    name: objectName('Name of the target. A Route or a Backend is looked for in the namespace of the Policy.'),
    sectionName: label('Name of one rule of the Route.').optional(),
  }),
  {
    cel: "!has(self.sectionName) || self.kind == 'Route'",
    message: 'sectionName needs kind Route: it names one of its rules',
    test: (value) => value.sectionName === undefined || value.kind === 'Route',
  },
);
export type TargetRef = z.output<typeof targetRef>;

/** The sections, in the order of the pipeline. Each merges on its own; a policy has at least one. */
export const policySections = {
  shedding,
  security,
  cors,
  authentication,
  authorization,
  rateLimit,
  transform,
  fault,
  retry,
  timeout: timeouts.describe('How long requests may take.'),
};
export type SectionName = keyof typeof policySections;
export const SECTION_NAMES = Object.keys(policySections) as SectionName[];

const needsASection: Rule<object> = {
  ...(atLeastOneOf<Record<SectionName, unknown>>(...SECTION_NAMES) as Rule<object>),
  message: 'set at least one section',
};

/** Every section may be left out. */
function optionalSections<S extends Readonly<Record<string, z.ZodType>>>(sections: S) {
  return Object.fromEntries(Object.entries(sections).map(([name, schema]) => [name, schema.optional()])) as {
    [K in keyof S]: z.ZodOptional<S[K]>;
  };
}

export const policySpec = withRules(
  z.strictObject({
    gateway,
    targetRefs: z
      .array(targetRef)
      .min(1)
      .max(16)
      .describe(
        'What the policy holds for. The most specific policy wins each section: Gateway, Namespace, Route, rule, Backend.',
      ),
    enforce: z
      .boolean()
      .default(false)
      .describe('Policies of more specific targets can not override the sections of this one.'),
    ...optionalSections(policySections),
  }),
  needsASection,
);
export type PolicySpec = z.output<typeof policySpec>;

export const policyStatus = z.object({
  conditions,
  targets: z.string().optional().describe('The targets in one line, for kubectl get.'),
  sections: z.string().optional().describe('The sections in one line, for kubectl get.'),
  reason: z.string().optional().describe('Reason of the first condition that does not hold, for kubectl get.'),
});
