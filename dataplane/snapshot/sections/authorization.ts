/**
 * Who may do what. The first rule all of whose parts hold decides, then `default`. An empty part asks for nothing; of a list one is enough,
 * except scopes and claims, of which all must hold.
 */
import { z } from 'zod';
import { pathMatch } from '../primitives.ts';
import { certificateMatch } from './certificate.ts';

const MINUTES_A_DAY = 1440;
const name = z.string().min(1).max(253);

const timeWindow = z.strictObject({
  /** 0 is Monday. The day a window begins on. */
  days: z.array(z.int().min(0).max(6)).min(1).max(7),
  /** Minutes of the local day, `from` inclusive; a window that ends before it begins goes over midnight. */
  from: z
    .int()
    .min(0)
    .max(MINUTES_A_DAY - 1),
  to: z.int().min(1).max(MINUTES_A_DAY),
  /** IANA name. */
  timezone: z.string().min(1).max(64),
});
export type TimeWindow = z.infer<typeof timeWindow>;

const claim = z.strictObject({
  /** Of a claim, or names with dots between them of one inside others. */
  name,
  /** As text; of a claim that is a list one element is enough. Empty: being there is enough. */
  values: z.array(z.string().max(1024)).max(64).default([]),
});
export type ClaimCondition = z.infer<typeof claim>;

const rule = z.strictObject({
  name: z.string().min(1).max(63),
  action: z.enum(['allow', 'deny']),
  consumers: z.array(name).max(256).default([]),
  groups: z.array(name).max(256).default([]),
  scopes: z.array(name).max(64).default([]),
  claims: z.array(claim).max(16).default([]),
  methods: z.array(z.string().min(1).max(32)).max(16).default([]),
  paths: z.array(pathMatch).max(64).default([]),
  /** CIDR blocks or addresses of the client. */
  addresses: z.array(z.string()).max(256).default([]),
  times: z.array(timeWindow).max(16).default([]),
  /** Of the client's connection; one without any is not meant. */
  certificate: certificateMatch.optional(),
  /** An expression (snapshot/expression.ts). */
  cel: z.string().min(1).max(1024).optional(),
});
export type AuthorizationRule = z.infer<typeof rule>;

export const authorizationSection = z.strictObject({
  section: z.literal('authorization'),
  default: z.enum(['allow', 'deny']),
  /** Nothing is refused: what would have been is counted, and named in the access log. */
  dryRun: z.boolean().default(false),
  rules: z.array(rule).max(64).default([]),
});
export type AuthorizationSection = z.infer<typeof authorizationSection>;
