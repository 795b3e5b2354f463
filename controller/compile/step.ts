/** The difference one step of the compiler makes, gathered while it is made. */
import { isDeepStrictEqual } from 'node:util';
import { canonicalBytes, hashBody } from '@tidegate/dataplane/snapshot/canonical';
import type { Resource } from '@tidegate/dataplane/snapshot/resources';
import type { RevisionSum } from '@tidegate/dataplane/snapshot/revision';
import type { ObjectRef } from '../api/problem.ts';
import type { ObjectOutcome } from '../model/outcome.ts';
import { type ObjectKey, refOfKey } from '../store/objects.ts';
import type { CompiledResource, CompileResult } from './result.ts';

/** Writes through to the maps of the compiler it was made for; one for each `apply`. */
export class Step {
  /** All four are the compiler's own. */
  readonly #resources: Map<string, CompiledResource>;
  readonly #ids: Map<ObjectKey, readonly string[]>;
  readonly #outcomes: Map<ObjectKey, ObjectOutcome>;
  readonly #sum: RevisionSum;
  readonly #upsert = new Map<string, CompiledResource>();
  readonly #removed = new Set<string>();
  readonly #told = new Map<ObjectKey, ObjectOutcome>();
  readonly #forgotten: ObjectRef[] = [];
  #compiled = 0;

  constructor(
    resources: Map<string, CompiledResource>,
    ids: Map<ObjectKey, readonly string[]>,
    outcomes: Map<ObjectKey, ObjectOutcome>,
    sum: RevisionSum,
  ) {
    this.#resources = resources;
    this.#ids = ids;
    this.#outcomes = outcomes;
    this.#sum = sum;
  }

  idsOf(key: ObjectKey): readonly string[] {
    return this.#ids.get(key) ?? [];
  }

  /** Replaces the resources of an object. */
  put(key: ObjectKey, resources: readonly Resource[]): void {
    this.#compiled++;
    const ids = resources.map((resource) => resource.id).sort();
    for (const id of this.idsOf(key)) if (!ids.includes(id)) this.#drop(id);
    if (ids.length === 0) this.#ids.delete(key);
    else this.#ids.set(key, ids);
    for (const resource of resources) {
      const body = canonicalBytes(resource);
      const hash = hashBody(body);
      const before = this.#resources.get(resource.id);
      if (before?.hash === hash) continue;
      if (before !== undefined) this.#sum.remove(resource.id, before.hash);
      this.#sum.add(resource.id, hash);
      const compiled = { id: resource.id, resource, hash, body };
      this.#resources.set(resource.id, compiled);
      this.#upsert.set(resource.id, compiled);
      this.#removed.delete(resource.id);
    }
  }

  tell(key: ObjectKey, outcome: ObjectOutcome): void {
    if (isDeepStrictEqual(this.#outcomes.get(key), outcome)) return;
    this.#outcomes.set(key, outcome);
    this.#told.set(key, outcome);
  }

  forget(key: ObjectKey): void {
    for (const id of this.idsOf(key)) this.#drop(id);
    this.#ids.delete(key);
    if (!this.#outcomes.delete(key)) return;
    this.#told.delete(key);
    this.#forgotten.push(refOfKey(key));
  }

  result(revision: string): CompileResult {
    const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
    return {
      revision,
      upsert: [...this.#upsert.values()].sort(byId),
      removed: [...this.#removed].sort(),
      outcomes: this.#told,
      forgotten: this.#forgotten,
      compiled: this.#compiled,
    };
  }

  #drop(id: string): void {
    const before = this.#resources.get(id);
    if (before === undefined) return;
    this.#sum.remove(id, before.hash);
    this.#resources.delete(id);
    this.#upsert.delete(id);
    this.#removed.add(id);
  }
}
