/**
 * The contract: every kind of resource a snapshot can hold. The data plane owns this language; the controller writes it.
 *
 * A resource is keyed by `id` (identity of the object it came from, never a list index) and hashed over its canonical
 * JSON. Resources refer to each other by id. Durations are integer milliseconds, sizes are bytes.
 */
import { z } from 'zod';
import { balancing } from './backend/balancing.ts';
import { breaker } from './backend/breaker.ts';
import { health } from './backend/health.ts';
import { pool } from './backend/pool.ts';
import { backendProtocol, proxyProtocol, upstreamTls } from './backend/transport.ts';
import { credentialsResource, secretResource } from './credentials.ts';
import { durationMs, headerEdits, headerValue, id, pathMatch, timeouts } from './primitives.ts';
import { retrySettings } from './retry.ts';
import { authenticationSection } from './sections/authentication.ts';
import { authorizationSection } from './sections/authorization.ts';
import { corsSection } from './sections/cors.ts';
import { failSection } from './sections/fail.ts';
import { faultSection } from './sections/fault.ts';
import { rateLimitSection } from './sections/rate-limit.ts';
import { retrySection } from './sections/retry.ts';
import { securitySection } from './sections/security.ts';
import { sheddingSection } from './sections/shedding.ts';
import { timeoutSection } from './sections/timeout.ts';
import { transformSection } from './sections/transform.ts';
import { fallback, mirror, split } from './shaping.ts';
import { certificateResource, tlsResource, trustResource } from './tls.ts';

const valueMatch = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exact'), name: z.string().min(1), value: z.string() }),
  z.strictObject({ kind: z.literal('regex'), name: z.string().min(1), value: z.string() }),
  z.strictObject({ kind: z.literal('present'), name: z.string().min(1) }),
]);
export type ValueMatch = z.infer<typeof valueMatch>;

/** All parts of one match must hold. An absent path means every path (prefix `/`). */
const match = z.strictObject({
  path: pathMatch,
  methods: z.array(z.string()).default([]),
  headers: z.array(valueMatch).default([]),
  query: z.array(valueMatch).default([]),
  cookies: z.array(valueMatch).default([]),
  /** CIDR blocks or addresses of the client. */
  sources: z.array(z.string()).default([]),
});
export type Match = z.infer<typeof match>;

const pathRewrite = z.strictObject({ kind: z.enum(['full', 'prefix']), value: z.string().max(1024) });
export type PathRewrite = z.infer<typeof pathRewrite>;

const rewrite = z.strictObject({ host: z.string().optional(), path: pathRewrite.optional() });
export type Rewrite = z.infer<typeof rewrite>;

/** A reference the compiler could not resolve keeps its weight and answers with its reason, as Gateway API asks. */
const weightedBackend = z.strictObject({
  weight: z.int().min(0).max(1000),
  backend: id.optional(),
  fail: z.strictObject({ status: z.int().min(500).max(599), code: z.string(), message: z.string() }).optional(),
  /**
   * Ids of all policy resources that hold for this share of the requests, where they differ from the rule's `policies`: a policy that
   * targets the Backend wins its sections.
   */
  policies: z.array(id).optional(),
});
export type WeightedBackend = z.infer<typeof weightedBackend>;

const action = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('forward'),
    backends: z.array(weightedBackend).min(1),
    rewrite: rewrite.optional(),
    split: split.optional(),
    mirrors: z.array(mirror).max(4).optional(),
    fallback: fallback.optional(),
  }),
  z.strictObject({
    kind: z.literal('redirect'),
    status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]),
    scheme: z.enum(['http', 'https']).optional(),
    host: z.string().optional(),
    port: z.int().min(1).max(65535).optional(),
    path: pathRewrite.optional(),
  }),
  z.strictObject({
    kind: z.literal('respond'),
    status: z.int().min(200).max(599),
    contentType: headerValue.optional(),
    body: z.string().max(65536).default(''),
  }),
  /** The rule could not be built: every request it matches is answered with this. */
  z.strictObject({ kind: z.literal('fail'), status: z.int().min(500).max(599), code: z.string(), message: z.string() }),
]);
export type Action = z.infer<typeof action>;

export const ruleResource = z.strictObject({
  kind: z.literal('rule'),
  /** `rule/<namespace>/<route>/<rule>` */
  id,
  namespace: z.string(),
  route: z.string(),
  rule: z.string(),
  /** Creation time of the Route, ms since the epoch: the older wins a tie. */
  createdAtMs: z.int(),
  /** Place of the rule within its Route, the last tie-break of Gateway API; absent is 0. */
  order: z.int().min(0).optional(),
  /** Lower-case, without port: `api.example.com`, `*.example.com` (one or more labels), `*` (any). */
  hosts: z.array(z.string().min(1)).min(1),
  matches: z.array(match).min(1),
  action,
  /** Ids of policy resources, at most one a section, any order: the data plane orders them by stage. */
  policies: z.array(id).default([]),
  /** The rule's own header edits; they run after those of a policy. */
  headers: z.strictObject({ request: headerEdits.optional(), response: headerEdits.optional() }).default({}),
  /** The rule's own time-outs; each field wins over the `timeout` section of a policy. */
  timeouts: timeouts.default({}),
  /** What the rule's requests are retried for; wins over the `retry` section of a policy as a whole. */
  retry: retrySettings.optional(),
});
export type RuleResource = z.infer<typeof ruleResource>;

export const policySection = z.discriminatedUnion('section', [
  authenticationSection,
  authorizationSection,
  corsSection,
  faultSection,
  rateLimitSection,
  securitySection,
  sheddingSection,
  transformSection,
  timeoutSection,
  retrySection,
  failSection,
]);
export type PolicySection = z.infer<typeof policySection>;

export const policyResource = z.strictObject({
  kind: z.literal('policy'),
  /** `policy/<namespace>/<name>/<section>` */
  id,
  /** `<namespace>/<name>` of the Policy it came from. */
  source: z.string(),
  config: policySection,
});
export type PolicyResource = z.infer<typeof policyResource>;

export const backendResource = z.strictObject({
  kind: z.literal('backend'),
  /** `backend/<namespace>/<name>` */
  id,
  protocol: backendProtocol,
  /** Its endpoints speak gRPC: gRPC-Web is translated for them. Only with http2. */
  grpc: z.literal(true).optional(),
  tls: upstreamTls.optional(),
  proxyProtocol: proxyProtocol.optional(),
  balancing,
  connectTimeoutMs: durationMs,
  pool,
  health: health.optional(),
  breaker: breaker.optional(),
  /** Id of the endpoints resource: apart, so that a pod that comes or goes does not touch the backend. */
  endpoints: id,
});
export type BackendResource = z.infer<typeof backendResource>;

const endpoint = z.strictObject({
  /** An IP address, or a DNS name (`names` of the list). A name that ends in a dot is not completed by search domains. */
  address: z.string().min(1),
  port: z.int().min(1).max(65_535),
  weight: z.int().min(1).max(1000).default(1),
  /** The name its address was found by: what TLS verifies. Absent: the address is all there is. */
  hostName: z.string().min(1).max(254).optional(),
  /** Where it runs. */
  zone: z.string().optional(),
  /** Zones it is meant for (EndpointSlice hints); absent: all. */
  forZones: z.array(z.string()).max(64).optional(),
  /** Those of a higher number get requests only as far as those below can't carry them. Absent: 0. */
  priority: z.int().min(0).max(15).optional(),
});
export type Endpoint = z.infer<typeof endpoint>;

/** How names are resolved: by the data plane, once for all its workers. */
const endpointNames = z.strictObject({
  /** An answer counts for the TTL of its records, which is taken to be no less and no more than this. */
  minTtlMs: durationMs.min(100),
  maxTtlMs: durationMs.min(100),
  /** A name whose SRV records are endpoints too. */
  services: z.string().min(1).max(254).optional(),
  /** Names may lead to the data plane's own machine (local-address.ts). Absent: such addresses are left out of any answer. */
  allowLocal: z.literal(true).optional(),
});
export type EndpointNames = z.infer<typeof endpointNames>;

export const endpointsResource = z.strictObject({
  kind: z.literal('endpoints'),
  /** `endpoints/<namespace>/<backend>` */
  id,
  /** Sorted by address, then port. */
  endpoints: z.array(endpoint),
  /** With names among the endpoints, and with SRV records. Absent: 1 s to 5 min. */
  names: endpointNames.optional(),
});
export type EndpointsResource = z.infer<typeof endpointsResource>;

export const resource = z.discriminatedUnion('kind', [
  ruleResource,
  policyResource,
  backendResource,
  endpointsResource,
  secretResource,
  credentialsResource,
  certificateResource,
  trustResource,
  tlsResource,
]);
/** What the compiler emits and the data plane builds from. */
export type Resource = z.infer<typeof resource>;
export type ResourceKind = Resource['kind'];
