/**
 * What the sources deliver and the store keeps: objects as the API server shows them, not yet validated. `spec` of our own
 * kinds is `unknown` on purpose: the model validates it, so that a bad object becomes a Problem and never a crash.
 */
import type { ObjectKind, ObjectRef, TidegateKind } from '../api/problem.ts';

export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string | undefined;
  /** Counts changes of the spec. Absent for kinds that have none (Service, Secret). */
  readonly generation?: number | undefined;
  /** RFC 3339; decides age. */
  readonly creationTimestamp?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Route, Backend or Policy. */
export interface TidegateObject {
  readonly kind: TidegateKind;
  readonly metadata: ObjectMeta;
  readonly spec: unknown;
  /** As last seen; a change of it alone is no change for the compiler. */
  readonly status?: unknown;
}

export interface ServicePort {
  readonly name?: string | undefined;
  readonly port: number;
  readonly protocol?: string | undefined;
  readonly targetPort?: number | string | undefined;
}

export interface ServiceObject {
  readonly kind: 'Service';
  readonly metadata: ObjectMeta;
  readonly spec?:
    | {
        readonly type?: string | undefined;
        readonly ports?: readonly ServicePort[] | undefined;
        readonly ipFamilies?: readonly string[] | undefined;
        /** `None`: headless. */
        readonly clusterIP?: string | undefined;
        readonly externalName?: string | undefined;
      }
    | undefined;
}

export interface EndpointSliceEndpoint {
  readonly addresses: readonly string[];
  readonly zone?: string | undefined;
  readonly hints?: { readonly forZones?: readonly { readonly name: string }[] | null | undefined } | null | undefined;
  readonly conditions?:
    | {
        readonly ready?: boolean | undefined;
        readonly serving?: boolean | undefined;
        readonly terminating?: boolean | undefined;
      }
    | undefined;
}

/** discovery.k8s.io/v1; the label `kubernetes.io/service-name` says whose it is. */
export interface EndpointSliceObject {
  readonly kind: 'EndpointSlice';
  readonly metadata: ObjectMeta;
  readonly addressType?: string | undefined;
  readonly endpoints?: readonly EndpointSliceEndpoint[] | null | undefined;
  readonly ports?:
    | readonly {
        readonly name?: string | undefined;
        readonly port?: number | undefined;
        readonly protocol?: string | undefined;
      }[]
    | null
    | undefined;
}

export interface SecretObject {
  readonly kind: 'Secret';
  readonly metadata: ObjectMeta;
  readonly type?: string | undefined;
  /** Base64, as the API server sends it. */
  readonly data?: Readonly<Record<string, string>> | undefined;
}

export type StoreObject = TidegateObject | ServiceObject | EndpointSliceObject | SecretObject;

/** The object type of a kind. */
export type ObjectOf<K extends ObjectKind> = K extends TidegateKind
  ? TidegateObject
  : Extract<StoreObject, { readonly kind: K }>;

export type ObjectEvent =
  | { readonly type: 'upsert'; readonly object: StoreObject }
  | { readonly type: 'delete'; readonly ref: ObjectRef }
  /** A complete list of one kind: what is not in it is gone. For the first list and after a relist. */
  | { readonly type: 'replace'; readonly kind: ObjectKind; readonly objects: readonly StoreObject[] };

/**
 * What one `apply` changed, for the compiler: only objects whose content matters to it, each once, sorted. It carries no
 * content: the compiler reads the store, so changes may be merged, repeated or arrive late. An EndpointSlice is reported
 * as the Service it belongs to, and the one it belonged to before.
 */
export interface StoreChange {
  readonly refs: readonly ObjectRef[];
}

/** `Route/shop/orders`: the key of maps and of sorting. */
export function keyOf(ref: ObjectRef): ObjectKey {
  return `${ref.kind}/${ref.namespace}/${ref.name}`;
}
export type ObjectKey = `${ObjectKind}/${string}/${string}`;

export function refOf(object: StoreObject): ObjectRef {
  return { kind: object.kind, namespace: object.metadata.namespace, name: object.metadata.name };
}

/** The inverse of `keyOf`: names hold no slash. */
export function refOfKey(key: ObjectKey): ObjectRef {
  const [kind, namespace = '', name = ''] = key.split('/');
  return { kind: kind as ObjectRef['kind'], namespace, name };
}
