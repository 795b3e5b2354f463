/**
 * A folder of YAML files as a source. A file that does not validate is refused whole, and the version before it stays.
 *
 * Any event of the file system only means "look again": what changed is found by fingerprint, so that atomic renames, editors'
 * back-up dances and lost events all end the same way.
 */
import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';
import { FileSet, type FileState, type FileStep } from './file-set.ts';
import { type Fingerprint, FolderError, fingerprintOf, listFiles, readText } from './folder.ts';
import type { Source, SourceSink } from './source.ts';

export interface FileSourceOptions {
  readonly folder: string;
  /** After the last event, before a file is read: editors write in several steps. Default 20. */
  readonly settleMs?: number;
  /** How long a file must stay away or empty before that counts. Default 60. */
  readonly vanishMs?: number;
  /** Looks at the folder without being told, for file systems that tell nothing. Default 2000; 100 where watching is impossible. */
  readonly pollMs?: number;
}

const SETTLE_MS = 20;
const VANISH_MS = 60;
const POLL_MS = 2_000;
const POLL_WITHOUT_WATCH_MS = 100;

export class FileSource implements Source {
  readonly #options: FileSourceOptions;
  readonly #files = new FileSet();
  readonly #seen = new Map<string, Fingerprint>();
  /** Files that were there and are away or empty, and since when (performance.now() ms). */
  readonly #vanishing = new Map<string, number>();
  #sink: SourceSink | null = null;
  #watcher: FSWatcher | null = null;
  #settle: NodeJS.Timeout | null = null;
  #poll: NodeJS.Timeout | null = null;
  #noticedAtMs: number | null = null;
  #scanning: Promise<void> = Promise.resolve();

  constructor(options: FileSourceOptions) {
    this.#options = options;
  }

  /** Throws FolderError when the folder can't be read. */
  async start(sink: SourceSink): Promise<void> {
    if (this.#sink !== null) throw new Error('a FileSource starts once');
    this.#sink = sink;
    // Before the first look, so that nothing falls in between.
    this.#watch();
    try {
      await this.#scan(true);
    } catch (error) {
      await this.stop();
      throw error;
    }
    sink.synced();
    this.#poll = setInterval(
      () => this.#look(),
      this.#options.pollMs ?? (this.#watcher === null ? POLL_WITHOUT_WATCH_MS : POLL_MS),
    );
    this.#poll.unref();
  }

  async stop(): Promise<void> {
    this.#watcher?.close();
    this.#watcher = null;
    if (this.#settle !== null) clearTimeout(this.#settle);
    if (this.#poll !== null) clearInterval(this.#poll);
    this.#sink = null;
    await this.#scanning;
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#options.folder, { recursive: true, persistent: true }, () => this.#changed());
      this.#watcher.on('error', () => {
        this.#watcher?.close();
        this.#watcher = null;
        if (this.#poll !== null) clearInterval(this.#poll);
        if (this.#sink !== null)
          this.#poll = setInterval(() => this.#look(), this.#options.pollMs ?? POLL_WITHOUT_WATCH_MS).unref();
      });
    } catch {
      // No watching here (inotify limit, file system): polling alone does it.
      this.#watcher = null;
    }
  }

  #changed(): void {
    this.#noticedAtMs ??= performance.now();
    if (this.#settle !== null) clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#look(), this.#options.settleMs ?? SETTLE_MS);
  }

  #look(): void {
    this.#scanning = this.#scanning
      .then(() => this.#scan(false))
      .catch((error: unknown) => {
        // A folder that is gone for a moment (a mount, a checkout) takes nothing away; the next look may find it again.
        if (!(error instanceof FolderError)) throw error;
      });
  }

  async #scan(first: boolean): Promise<void> {
    const noticedAtMs = this.#noticedAtMs ?? performance.now();
    this.#noticedAtMs = null;
    const { folder } = this.#options;
    const listed = await listFiles(folder);
    const states = new Map<string, FileState>();
    for (const file of this.#seen.keys()) {
      if (listed.has(file) || !this.#isAway(file)) continue;
      this.#seen.delete(file);
      this.#vanishing.delete(file);
      states.set(path.relative(folder, file), { gone: true });
    }
    const renaming = [...this.#vanishing.keys()].some((file) => !listed.has(file));
    for (const [file, fingerprint] of listed) {
      if (this.#seen.get(file) === fingerprint) {
        this.#vanishing.delete(file);
        continue;
      }
      // Perhaps the same file under a new name: both are taken over together, once the old one counts as gone.
      if (renaming && !this.#seen.has(file)) continue;
      const read = await readText(file);
      // It is being written: its next event, or the next look, brings the rest.
      if ((await fingerprintOf(file)) !== fingerprint) {
        this.#changed();
        continue;
      }
      if ('text' in read && read.text.trim() === '' && !first && !this.#isAway(file)) continue;
      this.#seen.set(file, fingerprint);
      this.#vanishing.delete(file);
      states.set(path.relative(folder, file), read);
    }
    if (states.size > 0) this.#deliver(this.#files.update(states), first ? null : noticedAtMs);
  }

  /** True once a file has been away or empty for long enough; until then, a later look is arranged. */
  #isAway(file: string): boolean {
    const vanishMs = this.#options.vanishMs ?? VANISH_MS;
    const since = this.#vanishing.get(file);
    if (since !== undefined && performance.now() - since >= vanishMs) return true;
    if (since === undefined) {
      // Never seen with content: nothing to protect.
      if (!this.#seen.has(file)) return true;
      this.#vanishing.set(file, performance.now());
      setTimeout(() => this.#look(), vanishMs + 1).unref();
    }
    return false;
  }

  #deliver(step: FileStep, noticedAtMs: number | null): void {
    const sink = this.#sink;
    if (sink === null) return;
    if (noticedAtMs === null) {
      sink.apply(step.accepted.flatMap(({ events }) => events));
    } else {
      for (const { file, events, changed } of step.accepted) {
        if (events.length > 0) sink.apply(events, { file, changed, noticedAtMs });
      }
    }
    for (const refusal of step.refused) sink.refused?.(refusal);
  }
}
