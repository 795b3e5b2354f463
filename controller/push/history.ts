/**
 * The snapshot as it is now and the steps that led to it, so that "what changed since step n" costs what changed, not what
 * there is.
 *
 * `sequence` counts on this replica alone; `revision` (a content hash) is what replicas and data planes agree on.
 */
import type { CompiledResource } from '../compile/result.ts';

/** One compiled step. A CompileResult is one. */
export interface Step {
  readonly revision: string;
  readonly upsert: readonly CompiledResource[];
  readonly removed: readonly string[];
}

export interface Difference {
  readonly upsert: readonly CompiledResource[];
  readonly removed: readonly string[];
}

interface Entry {
  readonly sequence: number;
  readonly revision: string;
  /** Hash before the step, undefined when the resource was not there. */
  readonly before: ReadonlyMap<string, string | undefined>;
}

/** Enough for a data plane that lags through a long burst; beyond it, it is sent everything. */
const MAX_ENTRIES = 4096;

export class History {
  readonly #resources = new Map<string, CompiledResource>();
  readonly #entries: Entry[] = [];
  readonly #sequences = new Map<string, number>();
  #sequence = 0;
  #revision = '';

  /** 0 before the first step. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Empty before the first step. */
  get revision(): string {
    return this.#revision;
  }

  get size(): number {
    return this.#resources.size;
  }

  /** The resources as they are now, by id. */
  get resources(): ReadonlyMap<string, CompiledResource> {
    return this.#resources;
  }

  /** False when the step changed nothing: the sequence stays. */
  append(step: Step): boolean {
    const before = new Map<string, string | undefined>();
    for (const resource of step.upsert) {
      before.set(resource.id, this.#resources.get(resource.id)?.hash);
      this.#resources.set(resource.id, resource);
    }
    for (const id of step.removed) {
      const held = this.#resources.get(id);
      if (held === undefined) continue;
      before.set(id, held.hash);
      this.#resources.delete(id);
    }
    if (this.#sequence > 0 && step.revision === this.#revision) return false;
    this.#sequence += 1;
    this.#revision = step.revision;
    this.#entries.push({ sequence: this.#sequence, revision: step.revision, before });
    this.#sequences.set(step.revision, this.#sequence);
    if (this.#entries.length > MAX_ENTRIES) this.#forgetOldest();
    return true;
  }

  /** The last step that had this revision; undefined when it is not, or no longer, known. */
  sequenceOf(revision: string): number | undefined {
    return this.#sequences.get(revision);
  }

  /** From what `sequence` held to now; undefined when that is too long ago. */
  since(sequence: number): Difference | undefined {
    const oldest = this.#entries[0]?.sequence ?? 1;
    if (sequence < oldest - 1 || sequence > this.#sequence) return undefined;
    const before = new Map<string, string | undefined>();
    for (let at = sequence - oldest + 1; at < this.#entries.length; at++) {
      for (const [id, hash] of this.#entries[at]?.before ?? []) if (!before.has(id)) before.set(id, hash);
    }
    const upsert: CompiledResource[] = [];
    const removed: string[] = [];
    for (const [id, hash] of before) {
      const now = this.#resources.get(id);
      if (now === undefined) {
        if (hash !== undefined) removed.push(id);
      } else if (now.hash !== hash) upsert.push(now);
    }
    return { upsert, removed };
  }

  /** From a set that a data plane says it holds to now. */
  against(held: ReadonlyMap<string, string>): Difference {
    const upsert: CompiledResource[] = [];
    for (const resource of this.#resources.values()) {
      if (held.get(resource.id) !== resource.hash) upsert.push(resource);
    }
    const removed = [...held.keys()].filter((id) => !this.#resources.has(id));
    return { upsert, removed };
  }

  #forgetOldest(): void {
    const entry = this.#entries.shift();
    if (entry !== undefined && this.#sequences.get(entry.revision) === entry.sequence) {
      this.#sequences.delete(entry.revision);
    }
  }
}
