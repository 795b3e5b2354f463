/**
 * One collection of one kind, followed: a paginated list, then a watch from where the list was, resumed after every break and
 * listed anew when the API server no longer has what came between (410).
 */
import type { ApiServer } from '../api-server.ts';
import { isApiStatus } from '../api-server.ts';
import { backoffMs, type Clock } from '../clock.ts';
import { ControllerError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type ObjectEvent, refOf, type StoreObject } from '../store/objects.ts';
import type { RawObject, WatchedKind } from './kinds.ts';

export interface CollectionOptions {
  readonly api: ApiServer;
  readonly kind: WatchedKind;
  /** Undefined: all. */
  readonly namespace?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly onEvents: (events: readonly ObjectEvent[]) => void;
  /** Once, after the first complete list was delivered. */
  readonly onListed: () => void;
  /** A watch or list was begun again, and why. */
  readonly onRestart?: (reason: 'expired' | 'ended' | 'failed') => void;
}

interface List {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly RawObject[] | null;
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: RawObject & { readonly code?: number; readonly message?: string };
}

const PAGE = '500';
const LIST_TIMEOUT_MS = 60_000;
/** Watches end by themselves after 4 to 8 minutes, so that they spread over API servers; as client-go's reflector does it. */
const WATCH_MIN_SECONDS = 240;
/** Bookmarks come about once a minute: a watch this silent is dead. */
const SILENCE_MS = 90_000;
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 10_000;
/** A watch that lasted this long was a success. */
const SETTLED_MS = 5_000;

class Expired extends Error {}

export class Collection {
  readonly #options: CollectionOptions;
  readonly #abort = new AbortController();
  /** Names of what was delivered, to tell what a new list lacks. */
  #known = new Map<string, StoreObject>();
  #resourceVersion: string | null = null;
  #listed = false;
  #running: Promise<void> | null = null;

  constructor(options: CollectionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  get #stopped(): boolean {
    return this.#abort.signal.aborted;
  }

  async #run(): Promise<void> {
    const { clock, log, kind } = this.#options;
    let attempt = 0;
    while (!this.#stopped) {
      const startedAtMs = clock.now();
      try {
        if (this.#resourceVersion === null) await this.#list();
        await this.#watch();
        this.#options.onRestart?.('ended');
      } catch (error) {
        if (this.#stopped) return;
        if (error instanceof Expired) {
          this.#resourceVersion = null;
          this.#options.onRestart?.('expired');
        } else {
          this.#options.onRestart?.('failed');
          log.warn({ kind: kind.kind, error: describeError(error) }, `can't follow ${kind.plural}, trying again`);
        }
      }
      if (clock.now() - startedAtMs >= SETTLED_MS) attempt = 0;
      await this.#sleep(backoffMs(attempt++, BACKOFF_BASE_MS, BACKOFF_MAX_MS, clock.random()));
    }
  }

  async #list(): Promise<void> {
    const found = new Map<string, StoreObject>();
    let next: string | undefined;
    let resourceVersion: string | undefined;
    do {
      const page: List = await this.#page(next);
      for (const raw of page.items ?? []) {
        const object = this.#keep(raw);
        if (object !== null) found.set(nameOf(object), object);
      }
      resourceVersion = page.metadata?.resourceVersion;
      next = page.metadata?.continue;
    } while (next !== undefined && next !== '');
    if (resourceVersion === undefined || resourceVersion === '') {
      throw new ControllerError('CTL_API_CONTENT', `the list of ${this.#options.kind.plural} has no resourceVersion`);
    }
    const events: ObjectEvent[] = [...found.values()].map((object) => ({ type: 'upsert', object }));
    for (const [name, object] of this.#known) if (!found.has(name)) events.push({ type: 'delete', ref: refOf(object) });
    this.#known = found;
    this.#resourceVersion = resourceVersion;
    this.#options.onEvents(events);
    if (!this.#listed) {
      this.#listed = true;
      this.#options.onListed();
    }
  }

  async #page(next: string | undefined): Promise<List> {
    try {
      return await this.#options.api.request<List>({
        path: this.#path(),
        query: { ...this.#selectors(), limit: PAGE, continue: next },
        timeoutMs: LIST_TIMEOUT_MS,
        signal: this.#abort.signal,
      });
    } catch (error) {
      // The pages no longer belong together: begin again from the first.
      if (isApiStatus(error, 410)) throw new Expired();
      throw error;
    }
  }

  async #watch(): Promise<void> {
    const { api, clock } = this.#options;
    const seconds = Math.round(WATCH_MIN_SECONDS * (1 + clock.random()));
    const lines = api.lines(
      {
        path: this.#path(),
        query: {
          ...this.#selectors(),
          watch: '1',
          allowWatchBookmarks: 'true',
          resourceVersion: this.#resourceVersion ?? undefined,
          timeoutSeconds: String(seconds),
        },
        signal: this.#abort.signal,
      },
      SILENCE_MS,
    );
    try {
      for await (const chunk of lines) this.#take(chunk);
    } catch (error) {
      if (isApiStatus(error, 410)) throw new Expired();
      throw error;
    }
  }

  #take(lines: readonly string[]): void {
    const events: ObjectEvent[] = [];
    let failure: unknown = null;
    for (const line of lines) {
      const event = parse(line);
      if (event.type === 'ERROR') {
        failure =
          event.object.code === 410
            ? new Expired()
            : new ControllerError('CTL_API_STATUS', event.object.message ?? 'the watch failed', { retryable: true });
        break;
      }
      this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion;
      if (event.type === 'BOOKMARK') continue;
      const object = this.#keep(event.object);
      if (object === null) continue;
      if (event.type === 'DELETED') {
        this.#known.delete(nameOf(object));
        events.push({ type: 'delete', ref: refOf(object) });
      } else {
        this.#known.set(nameOf(object), object);
        events.push({ type: 'upsert', object });
      }
    }
    if (events.length > 0) this.#options.onEvents(events);
    if (failure !== null) throw failure;
  }

  /** Null for what can't be read as an object of this kind: it is told and does not stop the others. */
  #keep(raw: RawObject): StoreObject | null {
    const { kind, log } = this.#options;
    try {
      return kind.keep(raw);
    } catch (error) {
      log.error({ kind: kind.kind, name: raw.metadata?.name, error: describeError(error) }, 'an unreadable object');
      return null;
    }
  }

  #path(): string {
    const { kind, namespace } = this.#options;
    const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
    return `${kind.apiPath}${scope}/${kind.plural}`;
  }

  #selectors(): Record<string, string | undefined> {
    const { labelSelector, fieldSelector } = this.#options.kind;
    return { labelSelector, fieldSelector };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#abort.signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, done);
      this.#abort.signal.addEventListener('abort', done, { once: true });
      if (this.#stopped) done();
    });
  }
}

function nameOf(object: StoreObject): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}

function parse(line: string): WatchEvent {
  try {
    return JSON.parse(line) as WatchEvent;
  } catch (cause) {
    throw new ControllerError('CTL_API_CONTENT', 'a watch event is no JSON', { retryable: true, cause });
  }
}
