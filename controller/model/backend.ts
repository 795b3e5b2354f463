/** A Backend with the Service and EndpointSlices behind it. Pure. */
import { isIP } from 'node:net';
import { isLocalAddress } from '@tidegate/dataplane/snapshot/local-address';
import type { ObjectRef, Problem, ProblemReason } from '../api/problem.ts';
import { type BackendSpec, backendSpec } from '../api/v1alpha1/backend.ts';
import { check, formatPath, validateSpec } from '../api/validate.ts';
import type { TidegateObject } from '../store/objects.ts';
import { refOf } from '../store/objects.ts';
import { type EndpointModel, sortedEndpoints } from './endpoints.ts';
import { type ServiceSurroundings, serviceEndpoints } from './service-endpoints.ts';
import {
  type Authorities,
  authoritiesOf,
  type KeyPair,
  keyPairOf,
  type SecretFault,
  type SecretSource,
} from './tls-secrets.ts';

export interface BackendModel {
  readonly kind: 'Backend';
  readonly ref: ObjectRef;
  readonly uid: string | undefined;
  readonly generation: number;
  /** Null: invalid. */
  readonly spec: BackendSpec | null;
  /** Ready ones, sorted by address and port. */
  readonly endpoints: readonly EndpointModel[];
  /** Ready and all; null where only the data plane can know (a DNS name). */
  readonly counts: { readonly ready: number; readonly all: number } | null;
  /** Names among its endpoints may lead to the data plane's own machine. */
  readonly allowLocal: boolean;
  /** What it is connected to with; null: its spec names none, or it is among the problems. */
  readonly materials: { readonly certificate: KeyPair | null; readonly trust: Authorities | null };
  /** What a Service is called within the cluster; undefined: it is none, or stands for another name. */
  readonly serviceName: string | undefined;
  readonly problems: readonly Problem[];
}

export function modelBackend(
  object: TidegateObject,
  around: ServiceSurroundings & { readonly secrets: SecretSource },
): BackendModel {
  const ref = refOf(object);
  const base = {
    kind: 'Backend' as const,
    ref,
    uid: object.metadata.uid,
    generation: object.metadata.generation ?? 0,
    allowLocal: around.allowLocal,
  };
  const nothing = {
    endpoints: [],
    counts: { ready: 0, all: 0 },
    materials: { certificate: null, trust: null },
    serviceName: undefined,
  };
  const { value: spec } = check(backendSpec, object.spec);
  if (spec === undefined) return { ...base, ...nothing, spec: null, problems: validateSpec(ref, object.spec) };
  const problem = (path: (string | number)[], reason: ProblemReason, message: string): Problem => ({
    object: ref,
    path: formatPath(['spec', ...path]),
    reason,
    message,
  });
  if (spec.service !== undefined) {
    const found = serviceEndpoints(spec.service, around);
    if ('reason' in found) {
      const message = found.message(ref.namespace);
      const problems = [problem(['service', found.field], found.reason, message)];
      return { ...base, ...nothing, spec: found.reason === 'NotAllowed' ? null : spec, problems };
    }
    const { materials, problems } = materialsOf(spec, ref.namespace, around.secrets, problem);
    const external = found.endpoints.some(({ address }) => isIP(address) === 0);
    const serviceName = external ? undefined : `${spec.service.name}.${ref.namespace}.svc`;
    return { ...base, ...found, spec, materials, serviceName, problems };
  }
  const hosts =
    spec.hosts ?? (spec.dns === undefined ? [] : [{ address: spec.dns.name, port: spec.dns.port ?? 0, weight: 1 }]);
  const problems: Problem[] = [];
  if (!around.allowLocal) {
    for (const [index, host] of hosts.entries()) {
      if (!isLocalAddress(host.address)) continue;
      const path = spec.dns === undefined ? ['hosts', index, 'address'] : ['dns', 'name'];
      problems.push(
        problem(path, 'NotAllowed', `${host.address} is an address of the data plane itself or of its machine`),
      );
    }
  }
  if (problems.length > 0) return { ...base, ...nothing, spec: null, problems };
  // The data plane finds those of SRV records.
  const endpoints = spec.dns?.records === 'srv' ? [] : sortedEndpoints(hosts);
  const known = hosts.every((host) => isIP(host.address) !== 0);
  return {
    ...base,
    ...materialsOf(spec, ref.namespace, around.secrets, problem),
    spec,
    serviceName: undefined,
    endpoints,
    counts: known ? { ready: endpoints.length, all: endpoints.length } : null,
  };
}

function materialsOf(
  { tls }: BackendSpec,
  namespace: string,
  secrets: SecretSource,
  problem: (path: (string | number)[], reason: ProblemReason, message: string) => Problem,
): Pick<BackendModel, 'materials' | 'problems'> {
  const problems: Problem[] = [];
  const taken = <T extends object>(found: T | SecretFault, path: string[]): T | null => {
    if (!('reason' in found)) return found;
    problems.push(problem(path, found.reason, found.message));
    return null;
  };
  const { ca, clientCertificate: shown } = tls ?? {};
  const at = ['tls', 'clientCertificate', 'secret'];
  const certificate = shown === undefined ? null : taken(keyPairOf(secrets, namespace, shown.secret), at);
  const trust = ca === undefined ? null : taken(authoritiesOf(secrets, namespace, ca.secret), ['tls', 'ca', 'secret']);
  return { materials: { certificate, trust }, problems };
}
