/**
 * Active health checks of all backends that ask for them, once for all workers. Bounded: MAX_ENDPOINTS are probed, MAX_CONCURRENT of them
 * at a time.
 */
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../../log.ts';
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import { endpointName } from '../../snapshot/backend/view.ts';
import type { BackendResource } from '../../snapshot/resources.ts';
import { Notices } from '../../telemetry/notices.ts';
import { createDialer } from '../../upstream/dial/dialer.ts';
import { createTlsSettings, type Materials, sameMaterials } from '../../upstream/dial/tls-settings.ts';
import type { ObservedBackend, Observer } from '../observed-backends.ts';
import { openProbe, type ProbeOutcome, type ProbeResult, type ProbeTransport } from './probe.ts';
import { ProbeSlots } from './probe-slots.ts';
import { ProbedEndpoint, type ProbingDeps } from './probed-endpoint.ts';
import { firstWaitMs } from './verdict.ts';

/** Of all backends; those beyond are not probed and count as healthy. */
const MAX_ENDPOINTS = 10_000;
const MAX_CONCURRENT = 128;

export interface CheckerDeps extends Partial<Omit<ProbingDeps, 'slots'>> {
  readonly setUnhealthy: (id: string, unhealthy: readonly string[]) => void;
  readonly log: Log;
  readonly limits?: { readonly maxEndpoints: number; readonly maxConcurrent: number };
}

/** What active health checks say of an endpoint. */
export interface CheckedEndpoint {
  readonly healthy: boolean;
  /** False: not probed yet. */
  readonly probed: boolean;
  /** Of the last probe. */
  readonly result: ProbeResult | null;
  readonly detail: string;
}

/** With what it was made of. */
interface BackendTransport extends ProbeTransport {
  readonly of: Pick<BackendResource, 'protocol' | 'tls' | 'proxyProtocol'>;
  readonly materials: Materials;
}

interface CheckedBackend {
  settings: ActiveHealth;
  transport: BackendTransport;
  readonly endpoints: Map<string, ProbedEndpoint>;
  readonly counts: Map<ProbeResult, number>;
  readonly notices: Notices;
}

export class HealthChecker implements Observer {
  readonly #setUnhealthy: CheckerDeps['setUnhealthy'];
  readonly #log: Log;
  readonly #probing: ProbingDeps;
  readonly #maxEndpoints: number;
  readonly #backends = new Map<string, CheckedBackend>();
  #endpoints = 0;
  #full = false;

  constructor({ setUnhealthy, log, limits, open = openProbe, random = Math.random, setTimer = timer }: CheckerDeps) {
    this.#setUnhealthy = setUnhealthy;
    this.#log = log;
    this.#maxEndpoints = limits?.maxEndpoints ?? MAX_ENDPOINTS;
    this.#probing = { slots: new ProbeSlots(limits?.maxConcurrent ?? MAX_CONCURRENT), open, random, setTimer };
  }

  /** See Observer. The states of endpoints that stay are kept. */
  backend(id: string, { resource, endpoints, materials }: ObservedBackend): void {
    const settings = resource.health?.active;
    if (settings === undefined) {
      this.gone(id);
      return;
    }
    const before = this.#backends.get(id);
    const transport = transportOf(resource, materials, before?.transport ?? null);
    const checked = before ?? this.#watch(id, settings, transport);
    if (!isDeepStrictEqual(checked.settings, settings) || checked.transport !== transport) {
      checked.settings = settings;
      checked.transport = transport;
      const { size } = checked.endpoints;
      for (const [i, endpoint] of [...checked.endpoints.values()].entries()) {
        endpoint.configure(settings, transport, firstWaitMs(i, size, settings.intervalMs));
      }
    }
    // What is behind a name is probed once it is resolved, address by address.
    const resolved = endpoints.filter(({ address }) => isIP(address) !== 0);
    const wanted = new Map(resolved.map((endpoint) => [endpointName(endpoint), endpoint]));
    let lost = false;
    for (const [name, endpoint] of checked.endpoints) {
      if (wanted.has(name)) continue;
      if (!endpoint.state.healthy) lost = true;
      endpoint.close();
      checked.endpoints.delete(name);
      this.#endpoints--;
    }
    if (lost) this.#tell(id, checked);
    const added = [...wanted].filter(([name]) => !checked.endpoints.has(name));
    const room = Math.max(0, this.#maxEndpoints - this.#endpoints);
    this.#bound(id, added.length - room);
    for (const [i, [name, endpoint]] of added.slice(0, room).entries()) {
      const { address, port, hostName } = endpoint;
      const target = { address, port, hostName };
      const probed = new ProbedEndpoint(name, target, settings, transport, this.#probing, (from, outcome, changed) =>
        this.#take(id, checked, from, outcome, changed),
      );
      checked.endpoints.set(name, probed);
      this.#endpoints++;
      probed.start(firstWaitMs(i, added.length, settings.intervalMs));
    }
  }

  gone(id: string): void {
    const checked = this.#backends.get(id);
    if (checked === undefined) return;
    this.#backends.delete(id);
    let unhealthy = false;
    for (const endpoint of checked.endpoints.values()) {
      if (!endpoint.state.healthy) unhealthy = true;
      endpoint.close();
    }
    this.#endpoints -= checked.endpoints.size;
    // It may go on without health checks.
    if (unhealthy) this.#setUnhealthy(id, []);
  }

  close(): void {
    for (const { endpoints } of this.#backends.values()) for (const endpoint of endpoints.values()) endpoint.close();
    this.#backends.clear();
  }

  /** Null: its health is not checked. By name of the endpoint. */
  endpointsOf(id: string): ReadonlyMap<string, CheckedEndpoint> | null {
    const checked = this.#backends.get(id);
    if (checked === undefined) return null;
    return new Map(Array.from(checked.endpoints.values(), (endpoint) => [endpoint.name, stateOf(endpoint)]));
  }

  /** Probes by what came of them, of backends that are there. */
  *counts(): Iterable<readonly [id: string, result: ProbeResult, count: number]> {
    for (const [id, { counts }] of this.#backends) for (const [result, count] of counts) yield [id, result, count];
  }

  #watch(id: string, settings: ActiveHealth, transport: BackendTransport): CheckedBackend {
    const notices = new Notices(this.#log, () => performance.now());
    const checked = { settings, transport, endpoints: new Map(), counts: new Map(), notices };
    this.#backends.set(id, checked);
    return checked;
  }

  #take(id: string, checked: CheckedBackend, from: ProbedEndpoint, outcome: ProbeOutcome, changed: boolean): void {
    checked.counts.set(outcome.result, (checked.counts.get(outcome.result) ?? 0) + 1);
    if (!changed) return;
    const { healthy } = from.state;
    const fields = { event: 'health', backend: nameOf(id), endpoint: from.name, healthy };
    if (healthy) checked.notices.write(fields, 'passes its health checks again');
    else {
      const reason = `${outcome.result} ${outcome.detail}`.trim();
      checked.notices.write({ ...fields, reason }, 'fails its health checks');
    }
    this.#tell(id, checked);
  }

  #tell(id: string, checked: CheckedBackend): void {
    const unhealthy = [...checked.endpoints.values()].filter(({ state }) => !state.healthy).map(({ name }) => name);
    this.#setUnhealthy(id, unhealthy.sort());
  }

  /** Told once until there is room again. */
  #bound(id: string, tooMany: number): void {
    if (tooMany > 0 && !this.#full) {
      const fields = { event: 'health', backend: nameOf(id), bound: this.#maxEndpoints };
      this.#log.error(fields, 'more endpoints than are probed: the others count as healthy');
    }
    if (tooMany > 0) this.#full = true;
    else if (this.#endpoints < this.#maxEndpoints) this.#full = false;
  }
}

/** The one there was where nothing has changed, and also where the new certificates can't be used: workers go on with theirs, too. */
function transportOf(
  { protocol, tls, proxyProtocol }: BackendResource,
  materials: Materials,
  before: BackendTransport | null,
): BackendTransport {
  const of = { protocol, ...(tls !== undefined && { tls }), ...(proxyProtocol !== undefined && { proxyProtocol }) };
  if (before !== null && sameMaterials(before.materials, materials) && isDeepStrictEqual(before.of, of)) return before;
  const plain = { of, materials, protocol, dialer: null, tls: null };
  if (tls === undefined && proxyProtocol === undefined && protocol === 'http1') return plain;
  try {
    const settings = tls === undefined ? null : createTlsSettings(tls, materials);
    return { of, materials, protocol, tls: settings, dialer: createDialer(of, materials) };
  } catch {
    return before ?? plain;
  }
}

function stateOf({ state, last }: ProbedEndpoint): CheckedEndpoint {
  return { healthy: state.healthy, probed: state.probed, result: last?.result ?? null, detail: last?.detail ?? '' };
}

/** `backend/<namespace>/<name>` without its kind. */
function nameOf(id: string): string {
  return id.slice(id.indexOf('/') + 1);
}

function timer(run: () => void, delayMs: number): () => void {
  const handle = setTimeout(run, delayMs);
  return () => clearTimeout(handle);
}
