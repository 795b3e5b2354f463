/** What is watched: where each kind is served, and which of its fields are kept. */
import type { ObjectKind } from '../api/problem.ts';
import type { EndpointSliceObject, ObjectMeta, SecretObject, ServiceObject, StoreObject } from '../store/objects.ts';

export interface WatchedKind {
  readonly kind: ObjectKind;
  /** `/api/v1`, `/apis/<group>/<version>` */
  readonly apiPath: string;
  readonly plural: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Keeps what the store needs. Throws on what is no object of the kind. */
  readonly keep: (raw: RawObject) => StoreObject;
}

/** An object as the API server sends it, not yet looked at. */
export interface RawObject {
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly creationTimestamp?: string;
    readonly resourceVersion?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly [field: string]: unknown;
}

const TIDEGATE_API = '/apis/tidegate.dev/v1alpha1';
/** Groups of the consumers of a Secret. Other annotations may hold a copy of what was applied: the secret itself. */
const GROUPS = 'tidegate.dev/groups';
const SERVICE_NAME = 'kubernetes.io/service-name';

function ours(kind: 'Route' | 'Backend' | 'Policy', plural: string): WatchedKind {
  return {
    kind,
    apiPath: TIDEGATE_API,
    plural,
    keep: (raw) => ({ kind, metadata: meta(raw), spec: raw.spec, status: raw.status }),
  };
}

const service: WatchedKind = {
  kind: 'Service',
  apiPath: '/api/v1',
  plural: 'services',
  keep(raw) {
    const spec = raw.spec as NonNullable<ServiceObject['spec']> | undefined;
    return {
      kind: 'Service',
      metadata: meta(raw),
      spec: {
        type: spec?.type,
        ipFamilies: spec?.ipFamilies,
        // Only whether it is headless: a Service whose address changes is the same to us.
        clusterIP: spec?.clusterIP === 'None' ? 'None' : undefined,
        externalName: spec?.externalName,
        ports: (spec?.ports ?? []).map(({ name, port, protocol, targetPort }) => ({
          name,
          port,
          protocol,
          targetPort,
        })),
      },
    };
  },
};

export const endpointSlices: WatchedKind = {
  kind: 'EndpointSlice',
  apiPath: '/apis/discovery.k8s.io/v1',
  plural: 'endpointslices',
  labelSelector: SERVICE_NAME,
  keep(raw) {
    const slice = raw as unknown as EndpointSliceObject;
    const owner = raw.metadata.labels?.[SERVICE_NAME];
    return {
      kind: 'EndpointSlice',
      metadata: { ...meta(raw), ...(owner === undefined ? {} : { labels: { [SERVICE_NAME]: owner } }) },
      addressType: slice.addressType,
      endpoints: (slice.endpoints ?? []).map(({ addresses, zone, conditions, hints }) => ({
        addresses,
        zone,
        conditions,
        // `forNodes` is not read, so that a change of it is none.
        hints: hints?.forZones ? { forZones: hints.forZones } : undefined,
      })),
      ports: (slice.ports ?? []).map(({ name, port, protocol }) => ({ name, port, protocol })),
    };
  },
};

function secrets(labelSelector: string): WatchedKind {
  return {
    kind: 'Secret',
    apiPath: '/api/v1',
    plural: 'secrets',
    ...(labelSelector === '' ? {} : { labelSelector }),
    // Neither tokens of service accounts nor Helm's releases are anything a Route could refer to.
    fieldSelector: 'type!=kubernetes.io/service-account-token,type!=helm.sh/release.v1',
    keep(raw) {
      const secret = raw as unknown as SecretObject;
      const { labels } = raw.metadata;
      const groups = raw.metadata.annotations?.[GROUPS];
      const metadata = {
        ...meta(raw),
        ...(labels === undefined ? {} : { labels }),
        ...(groups === undefined ? {} : { annotations: { [GROUPS]: groups } }),
      };
      return { kind: 'Secret', metadata, type: secret.type, data: secret.data };
    },
  };
}

export interface WatchedSecrets {
  readonly enabled: boolean;
  readonly selector: string;
}

/** In the order they are listed. */
export function watchedKinds(watchSecrets: WatchedSecrets): WatchedKind[] {
  return [
    ours('Route', 'routes'),
    ours('Backend', 'backends'),
    ours('Policy', 'policies'),
    service,
    endpointSlices,
    ...(watchSecrets.enabled ? [secrets(watchSecrets.selector)] : []),
  ];
}

function meta({ metadata }: RawObject): ObjectMeta {
  const { name, namespace, uid, generation, creationTimestamp, resourceVersion } = metadata;
  if (typeof name !== 'string') throw new TypeError('an object without a name');
  return { name, namespace: namespace ?? '', uid, generation, creationTimestamp, resourceVersion };
}
