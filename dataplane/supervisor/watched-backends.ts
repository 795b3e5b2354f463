/** All that watches the backends of the snapshot: names and their addresses, active health checks, what workers say of them, and the reports to the controller. */
import type { Log } from '../log.ts';
import type { BackendView } from '../snapshot/backend/view.ts';
import type { Rejection } from '../snapshot/decode.ts';
import type { HealthReport } from '../snapshot/protocol.ts';
import type { Change } from '../sync/held.ts';
import type { BackendSample } from '../telemetry/backend-metrics.ts';
import type { BlockedEndpoint, WorkerEndpoint } from '../worker/messages.ts';
import { type DescribedEndpoint, describeEndpoints } from './describe-backends.ts';
import { observeNames } from './dns/create.ts';
import type { DnsObserver } from './dns/dns-observer.ts';
import { EndpointStates } from './endpoint-states.ts';
import { HealthChecker } from './health/checker.ts';
import type { ProbeResult } from './health/probe.ts';
import { HealthReporter } from './health-reporter.ts';
import { ObservedBackends } from './observed-backends.ts';

export interface WatchedBackendsDeps {
  readonly log: Log;
  /** Null: as the machine resolves names. */
  readonly dnsServers: readonly string[] | null;
  /** `names.troubles` has changed. */
  readonly onTroubles: () => void;
  /** What has changed, for all workers. */
  readonly tellWorkers: (views: ReadonlyMap<string, BackendView>) => void;
  /** To the controller. False: it was not sent. */
  readonly report: (health: HealthReport) => boolean;
}

export class WatchedBackends {
  readonly names: DnsObserver;
  readonly #observed: ObservedBackends;
  readonly #checker: HealthChecker;
  readonly #states: EndpointStates;
  readonly #reporter: HealthReporter;

  constructor({ log, dnsServers, onTroubles, tellWorkers, report }: WatchedBackendsDeps) {
    this.#observed = new ObservedBackends((views) => {
      tellWorkers(views);
      this.#states.viewed(views.keys());
    });
    this.#checker = new HealthChecker({
      setUnhealthy: (id, unhealthy) => this.#observed.setUnhealthy(id, unhealthy),
      log,
    });
    this.#states = new EndpointStates(this.#observed, (id) => this.#reporter.changed(id));
    this.#reporter = new HealthReporter({
      ids: () => this.#observed.ids(),
      reportOf: (id) => this.#states.reportOf(id),
      send: report,
    });
    this.names = observeNames(this.#observed, dnsServers, log, onTroubles);
    this.#observed.add(this.#checker);
    this.#observed.add(this.#states);
  }

  /** See ObservedBackends. */
  take(change: Change, rejected: readonly Rejection[]): void {
    this.#observed.take(change, rejected);
  }

  /** Of all backends, for a worker that starts. */
  views(): ReadonlyMap<string, BackendView> {
    return this.#observed.views();
  }

  /** See EndpointStates. */
  blocked(worker: number, backends: ReadonlyMap<string, readonly BlockedEndpoint[]> | null): void {
    this.#states.blocked(worker, backends);
  }

  /** A stream to a controller is open: it is told all. */
  connected(): void {
    this.#reporter.connected();
  }

  disconnected(): void {
    this.#reporter.disconnected();
  }

  /** Every backend's endpoints, `workers` as each of them has them, for /debug/config. */
  describe(workers: readonly ReadonlyMap<string, readonly WorkerEndpoint[]>[]): DescribedBackend[] {
    return [...this.#observed.ids()].sort().map((id) => ({
      id,
      endpoints: describeEndpoints(
        this.#states.of(id) ?? new Map(),
        workers.map((backends) => backends.get(id) ?? []),
        this.#checker.endpointsOf(id),
      ),
    }));
  }

  /** Of every backend, by name, for metrics. */
  samples(): BackendSample[] {
    const checks = new Map<string, Map<ProbeResult, number>>();
    for (const [id, result, count] of this.#checker.counts()) {
      const results = checks.get(id) ?? new Map<ProbeResult, number>();
      checks.set(id, results);
      results.set(result, count);
    }
    return [...this.#observed.ids()].sort().map((id) => {
      const states = { healthy: 0, unhealthy: 0, ejected: 0, open: 0 };
      for (const state of this.#states.of(id)?.values() ?? []) states[state]++;
      const checked = new Map<string, boolean>();
      for (const [name, { healthy }] of this.#checker.endpointsOf(id) ?? []) checked.set(name, healthy);
      return { backend: id.slice(id.indexOf('/') + 1), states, checked, checks: checks.get(id) ?? new Map() };
    });
  }

  close(): void {
    this.#observed.close();
    this.#reporter.close();
  }
}

export interface DescribedBackend {
  readonly id: string;
  readonly endpoints: readonly DescribedEndpoint[];
}
