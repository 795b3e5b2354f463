/**
 * What `tidegate explain` asks of a data plane (POST /debug/explain on its admin port) and what it is told. No part of a snapshot: it stands
 * here because both sides speak it.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { headerValue } from './primitives.ts';

const fieldName = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/, 'must be the name of a header');

export const explainRequest = z.strictObject({
  method: z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/, 'must be a method such as GET'),
  /** Absolute, `http` or `https`. Its path is taken as it is, so that what the gateway makes of it is seen. */
  url: z
    .string()
    .max(16_384)
    .regex(/^https?:\/\/[^/?#\s]+[^\s]*$/, 'must look like https://api.example.com/orders'),
  /** Name and value, in any order; a Host among them takes the place of the URL's. */
  headers: z
    .array(z.tuple([fieldName, headerValue]))
    .max(100)
    .default([]),
  /** Of the connected peer. */
  address: z
    .string()
    .refine((text) => isIP(text) !== 0, 'must be an IP address')
    .default('127.0.0.1'),
  /** Of a rule whose backends have policies of their own: which of them; absent: the one with the largest weight. */
  backend: z.string().max(253).optional(),
});
export type ExplainRequest = z.output<typeof explainRequest>;

export interface Explanation {
  /** Of what the data plane runs. */
  readonly revision: string;
  /** As the gateway reads it: path normalised, host in lower case. Null where it does not even read it. */
  readonly request: {
    readonly method: string;
    readonly host: string;
    readonly path: string;
    readonly client: string;
  } | null;
  /** Null: no rule takes it. */
  readonly rule: ExplainedRule | null;
  /** In the order they run, up to the first one that answers. */
  readonly sections: readonly ExplainedSection[];
  /** What the gateway answers by itself; null: the request goes to a backend. `by` is a section, `rule`, `routing` or `listener`. */
  readonly answer: {
    readonly status: number;
    readonly code: string;
    readonly detail: string;
    readonly by: string;
  } | null;
  /** What the request's rule could forward to, whether it gets there or not. */
  readonly backends: readonly ExplainedBackend[];
  /** Rules of the same host and path that do not get it, the nearest first; bounded. */
  readonly notTaken: readonly { readonly rule: string; readonly why: string }[];
  readonly notTakenMore: number;
}

export interface ExplainedRule {
  /** `<namespace>/<name>` of the Route. */
  readonly route: string;
  readonly rule: string;
  /** What of it matched, and how many others match less. */
  readonly why: string;
  /** Why it does not run as the controller sent it; empty when it does. */
  readonly trouble: string;
}

export interface ExplainedSection {
  readonly section: string;
  /** `<namespace>/<name>` of its Policy; `rule`: it stands in the rule itself. */
  readonly source: string;
  readonly text: string;
}

export interface ExplainedBackend {
  /** `<namespace>/<name>`; empty: it could not be resolved. */
  readonly backend: string;
  readonly weight: number;
  /** Sum of all weights. */
  readonly of: number;
  /** Policies of its own hold for it. */
  readonly ownPolicies: boolean;
  /** What was explained is its share. */
  readonly chosen: boolean;
  readonly text: string;
}
