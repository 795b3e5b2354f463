/** Puts the parts of a delta together, within bounds. Pure. */
import type { ResourceBytes } from '../snapshot/decode.ts';
import type { Delta } from '../snapshot/protocol.ts';
import type { CompleteDelta } from './held.ts';

/** Bodies of one delta together, bytes. */
const MAX_DELTA_BYTES = 512 * 1024 * 1024;
/** Resources named in one delta. */
const MAX_DELTA_RESOURCES = 1_000_000;

export type Assembled =
  | { readonly kind: 'more' }
  | { readonly kind: 'complete'; readonly delta: CompleteDelta }
  /** Completes "the delta …". */
  | { readonly kind: 'broken'; readonly message: string };

export class DeltaAssembly {
  #pending: { baseRevision: string; revision: string; upsert: ResourceBytes[]; removed: string[] } | null = null;
  #bytes = 0;

  add(part: Delta): Assembled {
    const { baseRevision, revision, last } = part;
    if (revision === '') return this.#broken('has no revision');
    this.#pending ??= { baseRevision, revision, upsert: [], removed: [] };
    const pending = this.#pending;
    if (pending.baseRevision !== baseRevision || pending.revision !== revision) {
      return this.#broken(`to ${pending.revision} stopped before its last part`);
    }
    for (const resource of part.upsert) {
      this.#bytes += resource.body.byteLength;
      pending.upsert.push(resource);
    }
    for (const id of part.removed) pending.removed.push(id);
    if (this.#bytes > MAX_DELTA_BYTES) return this.#broken(`holds more than ${MAX_DELTA_BYTES} bytes`);
    if (pending.upsert.length + pending.removed.length > MAX_DELTA_RESOURCES) {
      return this.#broken(`names more than ${MAX_DELTA_RESOURCES} resources`);
    }
    if (!last) return { kind: 'more' };
    this.#pending = null;
    this.#bytes = 0;
    return { kind: 'complete', delta: pending };
  }

  #broken(message: string): Assembled {
    this.#pending = null;
    this.#bytes = 0;
    return { kind: 'broken', message };
  }
}
