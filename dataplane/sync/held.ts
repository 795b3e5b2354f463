/**
 * The snapshot this data plane holds: bytes by identity, as the controller sent them. It plans a change before anything is
 * touched and takes it over only once the verdict is in.
 *
 * A rejected resource is held in its new form (the revision is a fingerprint of what was sent) beside the form the workers
 * still run, so that a worker started later, or this program started again, ends up with the same.
 */
import type { Rejection, ResourceBytes } from '../snapshot/decode.ts';
import { RevisionSum } from '../snapshot/revision.ts';

/** A complete delta, its parts put together. */
export interface CompleteDelta {
  /** Empty: the delta holds the whole snapshot. */
  readonly baseRevision: string;
  readonly revision: string;
  readonly upsert: readonly ResourceBytes[];
  readonly removed: readonly string[];
}

/** One step for a worker. */
export interface Change {
  readonly revision: string;
  readonly upsert: readonly ResourceBytes[];
  readonly removed: readonly string[];
}

export type Plan =
  | { readonly ok: true; readonly change: Change; readonly sum: RevisionSum }
  | { readonly ok: false; readonly message: string };

export interface HeldImage {
  readonly revision: string;
  readonly resources: readonly ResourceBytes[];
  /** The forms still running of those that are rejected. */
  readonly fallback: readonly ResourceBytes[];
}

export class HeldSnapshot {
  #revision = '';
  #sum = RevisionSum.empty();
  readonly #resources = new Map<string, ResourceBytes>();
  readonly #rejected = new Map<string, Rejection>();
  readonly #fallback = new Map<string, ResourceBytes>();

  /** Empty: nothing yet. */
  get revision(): string {
    return this.#revision;
  }

  get size(): number {
    return this.#resources.size;
  }

  get rejected(): Rejection[] {
    return [...this.#rejected.values()];
  }

  get(id: string): ResourceBytes | undefined {
    return this.#resources.get(id);
  }

  resources(): IterableIterator<ResourceBytes> {
    return this.#resources.values();
  }

  hashes(): { id: string; hash: string }[] {
    return this.#revision === '' ? [] : Array.from(this.#resources.values(), ({ id, hash }) => ({ id, hash }));
  }

  /** What a delta means here; changes nothing. */
  plan(delta: CompleteDelta): Plan {
    const full = delta.baseRevision === '';
    if (!full && delta.baseRevision !== this.#revision) {
      return refuse(
        `the delta starts from ${delta.baseRevision}, this data plane holds ${this.#revision || 'nothing'}`,
      );
    }
    const next = new Map<string, ResourceBytes>();
    for (const resource of delta.upsert) {
      if (next.has(resource.id)) return refuse(`the delta holds ${resource.id} twice`);
      next.set(resource.id, resource);
    }
    let removed = delta.removed;
    if (full) removed = Array.from(this.#resources.keys()).filter((id) => !next.has(id));
    const sum = this.#sum.copy();
    for (const id of removed) {
      const old = this.#resources.get(id);
      if (old === undefined || next.has(id)) return refuse(`the delta removes ${id}, which is not held or also sent`);
      sum.remove(id, old.hash);
    }
    const upsert: ResourceBytes[] = [];
    for (const resource of next.values()) {
      const old = this.#resources.get(resource.id);
      if (old?.hash === resource.hash) continue;
      if (old !== undefined) sum.remove(old.id, old.hash);
      sum.add(resource.id, resource.hash);
      upsert.push(resource);
    }
    const revision = sum.value();
    if (revision !== delta.revision) {
      return refuse(`the delta to ${delta.revision} leads to ${revision} from what is held here`);
    }
    return { ok: true, change: { revision, upsert, removed: [...removed] }, sum };
  }

  /** Takes over a planned change. `rejected`: everything of the new revision that does not run as it was sent. */
  commit(plan: Plan & { ok: true }, rejected: readonly Rejection[]): void {
    const now = new Map(rejected.map((rejection) => [rejection.id, rejection]));
    for (const id of plan.change.removed) {
      this.#resources.delete(id);
      this.#fallback.delete(id);
    }
    for (const resource of plan.change.upsert) {
      const old = this.#resources.get(resource.id);
      if (!now.has(resource.id)) this.#fallback.delete(resource.id);
      else if (old !== undefined && !this.#rejected.has(resource.id)) this.#fallback.set(resource.id, old);
      // A copy of its own: a view would keep the whole received message alive.
      const body = new Uint8Array(resource.body);
      this.#resources.set(resource.id, { id: resource.id, hash: resource.hash, body });
    }
    this.#rejected.clear();
    for (const [id, rejection] of now) this.#rejected.set(id, rejection);
    for (const id of this.#fallback.keys()) if (!now.has(id)) this.#fallback.delete(id);
    this.#sum = plan.sum;
    this.#revision = plan.change.revision;
  }

  /** The changes that bring a worker from nothing to this state. Empty where nothing is held. */
  replay(): Change[] {
    return replayOf({
      revision: this.#revision,
      resources: [...this.#resources.values()],
      fallback: [...this.#fallback.values()],
    });
  }

  image(): HeldImage {
    return {
      revision: this.#revision,
      resources: [...this.#resources.values()],
      fallback: [...this.#fallback.values()],
    };
  }
}

/** Two changes where something is rejected: first what still runs, then what was refused, which is refused again. */
export function replayOf(image: HeldImage): Change[] {
  if (image.revision === '') return [];
  const full: Change = { revision: image.revision, upsert: image.resources, removed: [] };
  if (image.fallback.length === 0) return [full];
  const running = new Map(image.fallback.map((resource) => [resource.id, resource]));
  const sum = RevisionSum.empty();
  const first = image.resources.map((resource) => running.get(resource.id) ?? resource);
  for (const { id, hash } of first) sum.add(id, hash);
  const second = image.resources.filter((resource) => running.has(resource.id));
  return [
    { revision: sum.value(), upsert: first, removed: [] },
    { revision: image.revision, upsert: second, removed: [] },
  ];
}

function refuse(message: string): Plan {
  return { ok: false, message };
}
