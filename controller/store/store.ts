/** All objects by kind, namespace and name. Says what of a batch matters to the compiler; knows nothing of meaning. */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectKind, ObjectRef } from '../api/problem.ts';
import {
  keyOf,
  type ObjectEvent,
  type ObjectKey,
  type ObjectMeta,
  type ObjectOf,
  refOf,
  type StoreChange,
  type StoreObject,
} from './objects.ts';
import { References } from './references.ts';

export class Store {
  /** Who points at whom, kept up to date with every `apply`. */
  readonly references = new References();
  readonly #objects = new Map<ObjectKind, Map<string, StoreObject>>();

  /** Takes a batch over and returns what the compiler has to look at: empty when only status or bookkeeping changed. */
  apply(events: readonly ObjectEvent[]): StoreChange {
    const changed = new Map<ObjectKey, ObjectRef>();
    for (const event of events) {
      if (event.type === 'upsert') this.#upsert(event.object, changed);
      else if (event.type === 'delete') this.#remove(event.ref, changed);
      else this.#replace(event.kind, event.objects, changed);
    }
    return { refs: [...changed].sort(byKey).map(([, ref]) => ref) };
  }

  get<K extends ObjectKind>(kind: K, namespace: string, name: string): ObjectOf<K> | undefined {
    return this.#objects.get(kind)?.get(`${namespace}/${name}`) as ObjectOf<K> | undefined;
  }

  /** All objects of a kind, in no particular order. */
  *list<K extends ObjectKind>(kind: K): IterableIterator<ObjectOf<K>> {
    yield* (this.#objects.get(kind)?.values() ?? []) as Iterable<ObjectOf<K>>;
  }

  count(kind: ObjectKind): number {
    return this.#objects.get(kind)?.size ?? 0;
  }

  #of(kind: ObjectKind): Map<string, StoreObject> {
    let objects = this.#objects.get(kind);
    if (objects === undefined) {
      objects = new Map();
      this.#objects.set(kind, objects);
    }
    return objects;
  }

  #upsert(object: StoreObject, changed: Map<ObjectKey, ObjectRef>): void {
    const ref = refOf(object);
    const objects = this.#of(ref.kind);
    const id = `${ref.namespace}/${ref.name}`;
    const before = objects.get(id);
    objects.set(id, object);
    if (before !== undefined && sameForCompiler(before, object)) return;
    this.references.set(object);
    report(before, changed);
    report(object, changed);
  }

  #remove(ref: ObjectRef, changed: Map<ObjectKey, ObjectRef>): void {
    const objects = this.#of(ref.kind);
    const id = `${ref.namespace}/${ref.name}`;
    const before = objects.get(id);
    if (before === undefined) return;
    objects.delete(id);
    this.references.delete(ref);
    report(before, changed);
  }

  #replace(kind: ObjectKind, objects: readonly StoreObject[], changed: Map<ObjectKey, ObjectRef>): void {
    const kept = new Set<string>();
    for (const object of objects) {
      if (object.kind !== kind) throw new TypeError(`a ${object.kind} in a list of ${kind}`);
      kept.add(`${object.metadata.namespace}/${object.metadata.name}`);
      this.#upsert(object, changed);
    }
    for (const [id, object] of this.#of(kind)) if (!kept.has(id)) this.#remove(refOf(object), changed);
  }
}

/** Joins changes that wait for one compilation. */
export function mergeChanges(first: StoreChange, second: StoreChange): StoreChange {
  const refs = new Map<ObjectKey, ObjectRef>();
  for (const ref of [...first.refs, ...second.refs]) refs.set(keyOf(ref), ref);
  return { refs: [...refs].sort(byKey).map(([, ref]) => ref) };
}

function byKey([a]: [ObjectKey, ObjectRef], [b]: [ObjectKey, ObjectRef]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function report(object: StoreObject | undefined, changed: Map<ObjectKey, ObjectRef>): void {
  if (object === undefined) return;
  let ref = refOf(object);
  if (object.kind === 'EndpointSlice') {
    const service = serviceOf(object.metadata);
    if (service === undefined) return;
    ref = { kind: 'Service', namespace: ref.namespace, name: service };
  }
  changed.set(keyOf(ref), ref);
}

/**
 * True when nothing the compiler reads differs. The API server raises `generation` with the spec alone, so that for our
 * kinds it decides; a new `uid` is another object under the old name. The other kinds are compared by content.
 */
function sameForCompiler(before: StoreObject, after: StoreObject): boolean {
  const a = before.metadata;
  const b = after.metadata;
  if (a.uid !== b.uid || a.creationTimestamp !== b.creationTimestamp) return false;
  switch (after.kind) {
    case 'Route':
    case 'Backend':
    case 'Policy':
      return a.generation !== undefined && a.generation === b.generation;
    case 'Service':
      return before.kind === 'Service' && isDeepStrictEqual(before.spec, after.spec);
    case 'EndpointSlice':
      return (
        before.kind === 'EndpointSlice' &&
        serviceOf(a) === serviceOf(b) &&
        before.addressType === after.addressType &&
        isDeepStrictEqual(before.ports, after.ports) &&
        isDeepStrictEqual(before.endpoints, after.endpoints)
      );
    case 'Secret':
      return (
        before.kind === 'Secret' &&
        before.type === after.type &&
        isDeepStrictEqual(before.data, after.data) &&
        isDeepStrictEqual(a.labels, b.labels) &&
        a.annotations?.[GROUPS] === b.annotations?.[GROUPS]
      );
  }
}

/** The annotation that compile/sections/context.ts reads. */
const GROUPS = 'tidegate.dev/groups';

function serviceOf(meta: ObjectMeta): string | undefined {
  return meta.labels?.['kubernetes.io/service-name'];
}
