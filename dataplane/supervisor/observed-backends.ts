/**
 * The backends of the snapshot as this process watches them, once for all its workers: names are resolved here and active health checks
 * run here; workers are told a view of each (snapshot/backend/view.ts). What watches is an Observer; each has its own half of the view.
 */

import { type BackendView, NOTHING_SEEN } from '../snapshot/backend/view.ts';
import type { Rejection } from '../snapshot/decode.ts';
import type { BackendResource, Endpoint, EndpointNames, EndpointsResource, Resource } from '../snapshot/resources.ts';
import type { CertificateResource, TrustResource } from '../snapshot/tls.ts';
import type { Change } from '../sync/held.ts';
import { type Materials, NO_MATERIALS } from '../upstream/dial/tls-settings.ts';

/** A backend whose endpoints are held too. */
export interface ObservedBackend {
  readonly resource: BackendResource;
  /** As sent. */
  readonly sent: readonly Endpoint[];
  readonly names?: EndpointNames | undefined;
  /** Names resolved as far as they are known. */
  readonly endpoints: readonly Endpoint[];
  /** What its `tls` refers to. */
  readonly materials: Materials;
}

/** Told of every backend that came or changed, and of those that went. */
export interface Observer {
  backend(id: string, backend: ObservedBackend): void;
  gone(id: string): void;
  close(): void;
}

/** Certificates and CAs of backends alone: those of Routes are nothing to this thread. */
const WATCHED = /^(?:backend|endpoints|(?:certificate|trust)\/backend)\//;

export class ObservedBackends {
  readonly #tell: (views: ReadonlyMap<string, BackendView>) => void;
  readonly #backends = new Map<string, BackendResource>();
  readonly #endpoints = new Map<string, EndpointsResource>();
  readonly #certificates = new Map<string, CertificateResource | TrustResource>();
  readonly #views = new Map<string, BackendView>();
  readonly #observers: Observer[] = [];
  readonly #changed = new Set<string>();
  #closed = false;

  /** `tell` gets what has changed, at most once a turn of the event loop. */
  constructor(tell: (views: ReadonlyMap<string, BackendView>) => void) {
    this.#tell = tell;
  }

  add(observer: Observer): void {
    this.#observers.push(observer);
  }

  /**
   * A change that the workers have taken, all but what is `rejected`: it is not checked again, so that this thread need not hold the
   * schemas (some 6 MB).
   */
  take(change: Change, rejected: readonly Rejection[] = []): void {
    const refused = new Set(rejected.map(({ id, hash }) => `${id} ${hash}`));
    const touched = new Set<string>();
    const lists = new Set<string>();
    const parts = new Set<string>();
    for (const id of change.removed) {
      if (this.#backends.delete(id)) touched.add(id);
      if (this.#endpoints.delete(id)) lists.add(id);
      if (this.#certificates.delete(id)) parts.add(id);
    }
    for (const bytes of change.upsert) {
      if (!WATCHED.test(bytes.id)) continue;
      if (refused.has(`${bytes.id} ${bytes.hash}`)) continue;
      const resource = JSON.parse(Buffer.from(bytes.body).toString()) as Resource;
      if (resource.kind === 'backend') {
        this.#backends.set(resource.id, resource);
        touched.add(resource.id);
      } else if (resource.kind === 'endpoints') {
        this.#endpoints.set(resource.id, resource);
        lists.add(resource.id);
      } else if (resource.kind === 'certificate' || resource.kind === 'trust') {
        this.#certificates.set(resource.id, resource);
        parts.add(resource.id);
      }
    }
    if (parts.size > 0) {
      for (const { id, tls } of this.#backends.values())
        if (parts.has(tls?.certificate ?? '') || parts.has(tls?.trust ?? '')) touched.add(id);
    }
    if (lists.size > 0) {
      for (const { id, endpoints } of this.#backends.values()) if (lists.has(endpoints)) touched.add(id);
    }
    for (const id of touched) this.#announce(id);
  }

  get(id: string): ObservedBackend | undefined {
    const resource = this.#backends.get(id);
    const list = resource === undefined ? undefined : this.#endpoints.get(resource.endpoints);
    if (resource === undefined || list === undefined) return undefined;
    const { endpoints: sent, names } = list;
    const endpoints = this.#views.get(id)?.endpoints ?? sent;
    return { resource, sent, names, endpoints, materials: this.#materialsOf(resource) };
  }

  #materialsOf({ tls }: BackendResource): Materials {
    if (tls?.certificate === undefined && tls?.trust === undefined) return NO_MATERIALS;
    const certificate = this.#certificates.get(tls.certificate ?? '');
    const trust = this.#certificates.get(tls.trust ?? '');
    return {
      certificate: certificate?.kind === 'certificate' ? certificate : null,
      trust: trust?.kind === 'trust' ? trust : null,
    };
  }

  /** Of all backends whose endpoints are held too. */
  *ids(): Iterable<string> {
    for (const { id, endpoints } of this.#backends.values()) if (this.#endpoints.has(endpoints)) yield id;
  }

  views(): ReadonlyMap<string, BackendView> {
    return this.#views;
  }

  /** Null: as sent. Observers hear of it, who set it too: such a one goes by `sent`. */
  setEndpoints(id: string, endpoints: readonly Endpoint[] | null): void {
    this.#set(id, { ...(this.#views.get(id) ?? NOTHING_SEEN), endpoints });
    this.#announce(id);
  }

  setUnhealthy(id: string, unhealthy: readonly string[]): void {
    this.#set(id, { ...(this.#views.get(id) ?? NOTHING_SEEN), unhealthy });
  }

  close(): void {
    this.#closed = true;
    for (const observer of this.#observers) observer.close();
  }

  #announce(id: string): void {
    if (this.get(id) === undefined) this.#views.delete(id);
    for (const observer of this.#observers) {
      // One may have set endpoints while it was told: the next ones hear of those.
      const backend = this.get(id);
      if (backend === undefined) observer.gone(id);
      else observer.backend(id, backend);
    }
  }

  #set(id: string, view: BackendView): void {
    if (this.#closed || !this.#backends.has(id)) return;
    this.#views.set(id, view);
    if (this.#changed.size === 0) setImmediate(() => this.#flush());
    this.#changed.add(id);
  }

  #flush(): void {
    const views = new Map(
      [...this.#changed].flatMap((id): [string, BackendView][] => {
        const view = this.#views.get(id);
        return view === undefined ? [] : [[id, view]];
      }),
    );
    this.#changed.clear();
    if (!this.#closed && views.size > 0) this.#tell(views);
  }
}
