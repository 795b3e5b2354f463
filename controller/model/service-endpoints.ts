/** The endpoints behind a Service: those of its EndpointSlices, or the name an ExternalName stands for. Pure. */
import { isIP } from 'node:net';
import { isLocalAddress } from '@tidegate/dataplane/snapshot/local-address';
import type { ProblemReason } from '../api/problem.ts';
import type { BackendSpec } from '../api/v1alpha1/backend.ts';
import type { EndpointSliceEndpoint, EndpointSliceObject, ServiceObject, ServicePort } from '../store/objects.ts';
import { type EndpointModel, sortedEndpoints } from './endpoints.ts';

/** What a Backend that names a Service stands on. */
export interface ServiceSurroundings {
  readonly service: ServiceObject | undefined;
  /** Of that Service, in any order. */
  readonly slices: readonly EndpointSliceObject[];
  /** Whether addresses of the data plane's own machine are allowed: on a laptop, not in a cluster. */
  readonly allowLocal: boolean;
}

export interface Missing {
  readonly field: 'name' | 'port';
  readonly reason: ProblemReason;
  readonly message: (namespace: string) => string;
}

export interface Followed {
  readonly endpoints: readonly EndpointModel[];
  /** Ready and all; null where only the data plane can know (a DNS name). */
  readonly counts: { readonly ready: number; readonly all: number } | null;
}

type Wanted = NonNullable<BackendSpec['service']>;

export function serviceEndpoints(wanted: Wanted, around: ServiceSurroundings): Missing | Followed {
  const { service } = around;
  if (service === undefined) {
    return missing('name', 'ServiceNotFound', (namespace) => `Service ${namespace}/${wanted.name} does not exist`);
  }
  if (service.spec?.type === 'ExternalName') return externalName(wanted, service, around.allowLocal);
  const ports = tcpPorts(service);
  // A headless Service may have no ports: its pods are then reached on the port that is asked for.
  if (ports.length === 0 && service.spec?.clusterIP === 'None' && typeof wanted.port === 'number') {
    const { port } = wanted;
    return follow(() => port, around);
  }
  const port = ports.find((one) => isWanted(one, wanted));
  return port === undefined ? noSuchPort(wanted, ports) : follow((slice) => targetOf(slice, port), around);
}

/** Its name is one of the whole DNS: no search domain is to complete it. */
function externalName(wanted: Wanted, { spec }: ServiceObject, allowLocal: boolean): Missing | Followed {
  const name = (spec?.externalName ?? '').toLowerCase().replace(/\.$/, '');
  const ports = (spec?.ports ?? []).filter(isTcp);
  const port = typeof wanted.port === 'number' ? wanted.port : ports.find((one) => isWanted(one, wanted))?.port;
  if (port === undefined) return noSuchPort(wanted, ports);
  // Kubernetes' own DNS answers nothing for such a one either.
  if (name === '' || isIP(name) !== 0) {
    const message = `Service ${wanted.name} has externalName ${JSON.stringify(name)}, which is no DNS name: use hosts`;
    return missing('name', 'ServiceUnsupported', () => message);
  }
  if (!allowLocal && isLocalAddress(name)) {
    const message = `Service ${wanted.name} has externalName ${name}, an address of the data plane itself or of its machine`;
    return missing('name', 'NotAllowed', () => message);
  }
  return { endpoints: [{ address: `${name}.`, port, weight: 1 }], counts: null };
}

function missing(field: Missing['field'], reason: ProblemReason, message: Missing['message']): Missing {
  return { field, reason, message };
}

function noSuchPort(wanted: Wanted, ports: readonly ServicePort[]): Missing {
  const has = ports.map((one) => (one.name ? `${one.port} (${one.name})` : `${one.port}`)).join(', ');
  const message = `Service ${wanted.name} has no TCP port ${wanted.port}${has === '' ? '' : `; it has ${has}`}`;
  return missing('port', 'PortNotFound', () => message);
}

function isTcp({ protocol }: { readonly protocol?: string | undefined }): boolean {
  return (protocol ?? 'TCP') === 'TCP';
}

function tcpPorts(service: ServiceObject): readonly ServicePort[] {
  return (service.spec?.ports ?? []).filter(isTcp);
}

function isWanted(port: ServicePort, wanted: Wanted): boolean {
  return (typeof wanted.port === 'number' ? port.port : port.name) === wanted.port;
}

/** A port's number may differ from slice to slice, as pods name theirs: the name is what joins them. */
function targetOf(slice: EndpointSliceObject, port: ServicePort): number | undefined {
  return (slice.ports ?? []).find((one) => isTcp(one) && (one.name ?? '') === (port.name ?? ''))?.port;
}

interface Found {
  readonly ready: EndpointModel[];
  readonly draining: EndpointModel[];
  readonly all: Set<string>;
}

/**
 * As kube-proxy does: the ready ones; where there is none, those that are on their way out and still answer. `ready` is what
 * publishNotReadyAddresses sets, so it is asked first. Absent conditions: ready, serving, not terminating.
 * A pod of two families is one endpoint: of the Service's families the first that serves is taken. Slices of type FQDN have no meaning
 * that anyone defined, and are left out.
 */
function follow(
  target: (slice: EndpointSliceObject) => number | undefined,
  { service, slices, allowLocal }: ServiceSurroundings,
): Followed {
  const families = service?.spec?.ipFamilies ?? ['IPv4', 'IPv6'];
  const found = new Map<string, Found>(families.map((family) => [family, { ready: [], draining: [], all: new Set() }]));
  for (const slice of slices) {
    const port = target(slice);
    if (slice.addressType === 'FQDN' || port === undefined || port === null) continue;
    for (const endpoint of slice.endpoints ?? []) {
      // Of several addresses only the first is for use.
      const address = endpoint.addresses[0] ?? '';
      const of = found.get(`IPv${isIP(address)}`);
      if (of === undefined || (!allowLocal && isLocalAddress(address))) continue;
      of.all.add(`${address} ${port}`);
      const { conditions } = endpoint;
      if (conditions?.ready !== false) of.ready.push(model(endpoint, address, port));
      else if (conditions.serving !== false && conditions.terminating === true)
        of.draining.push(model({ ...endpoint, hints: null }, address, port));
    }
  }
  const all = [...found.values()];
  const serving =
    all.find(({ ready }) => ready.length > 0) ?? all.find(({ draining }) => draining.length > 0) ?? all[0];
  const chosen = serving === undefined || serving.ready.length > 0 ? (serving?.ready ?? []) : serving.draining;
  const endpoints = sortedEndpoints(withHints(chosen));
  return { endpoints, counts: { ready: endpoints.length, all: serving?.all.size ?? 0 } };
}

/** `hints.forNodes` is for proxies that run on every node, which a gateway's pods do not. */
function model({ zone, hints }: EndpointSliceEndpoint, address: string, port: number): EndpointModel {
  const forZones = (hints?.forZones ?? []).map(({ name }) => name).sort();
  return { address, port, weight: 1, ...(zone ? { zone } : {}), ...(forZones.length > 0 ? { forZones } : {}) };
}

/** Hints count when every endpoint has one, as for kube-proxy: else some would get nothing from anywhere. */
function withHints(endpoints: readonly EndpointModel[]): EndpointModel[] {
  const all = endpoints.every(({ forZones }) => forZones !== undefined);
  return endpoints.map(({ forZones, ...rest }) => (all && forZones !== undefined ? { ...rest, forZones } : rest));
}
