/** Which of the fleet's pods a label selector means. */
import type { ApiServer } from '../api-server.ts';
import { isApiStatus } from '../api-server.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { TtlCache } from './ttl-cache.ts';

const REMEMBER_MS = 2_000;
const MAX_REMEMBERED = 100;

export interface PodNamesOptions {
  readonly api: ApiServer;
  readonly clock: Clock;
  readonly log: Log;
}

export class PodNames {
  readonly #options: PodNamesOptions;
  readonly #cache: TtlCache<ReadonlySet<string> | null>;
  #warned = false;

  constructor(options: PodNamesOptions) {
    this.#options = options;
    this.#cache = new TtlCache(options.clock, REMEMBER_MS, MAX_REMEMBERED);
  }

  /**
   * Null means every data plane: without a selector, and where this controller may not list pods. With one Deployment of data
   * planes, as the chart installs it, that is the right answer to an HPA of that Deployment; with several it would not be.
   */
  async selected(namespace: string, selector: string): Promise<ReadonlySet<string> | null> {
    if (selector === '') return null;
    return await this.#cache.get(`${namespace} ${selector}`, () => this.#list(namespace, selector));
  }

  async #list(namespace: string, labelSelector: string): Promise<ReadonlySet<string> | null> {
    const { api, log } = this.#options;
    const found = new Set<string>();
    let next: string | undefined;
    try {
      do {
        const page = await api.request<{
          metadata?: { continue?: string };
          items?: { metadata: { name: string } }[];
        }>({
          path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`,
          query: { labelSelector, limit: '500', continue: next },
        });
        for (const { metadata } of page.items ?? []) found.add(metadata.name);
        next = page.metadata?.continue;
      } while (next !== undefined && next !== '');
      return found;
    } catch (error) {
      if (!isApiStatus(error, 403)) throw error;
      if (!this.#warned)
        log.warn({ namespace }, 'may not list pods: label selectors of metric requests mean every data plane');
      this.#warned = true;
      return null;
    }
  }
}
