/** Policy: what requests have to live with, from the whole gateway down to one rule. */
import { z } from 'zod';
import { atLeastOneOf, type Rule, withRules } from '../rule.ts';
import { conditions, duration, gateway, headerEdits, headerName, label, objectName, timeouts } from './common.ts';

export const targetRef = withRules(
  z.strictObject({
    kind: z
      .enum(['Gateway', 'Namespace', 'Route'])
      .describe(
        'Gateway: the whole installation. Namespace: every Route of it. Route: one Route, or one of its rules.',
      ),
    name: objectName('Name of the target. A Route is looked for in the namespace of the Policy.'),
    sectionName: label('Name of one rule of the Route.').optional(),
  }),
  {
    cel: "!has(self.sectionName) || self.kind == 'Route'",
    message: 'sectionName needs kind Route: it names one of its rules',
    test: (value) => value.sectionName === undefined || value.kind === 'Route',
  },
);
export type TargetRef = z.output<typeof targetRef>;

const origin = withRules(z.string().min(1).max(253), {
  cel: `self == '*' || self.matches(r'^[a-z][a-z0-9+.-]*://(\\*\\.)?[^/?#*\\s]+$')`,
  message: 'must be * or an origin such as https://shop.example.com or https://*.example.com, without path',
  test: (value) =>
    value === '*' ||
    /^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^/?#*\s]+$/.test(value) ||
    `must be * or an origin such as https://shop.example.com or https://*.example.com, got ${JSON.stringify(value)}`,
});

const corsMethod = withRules(z.string().min(1).max(20), {
  cel: `self == '*' || self.matches('^[A-Z][A-Z-]*$')`,
  message: 'must be * or a method in upper case such as GET',
  test: (value) => value === '*' || /^[A-Z][A-Z-]*$/.test(value),
});

const cors = withRules(
  z.strictObject({
    allowOrigins: z
      .array(origin)
      .min(1)
      .max(64)
      .describe('Origins that may read the answers: exact, https://*.example.com, or * for all.'),
    allowMethods: z
      .array(corsMethod)
      .max(16)
      .optional()
      .describe('Methods a preflight allows, or *. Absent: GET, HEAD, POST.'),
    allowHeaders: z
      .array(headerName)
      .max(64)
      .optional()
      .describe('Request headers a preflight allows, or *. Absent: none beyond the safe ones.'),
    exposeHeaders: z.array(headerName).max(64).optional().describe('Response headers a page may read.'),
    allowCredentials: z.boolean().default(false).describe('Whether cookies and authorization may go along.'),
    maxAge: duration('How long a browser may remember a preflight. Default 5s.').optional(),
  }),
  {
    cel: "!self.allowCredentials || !self.allowOrigins.exists(o, o == '*')",
    message: 'allowCredentials needs named origins: * would let every site act for a signed-in user',
    test: (value) => !value.allowCredentials || !value.allowOrigins.includes('*'),
  },
).meta({ description: 'Cross-origin requests of browsers. Preflights are answered by the gateway.' });

const transform = withRules(
  z.strictObject({
    request: headerEdits('Edits of the request before it is forwarded.').optional(),
    response: headerEdits('Edits of the response before it is sent.').optional(),
  }),
  atLeastOneOf('request', 'response'),
).meta({ description: 'Edits of headers.' });

/** The sections, in the order of the pipeline. Each merges on its own; a policy has at least one. */
export const policySections = {
  cors,
  transform,
  timeout: timeouts.describe('How long requests may take.'),
};
export type SectionName = keyof typeof policySections;
export const SECTION_NAMES = Object.keys(policySections) as SectionName[];

const needsASection: Rule<object> = atLeastOneOf<Record<SectionName, unknown>>(...SECTION_NAMES) as Rule<object>;

export const policySpec = withRules(
  z.strictObject({
    gateway,
    targetRefs: z
      .array(targetRef)
      .min(1)
      .max(16)
      .describe(
        'What the policy holds for. The most specific policy wins each section: Gateway, Namespace, Route, rule.',
      ),
    enforce: z
      .boolean()
      .default(false)
      .describe('Policies of more specific targets can not override the sections of this one.'),
    cors: policySections.cors.optional(),
    transform: policySections.transform.optional(),
    timeout: policySections.timeout.optional(),
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
