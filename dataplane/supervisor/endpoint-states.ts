/**
 * Which endpoints get no requests, and why: what the workers judge from their requests and what the health checks say, put together. Of
 * a data plane an endpoint is ejected, or its breaker open, where some worker has it so: each judges by what it sees.
 */

import { endpointName } from '../snapshot/backend/view.ts';
import type { BackendHealth } from '../snapshot/protocol.ts';
import type { BlockedEndpoint } from '../worker/messages.ts';
import type { ObservedBackend, ObservedBackends, Observer } from './observed-backends.ts';

/** The first that holds of an endpoint. */
export const ENDPOINT_STATES = ['unhealthy', 'ejected', 'open', 'healthy'] as const;
export type EndpointStateName = (typeof ENDPOINT_STATES)[number];

/** Names of one backend that are reported at most. */
const MAX_REPORTED = 1_000;

export class EndpointStates implements Observer {
  readonly #observed: ObservedBackends;
  readonly #onChange: (id: string) => void;
  /** By worker, then backend; nothing for those that block none. */
  readonly #workers = new Map<number, Map<string, readonly BlockedEndpoint[]>>();

  /** `onChange`: something about this backend may have changed. */
  constructor(observed: ObservedBackends, onChange: (id: string) => void) {
    this.#observed = observed;
    this.#onChange = onChange;
  }

  /** From a worker. Null: it has ended. */
  blocked(worker: number, backends: ReadonlyMap<string, readonly BlockedEndpoint[]> | null): void {
    const held = this.#workers.get(worker) ?? new Map<string, readonly BlockedEndpoint[]>();
    if (backends === null) this.#workers.delete(worker);
    else {
      this.#workers.set(worker, held);
      for (const [id, endpoints] of backends) {
        if (endpoints.length === 0) held.delete(id);
        else held.set(id, endpoints);
      }
    }
    for (const id of (backends ?? held).keys()) this.#onChange(id);
  }

  /** The health checks have changed their mind. */
  viewed(ids: Iterable<string>): void {
    for (const id of ids) this.#onChange(id);
  }

  backend(id: string): void {
    this.#onChange(id);
  }

  gone(id: string): void {
    for (const held of this.#workers.values()) held.delete(id);
    this.#onChange(id);
  }

  close(): void {}

  /** By name, of the endpoints there are now. Undefined: there is no such backend. */
  of(id: string): ReadonlyMap<string, EndpointStateName> | undefined {
    const backend = this.#observed.get(id);
    return backend === undefined ? undefined : this.#statesOf(id, backend);
  }

  /** What the controller is told of a backend; null: nothing. */
  reportOf(id: string): BackendHealth | null {
    const backend = this.#observed.get(id);
    if (backend === undefined) return null;
    const blocked = this.#anyBlocked(id)
      ? [...this.#statesOf(id, backend)].flatMap(([name, state]) => (state === 'healthy' ? [] : [name])).sort()
      : [];
    const endpoints = backend.endpoints === backend.sent ? 0 : backend.endpoints.length;
    if (blocked.length === 0 && endpoints === 0) return null;
    return { backend: id, blocked: blocked.slice(0, MAX_REPORTED), endpoints };
  }

  #anyBlocked(id: string): boolean {
    if ((this.#observed.views().get(id)?.unhealthy.length ?? 0) > 0) return true;
    for (const held of this.#workers.values()) if (held.has(id)) return true;
    return false;
  }

  #statesOf(id: string, { endpoints }: ObservedBackend): Map<string, EndpointStateName> {
    const unhealthy = new Set(this.#observed.views().get(id)?.unhealthy);
    const ejected = new Set<string>();
    const open = new Set<string>();
    for (const held of this.#workers.values()) {
      for (const { name, by } of held.get(id) ?? []) (by === 'ejected' ? ejected : open).add(name);
    }
    return new Map(
      endpoints.map((endpoint) => {
        const name = endpointName(endpoint);
        if (unhealthy.has(name)) return [name, 'unhealthy'];
        return [name, ejected.has(name) ? 'ejected' : open.has(name) ? 'open' : 'healthy'];
      }),
    );
  }
}
