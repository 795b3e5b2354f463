/**
 * The reverse index: who points at an object. Read leniently from unvalidated specs: a reference too many costs one
 * needless compilation, one too few would leave a stale result.
 */
import type { ObjectRef } from '../api/problem.ts';
import { keyOf, type ObjectKey, refOf, type StoreObject } from './objects.ts';

export class References {
  readonly #targets = new Map<ObjectKey, readonly ObjectKey[]>();
  readonly #referrers = new Map<ObjectKey, Map<ObjectKey, ObjectRef>>();

  /** Replaces what `object` points at. */
  set(object: StoreObject): void {
    const ref = refOf(object);
    this.delete(ref);
    const key = keyOf(ref);
    const targets = targetsOf(object);
    this.#targets.set(key, targets);
    for (const target of targets) {
      let referrers = this.#referrers.get(target);
      if (referrers === undefined) {
        referrers = new Map();
        this.#referrers.set(target, referrers);
      }
      referrers.set(key, ref);
    }
  }

  delete(ref: ObjectRef): void {
    const key = keyOf(ref);
    for (const target of this.#targets.get(key) ?? []) {
      const referrers = this.#referrers.get(target);
      referrers?.delete(key);
      if (referrers?.size === 0) this.#referrers.delete(target);
    }
    this.#targets.delete(key);
  }

  /** Objects that point at `ref`, whether or not it exists; in no particular order. */
  *referrers(ref: ObjectRef): IterableIterator<ObjectRef> {
    yield* this.#referrers.get(keyOf(ref))?.values() ?? [];
  }
}

function targetsOf(object: StoreObject): ObjectKey[] {
  const { namespace } = object.metadata;
  const targets = new Set<ObjectKey>();
  switch (object.kind) {
    case 'Route':
      for (const rule of items(field(object.spec, 'rules'))) {
        const fallback = field(field(rule, 'fallback'), 'backends');
        for (const backend of [field(rule, 'backends'), field(rule, 'mirrors'), fallback].flatMap(items)) {
          const name = field(backend, 'name');
          if (typeof name === 'string') targets.add(`Backend/${namespace}/${name}`);
        }
      }
      for (const secret of tlsSecrets(field(object.spec, 'tls'), 0)) targets.add(`Secret/${namespace}/${secret}`);
      break;
    case 'Backend': {
      const name = field(field(object.spec, 'service'), 'name');
      if (typeof name === 'string') targets.add(`Service/${namespace}/${name}`);
      for (const secret of tlsSecrets(field(object.spec, 'tls'), 0)) targets.add(`Secret/${namespace}/${secret}`);
      break;
    }
    case 'Policy':
      for (const target of items(field(object.spec, 'targetRefs'))) {
        const name = field(target, 'name');
        const kind = field(target, 'kind');
        if ((kind === 'Route' || kind === 'Backend') && typeof name === 'string')
          targets.add(`${kind}/${namespace}/${name}`);
      }
      for (const name of secretNames(object.spec, 0)) targets.add(`Secret/${namespace}/${name}`);
      break;
    case 'EndpointSlice': {
      const service = object.metadata.labels?.['kubernetes.io/service-name'];
      if (service !== undefined) targets.add(`Service/${namespace}/${service}`);
      break;
    }
    case 'Service':
    case 'Secret':
      break;
  }
  return [...targets];
}

/** Stands for every Secret of a namespace: no object has this name. */
export const ANY_SECRET = '*';

/** By the names of api/v1alpha1/secret-ref.ts, wherever they stand. */
function* secretNames(value: unknown, depth: number): IterableIterator<string> {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'secretSelector') yield ANY_SECRET;
    else if (/[sS]ecretRefs?$/.test(key)) {
      for (const ref of Array.isArray(inner) ? inner : [inner]) {
        const name = field(ref, 'name');
        if (typeof name === 'string') yield name;
      }
    } else yield* secretNames(inner, depth + 1);
  }
}

/** Of `spec.tls`, wherever they stand in it. */
function* tlsSecrets(value: unknown, depth: number): IterableIterator<string> {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'secret' && typeof inner === 'string') yield inner;
    else yield* tlsSecrets(inner, depth + 1);
  }
}

const MAX_DEPTH = 12;

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
