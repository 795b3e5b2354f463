/** The controller's own metrics, in Prometheus form. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { PublisherEvent } from './push/publish.ts';

/** Figures that are read when they are asked for. */
export interface MetricSources {
  readonly objects: () => Iterable<readonly [kind: string, count: number]>;
  readonly resources: () => number;
  readonly revision: () => string;
  readonly sessions: () => number;
  readonly peers: () => number;
  readonly leader: () => boolean;
  /** Data planes of the whole installation by state. */
  readonly dataPlanes: () => Iterable<readonly [state: 'ready' | 'not-ready' | 'behind' | 'rejecting', count: number]>;
  readonly statusPending: () => number;
}

const PREFIX = 'tidegate_controller_';
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics {
  readonly #registry = new Registry();
  readonly #compile: Histogram;
  readonly #push: Histogram;
  readonly #pushes: Counter<'form' | 'resent'>;
  readonly #pushBytes: Counter;
  readonly #verdicts: Counter<'result'>;
  readonly #watchRestarts: Counter<'kind' | 'reason'>;
  readonly #statusWrites: Counter<'result'>;
  readonly #refusedFiles: Counter;

  constructor(sources: MetricSources) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    const named = (name: string, help: string) => ({ name: `${PREFIX}${name}`, help, registers });
    this.#compile = new Histogram({ ...named('compile_seconds', 'Duration of a compilation.'), buckets: SECONDS });
    this.#push = new Histogram({ ...named('push_seconds', 'From sending a delta to its verdict.'), buckets: SECONDS });
    this.#pushes = new Counter({ ...named('pushes_total', 'Deltas sent.'), labelNames: ['form', 'resent'] as const });
    this.#pushBytes = new Counter(named('push_bytes_total', 'Bytes of deltas sent.'));
    this.#verdicts = new Counter({
      ...named('verdicts_total', 'Answers of data planes to deltas.'),
      labelNames: ['result'] as const,
    });
    this.#watchRestarts = new Counter({
      ...named('watch_restarts_total', 'Watches begun again, and why.'),
      labelNames: ['kind', 'reason'] as const,
    });
    this.#statusWrites = new Counter({
      ...named('status_writes_total', 'Writes of a status.'),
      labelNames: ['result'] as const,
    });
    this.#refusedFiles = new Counter(named('refused_files_total', 'Files that were not taken over.'));
    this.#gauges(sources, named);
  }

  compiled(ms: number): void {
    this.#compile.observe(ms / 1000);
  }

  session(event: PublisherEvent): void {
    if (event.type === 'sent') {
      this.#pushes.inc({ form: event.full ? 'full' : 'delta', resent: String(event.resent) });
      this.#pushBytes.inc(event.bytes);
    } else if (event.type === 'acknowledged' && event.tookMs !== null) {
      this.#push.observe(event.tookMs / 1000);
      this.#verdicts.inc({ result: event.rejected.length > 0 ? 'rejected-resources' : 'accepted' });
    } else if (event.type === 'refused') {
      this.#verdicts.inc({ result: 'refused' });
    }
  }

  watchRestarted(kind: string, reason: string): void {
    this.#watchRestarts.inc({ kind, reason });
  }

  statusWritten(result: string): void {
    this.#statusWrites.inc({ result });
  }

  fileRefused(): void {
    this.#refusedFiles.inc();
  }

  async expose(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #gauges(
    sources: MetricSources,
    named: (name: string, help: string) => { name: string; help: string; registers: Registry[] },
  ): void {
    const plain = (name: string, help: string, read: () => number): void => {
      new Gauge({
        ...named(name, help),
        collect() {
          this.set(read());
        },
      });
    };
    plain('resources', 'Resources of the snapshot.', sources.resources);
    plain('sessions', 'Data planes connected to this replica.', sources.sessions);
    plain('peers', 'Other replicas this one hears of.', sources.peers);
    plain('leader', '1 on the replica that writes status.', () => (sources.leader() ? 1 : 0));
    plain('status_pending', 'Statuses that are due or being written.', sources.statusPending);
    const labelled = (
      name: string,
      help: string,
      label: string,
      read: () => Iterable<readonly [string, number]>,
    ): void => {
      new Gauge({
        ...named(name, help),
        labelNames: [label],
        collect() {
          this.reset();
          for (const [value, count] of read()) this.set({ [label]: value }, count);
        },
      });
    };
    labelled('objects', 'Objects in the store, by kind.', 'kind', sources.objects);
    labelled(
      'data_planes',
      'Data planes of the installation, by state; one may be in several.',
      'state',
      sources.dataPlanes,
    );
    labelled('snapshot_info', 'Always 1; the revision compiled last is the label.', 'revision', () => [
      [sources.revision(), 1],
    ]);
  }
}
