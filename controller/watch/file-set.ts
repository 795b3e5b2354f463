/**
 * The objects of a set of files: who owns which, what an edit changes, what is refused. No I/O.
 *
 * Generation counts an object's content. Its creation time is its place: files by path, documents in order, later ones behind, as
 * milliseconds from the epoch, so that age decides between equal rules as it does in a cluster, and the same on every start.
 */
import { isDeepStrictEqual } from 'node:util';
import { formatRef, type ObjectRef } from '../api/problem.ts';
import {
  keyOf,
  type ObjectEvent,
  type ObjectKey,
  refOf,
  type SecretObject,
  type StoreObject,
  type TidegateObject,
} from '../store/objects.ts';
import { type ParsedFile, parseFile } from './file-documents.ts';
import type { FileOrigin, FileProblem, Refusal } from './source.ts';

/** What was found of a file that changed. */
export type FileState = { readonly text: string } | { readonly refused: string } | { readonly gone: true };

export interface AcceptedFile {
  readonly file: string;
  readonly events: readonly ObjectEvent[];
  readonly changed: FileOrigin['changed'];
}

export interface FileStep {
  readonly accepted: readonly AcceptedFile[];
  readonly refused: readonly Refusal[];
}

interface Owned {
  readonly file: string;
  readonly object: TidegateObject | SecretObject;
}

const EMPTY: ParsedFile = { objects: [], lines: [], problems: [] };

export class FileSet {
  readonly #owned = new Map<ObjectKey, Owned>();
  readonly #keysOf = new Map<string, ReadonlySet<ObjectKey>>();
  /** Valid by themselves, but another file has one of their objects: tried again whenever anything changes. */
  readonly #waiting = new Map<string, ParsedFile>();
  #created = 0;

  /** Takes the files that changed over, by path. */
  update(states: ReadonlyMap<string, FileState>): FileStep {
    const refused: Refusal[] = [];
    const pending = new Map(this.#waiting);
    for (const [file, state] of states) {
      this.#waiting.delete(file);
      pending.delete(file);
      const parsed = 'text' in state ? parseFile(state.text) : 'gone' in state ? EMPTY : unreadable(state.refused);
      if (parsed.problems.length > 0) refused.push({ file, problems: parsed.problems });
      else pending.set(file, parsed);
    }
    const accepted = this.#settle(new Map([...pending].sort(([a], [b]) => (a < b ? -1 : 1))));
    for (const [file, parsed] of pending) {
      if (accepted.some((one) => one.file === file)) {
        this.#waiting.delete(file);
        continue;
      }
      if (this.#waiting.get(file) === parsed) continue;
      this.#waiting.set(file, parsed);
      refused.push({ file, problems: this.#conflicts(file, parsed) });
    }
    return { accepted, refused };
  }

  /** Takes over every pending file none of whose objects another file keeps, until no more can be. */
  #settle(pending: ReadonlyMap<string, ParsedFile>): AcceptedFile[] {
    const accepted: AcceptedFile[] = [];
    const left = new Map(pending);
    // Given up by one file and wanted by another: it moves, and is never gone in between.
    const moving = new Map<ObjectKey, Owned>();
    for (let progress = true; progress; ) {
      progress = false;
      for (const [file, parsed] of left) {
        if (this.#conflicts(file, parsed).length > 0) continue;
        left.delete(file);
        accepted.push(this.#take(file, parsed, left, moving));
        progress = true;
      }
    }
    if (moving.size > 0) {
      const refs = [...moving.values()].map(({ object }) => refOf(object));
      const events = refs.map((ref): ObjectEvent => ({ type: 'delete', ref }));
      const file = [...moving.values()][0]?.file ?? '';
      accepted.push({ file, events, changed: refs.map((ref) => ({ ref, change: 'removed' })) });
    }
    return accepted;
  }

  #conflicts(file: string, parsed: ParsedFile): FileProblem[] {
    return parsed.objects.flatMap((object, index): FileProblem[] => {
      const ref = refOf(object);
      const owner = this.#owned.get(keyOf(ref));
      if (owner === undefined || owner.file === file) return [];
      const message = `${formatRef(ref)} is already defined in ${owner.file}`;
      return [{ object: ref, path: '', reason: 'Invalid', message, line: parsed.lines[index] }];
    });
  }

  #take(
    file: string,
    parsed: ParsedFile,
    left: ReadonlyMap<string, ParsedFile>,
    moving: Map<ObjectKey, Owned>,
  ): AcceptedFile {
    const events: ObjectEvent[] = [];
    const changed: { ref: ObjectRef; change: 'added' | 'changed' | 'removed' }[] = [];
    const keys = new Set(parsed.objects.map((object) => keyOf(refOf(object))));
    for (const key of this.#keysOf.get(file) ?? []) {
      const owned = this.#owned.get(key);
      if (keys.has(key) || owned === undefined) continue;
      this.#owned.delete(key);
      if ([...left.values()].some(({ objects }) => objects.some((object) => keyOf(refOf(object)) === key))) {
        moving.set(key, owned);
        continue;
      }
      const ref = refOf(owned.object);
      events.push({ type: 'delete', ref });
      changed.push({ ref, change: 'removed' });
    }
    for (const object of parsed.objects) {
      const ref = refOf(object);
      const key = keyOf(ref);
      const before = this.#owned.get(key)?.object ?? moving.get(key)?.object;
      moving.delete(key);
      const now = this.#dated(object, before);
      this.#owned.set(key, { file, object: now });
      if (now === before) continue;
      events.push({ type: 'upsert', object: now });
      changed.push({ ref, change: before === undefined ? 'added' : 'changed' });
    }
    if (keys.size === 0) this.#keysOf.delete(file);
    else this.#keysOf.set(file, keys);
    return { file, events, changed };
  }

  /** The object with generation, uid and creation time; the one before where nothing differs. */
  #dated(object: TidegateObject | SecretObject, before: StoreObject | undefined): TidegateObject | SecretObject {
    if (before !== undefined && isDeepStrictEqual(contentOf(object), contentOf(before))) {
      return before as TidegateObject | SecretObject;
    }
    const created = before === undefined ? ++this.#created : 0;
    const metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? `file-${created}`,
      generation: (before?.metadata.generation ?? 0) + 1,
      creationTimestamp: before?.metadata.creationTimestamp ?? new Date(created).toISOString(),
    };
    return { ...object, metadata };
  }
}

function contentOf(object: StoreObject): unknown {
  return object.kind === 'Secret' ? [object.type, object.data, object.metadata] : (object as TidegateObject).spec;
}

function unreadable(message: string): ParsedFile {
  return { ...EMPTY, problems: [{ path: '', reason: 'Invalid', message }] };
}
