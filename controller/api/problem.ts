/** A user's mistake as a value: collected, shown in files, in the command line, and as a condition. Never thrown. */

/** Kinds the gateway is configured with. */
export type TidegateKind = 'Route' | 'Backend' | 'Policy';

/** Every kind the store holds. */
export type ObjectKind = TidegateKind | 'Service' | 'EndpointSlice' | 'Secret';

/** Which object: identity without content. */
export interface ObjectRef {
  readonly kind: ObjectKind;
  readonly namespace: string;
  readonly name: string;
}

export interface Problem {
  readonly object: ObjectRef;
  /** Where in the object, e.g. `spec.rules[0].backends[0].weight`; empty when it is the object as a whole. */
  readonly path: string;
  /** CamelCase, stable: it becomes a condition's reason. */
  readonly reason: ProblemReason;
  /** For a person, lower case, without the path: `must be 0 to 1000, got -1`. */
  readonly message: string;
}

export type ProblemReason =
  /** The object, or a part of it, breaks its schema or a check beyond it. */
  | 'Invalid'
  /** A Route's backend names no Backend of its namespace. */
  | 'BackendNotFound'
  /** A Backend that is itself invalid, or that another installation serves. */
  | 'BackendInvalid'
  /** A Backend's Service does not exist. */
  | 'ServiceNotFound'
  /** The Service has no such port. */
  | 'PortNotFound'
  /** The Service is of a type that has no endpoints of its own (ExternalName). */
  | 'ServiceUnsupported'
  /** A Secret that a policy refers to does not exist, or can't be read. */
  | 'SecretNotFound'
  /** A Secret that a policy refers to lacks a key, or holds what can't be used. */
  | 'SecretInvalid'
  /** A Secret with a certificate or CAs does not exist, or can't be read. */
  | 'CertificateNotFound'
  /** A Secret that should hold a certificate or CAs holds none that could be used. */
  | 'InvalidCertificate'
  /** A policy's target does not exist. */
  | 'TargetNotFound'
  /** A policy may not target this from its namespace. */
  | 'NotAllowed'
  /** An older policy on the same level has the same section. */
  | 'Conflicted'
  /** A policy of a higher level enforces the same section. */
  | 'Overridden'
  /** An older rule has the same host, match and predicates, so this one is never reached. */
  | 'RuleConflict';

/** `Route shop/orders`: for a map key and for a person. */
export function formatRef(ref: ObjectRef): string {
  return `${ref.kind} ${ref.namespace}/${ref.name}`;
}
