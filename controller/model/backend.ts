/** A Backend with the Service and EndpointSlices behind it. Pure. */
import { isIP } from 'node:net';
import type { ObjectRef, Problem, ProblemReason } from '../api/problem.ts';
import { type BackendSpec, backendSpec } from '../api/v1alpha1/backend.ts';
import { check, formatPath, validateSpec } from '../api/validate.ts';
import type { EndpointSliceObject, ServiceObject, ServicePort, TidegateObject } from '../store/objects.ts';
import { refOf } from '../store/objects.ts';
import { isLocalAddress } from './local-address.ts';

export interface EndpointModel {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly zone?: string;
}

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
  readonly problems: readonly Problem[];
}

/** What the Backend stands on. */
export interface BackendSurroundings {
  readonly service: ServiceObject | undefined;
  /** Of that Service, in any order. */
  readonly slices: readonly EndpointSliceObject[];
  /** Whether addresses of the data plane's own machine are allowed: on a laptop, not in a cluster. */
  readonly allowLocal: boolean;
}

export function modelBackend(object: TidegateObject, around: BackendSurroundings): BackendModel {
  const ref = refOf(object);
  const base = {
    kind: 'Backend' as const,
    ref,
    uid: object.metadata.uid,
    generation: object.metadata.generation ?? 0,
  };
  const nothing = { endpoints: [], counts: { ready: 0, all: 0 } };
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
      return { ...base, ...nothing, spec, problems: [problem(['service', found.field], found.reason, message)] };
    }
    return { ...base, ...found, spec, problems: [] };
  }
  const hosts =
    spec.hosts ?? (spec.dns === undefined ? [] : [{ address: spec.dns.name, port: spec.dns.port, weight: 1 }]);
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
  const endpoints = sorted(hosts);
  const known = hosts.every((host) => isIP(host.address) !== 0);
  return {
    ...base,
    spec,
    endpoints,
    counts: known ? { ready: endpoints.length, all: endpoints.length } : null,
    problems,
  };
}

interface Missing {
  readonly field: 'name' | 'port';
  readonly reason: ProblemReason;
  readonly message: (namespace: string) => string;
}

function serviceEndpoints(
  wanted: NonNullable<BackendSpec['service']>,
  { service, slices }: BackendSurroundings,
): Missing | Pick<BackendModel, 'endpoints' | 'counts'> {
  const missing = (field: Missing['field'], reason: ProblemReason, message: Missing['message']) => ({
    field,
    reason,
    message,
  });
  if (service === undefined) {
    return missing('name', 'ServiceNotFound', (namespace) => `Service ${namespace}/${wanted.name} does not exist`);
  }
  if (service.spec?.type === 'ExternalName') {
    const message = `Service ${wanted.name} is of type ExternalName, which has no endpoints: use dns`;
    return missing('name', 'ServiceUnsupported', () => message);
  }
  const ports = (service.spec?.ports ?? []).filter((one) => (one.protocol ?? 'TCP') === 'TCP');
  const port = ports.find((one) => (typeof wanted.port === 'number' ? one.port : one.name) === wanted.port);
  if (port === undefined) {
    const has = ports.map((one) => (one.name ? `${one.port} (${one.name})` : `${one.port}`)).join(', ');
    const message = `Service ${wanted.name} has no TCP port ${wanted.port}${has === '' ? '' : `; it has ${has}`}`;
    return missing('port', 'PortNotFound', () => message);
  }
  return collect(port, slices, service.spec?.ipFamilies?.[0]);
}

function collect(
  port: ServicePort,
  slices: readonly EndpointSliceObject[],
  family: string | undefined,
): Pick<BackendModel, 'endpoints' | 'counts'> {
  const ready: EndpointModel[] = [];
  const draining: EndpointModel[] = [];
  const all = new Set<string>();
  for (const slice of slices) {
    if (slice.addressType === 'FQDN' || (family !== undefined && slice.addressType !== family)) continue;
    const target = (slice.ports ?? []).find(
      (one) => (one.name ?? '') === (port.name ?? '') && (one.protocol ?? 'TCP') === 'TCP',
    )?.port;
    if (target === undefined) continue;
    for (const { addresses, conditions, zone } of slice.endpoints ?? []) {
      const address = addresses[0];
      if (address === undefined) continue;
      all.add(`${address} ${target}`);
      const endpoint = { address, port: target, weight: 1, ...(zone ? { zone } : {}) };
      // Absent means ready: discovery.k8s.io/v1, EndpointConditions.
      if (conditions?.ready !== false) ready.push(endpoint);
      else if (conditions.serving === true && conditions.terminating === true) draining.push(endpoint);
    }
  }
  // As kube-proxy does: when every endpoint is on its way out, those that still answer are better than none.
  const endpoints = sorted(ready.length > 0 ? ready : draining);
  return { endpoints, counts: { ready: endpoints.length, all: all.size } };
}

/** By address, then port; of several with both the same, one. */
function sorted(endpoints: readonly EndpointModel[]): EndpointModel[] {
  const unique = new Map<string, EndpointModel>();
  for (const endpoint of [...endpoints].sort(byContent)) {
    const key = `${endpoint.address} ${endpoint.port}`;
    if (!unique.has(key)) unique.set(key, endpoint);
  }
  return [...unique.values()];
}

function byContent(a: EndpointModel, b: EndpointModel): number {
  return compare(a.address, b.address) || a.port - b.port || b.weight - a.weight || compare(a.zone ?? '', b.zone ?? '');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
