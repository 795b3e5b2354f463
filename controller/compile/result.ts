/** What a compilation hands on: to push (resources, revision) and to status (outcomes). */
import type { Resource } from '@tidegate/dataplane/snapshot/resources';
import type { ObjectRef } from '../api/problem.ts';
import type { ObjectOutcome } from '../model/outcome.ts';
import type { ObjectKey } from '../store/objects.ts';

/** A resource as it travels. */
export interface CompiledResource {
  readonly id: string;
  readonly resource: Resource;
  /** Of `body`: see dataplane/snapshot/canonical. */
  readonly hash: string;
  /** Canonical JSON of `resource`. */
  readonly body: Uint8Array;
}

/** The step from the compilation before to this one. */
export interface CompileResult {
  readonly revision: string;
  /** Added or changed, sorted by id. */
  readonly upsert: readonly CompiledResource[];
  /** Ids, sorted. */
  readonly removed: readonly string[];
  /** Outcomes that are new or differ from the compilation before, by object. */
  readonly outcomes: ReadonlyMap<ObjectKey, ObjectOutcome>;
  /** Objects that are gone (deleted, or handed to another installation). */
  readonly forgotten: readonly ObjectRef[];
  /** How many objects were compiled for this step, for tests and metrics. */
  readonly compiled: number;
}
