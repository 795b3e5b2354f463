/** The Kubernetes API as a source: one collection a kind (and namespace), all into one sink. */
import type { ApiServer } from '../api-server.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Collection } from './client.ts';
import { type WatchedSecrets, watchedKinds } from './kinds.ts';
import type { Source, SourceSink } from './source.ts';

export interface KubernetesSourceOptions {
  readonly api: ApiServer;
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  readonly secrets: WatchedSecrets;
  readonly clock: Clock;
  readonly log: Log;
  readonly onRestart?: (kind: string, reason: 'expired' | 'ended' | 'failed') => void;
}

export class KubernetesSource implements Source {
  readonly #options: KubernetesSourceOptions;
  #collections: Collection[] = [];

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
  }

  start(sink: SourceSink): Promise<void> {
    const { api, namespaces, secrets, clock, log, onRestart } = this.#options;
    const scopes = namespaces.length === 0 ? [undefined] : namespaces;
    let missing = 0;
    for (const kind of watchedKinds(secrets)) {
      for (const namespace of scopes) {
        missing += 1;
        this.#collections.push(
          new Collection({
            api,
            kind,
            namespace,
            clock,
            log,
            onEvents: (events) => sink.apply(events),
            onListed: () => {
              missing -= 1;
              if (missing === 0) sink.synced();
            },
            onRestart: (reason) => onRestart?.(kind.kind, reason),
          }),
        );
      }
    }
    for (const collection of this.#collections) collection.start();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#collections.map((collection) => collection.stop()));
    this.#collections = [];
  }
}
