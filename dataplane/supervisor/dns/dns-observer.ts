/**
 * Resolves the names among the endpoints of all backends, once for all workers: what they are told changes with the answers. A name that
 * several backends use is asked for once.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../../log.ts';
import { isLocalAddress } from '../../snapshot/local-address.ts';
import type { Endpoint, EndpointNames } from '../../snapshot/resources.ts';
import type { Trouble } from '../../telemetry/trouble.ts';
import type { ObservedBackend, Observer } from '../observed-backends.ts';
import type { Addresses, NameResolver, ServiceRecord } from './answer.ts';
import { type KnownNames, namesIn, resolvedEndpoints } from './resolved-endpoints.ts';
import { type NameTime, WatchedName } from './watched-name.ts';

export interface DnsObserverOptions {
  readonly resolver: NameResolver;
  /** Of ObservedBackends. */
  readonly setEndpoints: (id: string, endpoints: readonly Endpoint[] | null) => void;
  /** `troubles` has changed. */
  readonly onTroubles: () => void;
  readonly log: Log;
  readonly time: NameTime;
}

/** What a list without `names` means: one of a controller that does not know them. */
const DEFAULT_NAMES: EndpointNames = { minTtlMs: 1_000, maxTtlMs: 300_000 };
/** What a start waits at most for the first answers. */
const WARM_MS = 1_000;
/** How long endpoints outlive a server's word that there is no such name. */
const KEEP_AFTER_NONE_MS = 30_000;

/** For /debug/config. */
export interface DescribedName {
  readonly name: string;
  readonly records: 'address' | 'srv';
  readonly state: 'unknown' | 'found' | 'none';
  readonly answer: readonly unknown[];
  /** Of these, not connected to: addresses of the data plane's own machine. */
  readonly local: number;
  readonly leftMs: number;
  readonly staleMs: number;
  /** Of the last look-up; empty: it succeeded. */
  readonly error: string;
  readonly backends: readonly string[];
}

export interface DnsCounts {
  readonly found: number;
  readonly none: number;
  readonly failed: number;
  /** Names that are followed. */
  readonly names: number;
  /** Of the answer that expired first and is still used; 0: there is none. */
  readonly staleMs: number;
}

interface Followed {
  readonly name: string;
  readonly records: 'address' | 'srv';
  readonly watch: WatchedName<Addresses> | WatchedName<readonly ServiceRecord[]>;
  readonly users: Set<string>;
}

interface Resolved {
  readonly backend: ObservedBackend;
  readonly keys: ReadonlySet<string>;
  /** As last told; null: as sent. */
  readonly told: readonly Endpoint[] | null;
}

export class DnsObserver implements Observer {
  readonly #options: DnsObserverOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #backends = new Map<string, Resolved>();
  readonly #counts = { found: 0, none: 0, failed: 0 };
  #waiting: (() => void)[] = [];
  #troubles = '';

  constructor(options: DnsObserverOptions) {
    this.#options = options;
  }

  backend(id: string, backend: ObservedBackend): void {
    const before = this.#backends.get(id);
    if (before === undefined && !hasNames(backend)) return;
    this.#backends.set(id, { backend, keys: before?.keys ?? new Set(), told: before?.told ?? null });
    this.#settle(id);
  }

  gone(id: string): void {
    const resolved = this.#backends.get(id);
    if (resolved === undefined) return;
    this.#backends.delete(id);
    for (const key of resolved.keys) this.#leave(key, id);
    this.#troublesMayHaveChanged();
  }

  close(): void {
    for (const { watch } of this.#followed.values()) watch.close();
    this.#followed.clear();
    this.#backends.clear();
    this.#wake();
  }

  /** Resolves when each name has had its first result and it was told, or after `maxMs`. */
  async settled(maxMs = WARM_MS): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, maxMs);
    while (!late && [...this.#followed.values()].some(({ watch }) => !watch.asked)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    clearTimeout(timer);
    // Views are told at the end of the turn.
    await new Promise((resolve) => setImmediate(resolve));
  }

  get counts(): DnsCounts {
    const all = [...this.#followed.values()];
    return { ...this.#counts, names: all.length, staleMs: Math.max(0, ...all.map(({ watch }) => watch.staleMs)) };
  }

  /** Backends that have nowhere to go because of a name, one line each. */
  get troubles(): Trouble[] {
    const troubles = new Map<string, string[]>();
    for (const { name, watch, users } of this.#followed.values()) {
      const { trouble } = watch;
      if (trouble === null) continue;
      for (const id of users) troubles.set(id, [...(troubles.get(id) ?? []), `${name} ${trouble}`]);
    }
    return [...troubles]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, messages]) => ({ id, message: `DNS name ${messages.sort().slice(0, 3).join('; ')}` }));
  }

  describe(): DescribedName[] {
    return [...this.#followed.values()].map(({ name, records, watch, users }) => {
      const answer = answerOf(watch);
      return {
        name,
        records,
        state: watch.state.kind,
        answer,
        local: answer.filter((one) => typeof one === 'string' && isLocalAddress(one)).length,
        leftMs: Math.round(watch.leftMs),
        staleMs: Math.round(watch.staleMs),
        error: watch.error,
        backends: [...users].sort(),
      };
    });
  }

  /** Follows what the backend now needs, and tells what its endpoints are. */
  #settle(id: string): void {
    const resolved = this.#backends.get(id);
    if (resolved === undefined) return;
    const { backend } = resolved;
    const names = backend.names ?? DEFAULT_NAMES;
    const known = this.#known(names);
    const needed = namesIn(backend.sent, names, known);
    const keys = new Set<string>();
    if (needed.services !== undefined) keys.add(this.#join('srv', needed.services, names, id));
    for (const name of needed.addresses) keys.add(this.#join('address', name, names, id));
    for (const key of resolved.keys) if (!keys.has(key)) this.#leave(key, id);
    const endpoints = keys.size === 0 ? null : resolvedEndpoints(backend.sent, names, known);
    // Nothing known yet: workers go by what was sent, and connect by name.
    const told = resolved.told === null && isDeepStrictEqual(endpoints, backend.sent) ? null : endpoints;
    if (keys.size === 0) this.#backends.delete(id);
    else this.#backends.set(id, { backend, keys, told });
    // Comes back here through `backend`, and finds nothing new.
    if (!isDeepStrictEqual(told, resolved.told)) this.#options.setEndpoints(id, told);
  }

  #known({ minTtlMs, maxTtlMs }: EndpointNames): KnownNames {
    const get = (records: Followed['records'], name: string) => {
      const watch = this.#followed.get(keyOf(records, name, minTtlMs, maxTtlMs))?.watch;
      return watch === undefined || watch.state.kind === 'unknown' ? undefined : answerOf(watch);
    };
    return {
      addresses: (name) => get('address', name) as readonly string[] | undefined,
      services: (name) => get('srv', name) as readonly ServiceRecord[] | undefined,
    };
  }

  #join(records: Followed['records'], name: string, { minTtlMs, maxTtlMs }: EndpointNames, id: string): string {
    const key = keyOf(records, name, minTtlMs, maxTtlMs);
    const followed = this.#followed.get(key);
    if (followed !== undefined) {
      followed.users.add(id);
      return key;
    }
    const { resolver, time } = this.#options;
    const users = new Set([id]);
    let last = 'found';
    const common = {
      minTtlMs,
      maxTtlMs,
      time,
      keepAfterNoneMs: KEEP_AFTER_NONE_MS,
      onChange: () => this.#changed(users),
      onResult: (kind: 'found' | 'none' | 'failed') => {
        this.#counts[kind]++;
        if (kind !== last) this.#logTurn(name, kind, [...users].sort());
        last = kind;
      },
    };
    const watch =
      records === 'srv'
        ? new WatchedName({ ...common, ask: () => resolver.services(name) })
        : new WatchedName({ ...common, ask: () => resolver.addresses(name), combine: combineFamilies });
    this.#followed.set(key, { name, records, watch, users });
    return key;
  }

  #leave(key: string, id: string): void {
    const followed = this.#followed.get(key);
    if (followed === undefined) return;
    followed.users.delete(id);
    if (followed.users.size > 0) return;
    followed.watch.close();
    this.#followed.delete(key);
    this.#wake();
  }

  #changed(users: ReadonlySet<string>): void {
    for (const id of [...users]) this.#settle(id);
    this.#troublesMayHaveChanged();
    this.#wake();
  }

  #troublesMayHaveChanged(): void {
    const now = JSON.stringify(this.troubles);
    if (now === this.#troubles || (now === '[]' && this.#troubles === '')) return;
    this.#troubles = now;
    this.#options.onTroubles();
  }

  #logTurn(name: string, kind: 'found' | 'none' | 'failed', backends: readonly string[]): void {
    const fields = { event: 'dns', name, result: kind, backends: backends.slice(0, 8) };
    if (kind === 'found') this.#options.log.info(fields, `DNS name ${name} is resolved again`);
    else this.#options.log.warn(fields, `DNS name ${name} is not resolved (${kind}); what is known of it is used on`);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const NOTHING_KNOWN: KnownNames = { addresses: () => undefined, services: () => undefined };

function hasNames({ sent, names }: ObservedBackend): boolean {
  const { addresses, services } = namesIn(sent, names, NOTHING_KNOWN);
  return addresses.size > 0 || services !== undefined;
}

function keyOf(records: string, name: string, minTtlMs: number, maxTtlMs: number): string {
  return `${records} ${name} ${minTtlMs} ${maxTtlMs}`;
}

/** A family that could not be asked about keeps what was known of it. */
function combineFamilies(found: Addresses, before: Addresses): Addresses {
  return { v4: found.v4 ?? before.v4, v6: found.v6 ?? before.v6 };
}

function answerOf({ state }: Followed['watch']): readonly unknown[] {
  if (state.kind !== 'found') return [];
  return 'v4' in state.value ? [...(state.value.v4 ?? []), ...(state.value.v6 ?? [])] : state.value;
}
