/** A difference as the messages that carry it, serialised once and shared by all sessions that need the same step. */
import {
  DELTA_PART_BYTES,
  type DeltaResource,
  type Share,
  snapshotsService,
  type ToDataPlane,
} from '@tidegate/dataplane/snapshot/protocol';
import type { Difference } from './history.ts';

/** Serialised ToDataPlane messages, in order. */
export type EncodedDelta = readonly Buffer[];

const subscribe = snapshotsService.Subscribe;
if (subscribe === undefined) throw new Error('the contract has no Subscribe');
const serialize = subscribe.responseSerialize as (message: ToDataPlane) => Buffer;

/** A message as bytes; what is bytes already goes out as it is. */
export function serializeOnce(message: ToDataPlane | Buffer): Buffer {
  return Buffer.isBuffer(message) ? message : serialize(message);
}

/**
 * Cuts at about DELTA_PART_BYTES of bodies, and of removed ids; a single larger body makes a part of its own. There is
 * always at least one part, and only the final one is `last`.
 */
export function encodeDelta(baseRevision: string, revision: string, difference: Difference): EncodedDelta {
  const parts: Buffer[] = [];
  let upsert: DeltaResource[] = [];
  let removed: string[] = [];
  let bytes = 0;
  const flush = (last: boolean): void => {
    parts.push(serialize({ message: 'delta', delta: { baseRevision, revision, upsert, removed, last } }));
    upsert = [];
    removed = [];
    bytes = 0;
  };
  const room = (more: number): void => {
    if (bytes > 0 && bytes + more > DELTA_PART_BYTES) flush(false);
    bytes += more;
  };
  for (const { id, hash, body } of difference.upsert) {
    room(body.byteLength + id.length + hash.length + 16);
    upsert.push({ id, hash, body });
  }
  for (const id of difference.removed) {
    room(id.length + 4);
    removed.push(id);
  }
  flush(true);
  return parts;
}

/** See Shares. */
export function encodeShare(share: Share): readonly Buffer[] {
  return [serialize({ message: 'share', share })];
}

interface Cached {
  readonly key: string;
  readonly delta: EncodedDelta;
}

/** Keeps the deltas to the newest revision by the revision they start from. */
export class DeltaCache {
  #revision = '';
  #cached: Cached[] = [];

  /** `make` runs only when no session asked for the same step before. */
  get(baseRevision: string, revision: string, make: () => Difference): EncodedDelta {
    if (revision !== this.#revision) {
      this.#revision = revision;
      this.#cached = [];
    }
    const hit = this.#cached.find((cached) => cached.key === baseRevision);
    if (hit !== undefined) return hit.delta;
    const delta = encodeDelta(baseRevision, revision, make());
    this.#cached.push({ key: baseRevision, delta });
    if (this.#cached.length > MAX_CACHED) this.#cached.shift();
    return delta;
  }
}

const MAX_CACHED = 8;
