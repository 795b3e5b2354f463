import type { ApiClient } from './api.ts';
import type { DataObject } from './types.ts';

export type ObjectKind = 'configmaps' | 'secrets';

interface Entry {
  object: DataObject | undefined;
  loaded: Promise<void>;
  listeners: Set<() => void>;
  watch: AbortController;
}

/**
 * The ConfigMaps and Secrets the pods of this Node refer to, each watched by name as a kubelet does (the API server allows
 * a Node no more), from the first pod that refers to it to the last.
 */
export class ObjectCache {
  readonly #api: ApiClient;
  readonly #entries = new Map<string, Entry>();

  constructor(api: ApiClient) {
    this.#api = api;
  }

  /** Follows an object; `listener` is called after each change. Returns how to let go. */
  follow(kind: ObjectKind, namespace: string, name: string, listener: () => void): () => void {
    const key = `${kind}/${namespace}/${name}`;
    const entry = this.#entries.get(key) ?? this.#open(key, kind, namespace, name);
    entry.listeners.add(listener);
    return () => {
      entry.listeners.delete(listener);
      if (entry.listeners.size > 0) return;
      entry.watch.abort();
      this.#entries.delete(key);
    };
  }

  /** The object as last seen, undefined when there is none; waits for the first answer of the API server. */
  async get(kind: ObjectKind, namespace: string, name: string): Promise<DataObject | undefined> {
    const entry = this.#entries.get(`${kind}/${namespace}/${name}`);
    if (entry === undefined) throw new Error(`${kind} ${namespace}/${name} is not followed`);
    await entry.loaded;
    return entry.object;
  }

  #open(key: string, kind: ObjectKind, namespace: string, name: string): Entry {
    const watch = new AbortController();
    const loaded = Promise.withResolvers<void>();
    const entry: Entry = { object: undefined, loaded: loaded.promise, listeners: new Set(), watch };
    const set = (object: DataObject | undefined) => {
      const changed = entry.object?.metadata.resourceVersion !== object?.metadata.resourceVersion;
      entry.object = object;
      loaded.resolve();
      if (changed) for (const listener of [...entry.listeners]) listener();
    };
    void this.#api.listAndWatch<DataObject>(
      `/api/v1/namespaces/${namespace}/${kind}`,
      { fieldSelector: `metadata.name=${name}` },
      { onList: (items) => set(items[0]), onEvent: (type, object) => set(type === 'DELETED' ? undefined : object) },
      watch.signal,
    );
    this.#entries.set(key, entry);
    return entry;
  }
}
