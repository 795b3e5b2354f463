/** The table of our kinds: schema, names, printer columns. What is said of a kind as a whole is said here, once. */
import type { z } from 'zod';
import type { TidegateKind } from './problem.ts';
import { backendSpec, backendStatus } from './v1alpha1/backend.ts';
import { policySpec, policyStatus } from './v1alpha1/policy.ts';
import { routeSpec, routeStatus } from './v1alpha1/route.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly jsonPath: string;
  readonly type: 'string' | 'date';
  /** 1: only with `-o wide`. */
  readonly priority?: 1;
}

export interface KindInfo {
  readonly kind: TidegateKind;
  readonly plural: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly columns: readonly PrinterColumn[];
}

const text = (name: string, field: string): PrinterColumn => ({ name, jsonPath: `.status.${field}`, type: 'string' });
const condition = (name: string, type: string): PrinterColumn => ({
  name,
  jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
  type: 'string',
});
const AGE: PrinterColumn = { name: 'Age', jsonPath: '.metadata.creationTimestamp', type: 'date' };

export const KINDS: Readonly<Record<TidegateKind, KindInfo>> = {
  Route: {
    kind: 'Route',
    plural: 'routes',
    shortName: 'tgr',
    description:
      'A Route says which requests go where: hosts and named rules that forward to Backends, redirect or answer.',
    spec: routeSpec,
    status: routeStatus,
    columns: [
      text('Hosts', 'hosts'),
      text('Backends', 'backends'),
      condition('Accepted', 'Accepted'),
      condition('Programmed', 'Programmed'),
      text('Reason', 'reason'),
      AGE,
    ],
  },
  Backend: {
    kind: 'Backend',
    plural: 'backends',
    shortName: 'tgb',
    description:
      'A Backend says where requests can go (a Service, fixed addresses or a DNS name) and how connections to it are kept.',
    spec: backendSpec,
    status: backendStatus,
    columns: [
      text('Target', 'target'),
      text('Protocol', 'protocol'),
      text('Endpoints', 'endpoints'),
      condition('Accepted', 'Accepted'),
      AGE,
    ],
  },
  Policy: {
    kind: 'Policy',
    plural: 'policies',
    shortName: 'tgp',
    description:
      'A Policy says what requests have to live with. Each section is inherited on its own from the Gateway to the Namespace, the Route, its rule and the Backend.',
    spec: policySpec,
    status: policyStatus,
    columns: [
      text('Targets', 'targets'),
      text('Sections', 'sections'),
      condition('Accepted', 'Accepted'),
      condition('Programmed', 'Programmed'),
      text('Reason', 'reason'),
      AGE,
    ],
  },
};

export const KIND_NAMES = Object.keys(KINDS) as TidegateKind[];

export function isTidegateKind(kind: unknown): kind is TidegateKind {
  return typeof kind === 'string' && Object.hasOwn(KINDS, kind);
}
