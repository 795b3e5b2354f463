/**
 * Writes status: only while leader, only what differs from what the API server holds, a few at a time.
 *
 * A JSON merge patch of the status subresource that names the resourceVersion it was made from: one request, and a status
 * computed from something older than what is there is refused (409) and computed again. (Server-side apply would merge
 * conditions by type by itself, but costs the API server its managedFields on every write.)
 */

import { KINDS } from '../api/kinds.ts';
import type { ObjectRef } from '../api/problem.ts';
import type { ApiServer } from '../api-server.ts';
import { isApiStatus } from '../api-server.ts';
import { backoffMs, type Clock } from '../clock.ts';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ObjectKey } from '../store/objects.ts';
import type { DesiredStatus, StatusBoard } from './board.ts';
import type { EventRecorder } from './events.ts';
import { heldProgrammed, statusPatch } from './patch.ts';

/** An object as this replica last saw it. */
export interface HeldObject {
  readonly uid: string | undefined;
  readonly generation: number | undefined;
  readonly resourceVersion: string | undefined;
  readonly status: unknown;
}

export interface WriterOptions {
  readonly board: StatusBoard;
  readonly api: ApiServer;
  readonly events: EventRecorder;
  readonly held: (ref: ObjectRef) => HeldObject | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly onWrite?: (result: 'written' | 'conflict' | 'failed') => void;
}

const CONCURRENCY = 8;
const TIMEOUT_MS = 10_000;
/** A new generation is on its way to the data planes for some milliseconds: one write tells more than two. */
const SETTLE_MS = 500;
/** A data plane that reconnects, or a controller that has just started, is no reason to take back what was true. */
const DOUBT_MS = 15_000;
/** Endpoints may come, go and flap: of an object that alone is written no more often than this. */
const COLUMNS_EVERY_MS = 1_000;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 30_000;

interface Wait {
  readonly cancel: () => void;
}

export class StatusWriter {
  readonly #options: WriterOptions;
  readonly #queue = new Set<ObjectKey>();
  readonly #busy = new Set<ObjectKey>();
  readonly #waits = new Map<ObjectKey, Wait>();
  readonly #passingSinceMs = new Map<ObjectKey, number>();
  readonly #failures = new Map<ObjectKey, number>();
  /** What a write answered, until the watch has caught up with it. */
  readonly #written = new Map<ObjectKey, HeldObject>();
  /** When each was last written, ms of the clock. */
  readonly #writtenAtMs = new Map<ObjectKey, number>();
  #leader = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    options.board.onChange((keys) => this.enqueue(keys));
  }

  /** Looks at everything when this replica begins to lead. */
  lead(leader: boolean): void {
    this.#leader = leader;
    if (leader) {
      this.enqueue(this.#options.board.keys());
      return;
    }
    this.#queue.clear();
    for (const { cancel } of this.#waits.values()) cancel();
    for (const memory of this.#memories()) memory.clear();
  }

  /** Also to be called for objects whose held status changed: someone else may have written it. */
  enqueue(keys: Iterable<ObjectKey>): void {
    if (!this.#leader) return;
    for (const key of keys) this.#queue.add(key);
    this.#pump();
  }

  /** How many objects are due or being written, for metrics and tests. */
  get pending(): number {
    return this.#queue.size + this.#busy.size;
  }

  #pump(): void {
    for (const key of this.#queue) {
      if (this.#busy.size >= CONCURRENCY) return;
      if (this.#busy.has(key)) continue;
      this.#queue.delete(key);
      const desired = this.#options.board.desired(key);
      if (desired === undefined) this.#forget(key);
      else this.#consider(key, desired);
    }
  }

  #consider(key: ObjectKey, desired: DesiredStatus): void {
    const held = this.#held(key, desired.ref);
    // Gone, or changed since it was compiled: the next compilation brings it here again.
    if (held === undefined || held.uid !== desired.uid || held.generation !== desired.generation) return;
    const waitMs = this.#patienceMs(key, desired, held);
    if (waitMs > 0) {
      this.#again(key, waitMs);
      return;
    }
    const now = this.#options.clock
      .date()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
    const patch = statusPatch(held.status, desired, now);
    if (patch === null) {
      this.#failures.delete(key);
      return;
    }
    if (patch.columnsOnly) {
      const sinceMs = this.#options.clock.now() - (this.#writtenAtMs.get(key) ?? Number.NEGATIVE_INFINITY);
      if (sinceMs < COLUMNS_EVERY_MS) {
        this.#again(key, COLUMNS_EVERY_MS - sinceMs);
        return;
      }
    }
    this.#writtenAtMs.set(key, this.#options.clock.now());
    this.#busy.add(key);
    void this.#write(key, desired, held, patch).finally(() => {
      this.#busy.delete(key);
      this.#pump();
    });
  }

  /** How long to wait with news that may pass by itself; 0: not at all. */
  #patienceMs(key: ObjectKey, desired: DesiredStatus, held: HeldObject): number {
    if (!desired.passing) {
      this.#passingSinceMs.delete(key);
      return 0;
    }
    const nowMs = this.#options.clock.now();
    const sinceMs = this.#passingSinceMs.get(key) ?? nowMs;
    this.#passingSinceMs.set(key, sinceMs);
    const patienceMs = heldProgrammed(held.status, desired.generation) ? DOUBT_MS : SETTLE_MS;
    return sinceMs + patienceMs - nowMs;
  }

  async #write(
    key: ObjectKey,
    desired: DesiredStatus,
    held: HeldObject,
    patch: NonNullable<ReturnType<typeof statusPatch>>,
  ): Promise<void> {
    const { api, events, log, onWrite, clock } = this.#options;
    const { kind, namespace, name } = desired.ref;
    try {
      const answer = await api.request<{ metadata?: Omit<HeldObject, 'status'>; status?: unknown }>({
        method: 'PATCH',
        path: `/apis/tidegate.dev/v1alpha1/namespaces/${encodeURIComponent(namespace)}/${pluralOf(kind)}/${encodeURIComponent(name)}/status`,
        body: { metadata: { resourceVersion: held.resourceVersion, uid: held.uid }, status: patch.status },
        contentType: 'application/merge-patch+json',
        timeoutMs: TIMEOUT_MS,
      });
      this.#failures.delete(key);
      const { uid, generation, resourceVersion } = answer.metadata ?? {};
      this.#written.set(key, { uid, generation, resourceVersion, status: answer.status });
      onWrite?.('written');
      events.record(desired, patch.news);
    } catch (error) {
      if (isApiStatus(error, 404)) {
        this.#forget(key);
        return;
      }
      const conflict = isApiStatus(error, 409);
      onWrite?.(conflict ? 'conflict' : 'failed');
      this.#written.delete(key);
      const failures = this.#failures.get(key) ?? 0;
      this.#failures.set(key, failures + 1);
      if (!conflict) log.warn({ key, error: describeError(error) }, "status can't be written, trying again");
      this.#again(key, backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS, clock.random()));
    }
  }

  /** The store's view, unless a write of ours is newer than what the watch has shown. */
  #held(key: ObjectKey, ref: ObjectRef): HeldObject | undefined {
    const seen = this.#options.held(ref);
    const written = this.#written.get(key);
    if (written === undefined) return seen;
    if (seen !== undefined && isOlder(seen.resourceVersion, written.resourceVersion)) return written;
    this.#written.delete(key);
    return seen;
  }

  #again(key: ObjectKey, delayMs: number): void {
    this.#waits.get(key)?.cancel();
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#waits.delete(key);
      this.enqueue([key]);
    });
    this.#waits.set(key, { cancel });
  }

  #memories(): readonly Map<ObjectKey, unknown>[] {
    return [this.#waits, this.#passingSinceMs, this.#failures, this.#written, this.#writtenAtMs];
  }

  #forget(key: ObjectKey): void {
    this.#waits.get(key)?.cancel();
    for (const memory of this.#memories()) memory.delete(key);
  }
}

function pluralOf(kind: ObjectRef['kind']): string {
  const info = (KINDS as Readonly<Record<string, { plural: string } | undefined>>)[kind];
  if (info === undefined) throw new TypeError(`a ${kind} has no status of ours`);
  return info.plural;
}

/** Of one object: both are numbers of one counter (Kubernetes KEP-5504). False when they can't be compared. */
function isOlder(seen: string | undefined, written: string | undefined): boolean {
  const number = /^\d{1,20}$/;
  if (seen === undefined || written === undefined || !number.test(seen) || !number.test(written)) return false;
  return BigInt(seen) < BigInt(written);
}
