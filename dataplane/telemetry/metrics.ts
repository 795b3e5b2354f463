/**
 * The metrics as Prometheus reads them. What workers count is taken over at the scrape; nothing is copied on a request's path.
 * Durations are in seconds, as Prometheus wants them.
 */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { type BackendSample, backendMetrics } from './backend-metrics.ts';
import { counter, type Described, gauge, one, type Sample } from './exposition.ts';
import { cumulativeCounts } from './histogram.ts';
import type { MeterReading } from './meter.ts';
import { durationSumMs, type SeriesImage } from './series.ts';
import type { StageSample } from './stage-counters.ts';

/** Upper bounds of the duration histograms, ms: two significant digits, so that counts are exact (histogram.ts). */
const BOUNDS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000] as const;
const CLASSES = ['aborted', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** One moment of the process. */
export interface MetricsInput {
  readonly reading: MeterReading;
  readonly series: SeriesImage;
  readonly stages: readonly StageSample[];
  readonly gauges: {
    readonly connections: number;
    readonly upstreamConnections: number;
    readonly upstreamPending: number;
    /** By kind. */
    readonly streams: Readonly<Record<string, number>>;
    readonly workerHeapUsedBytes: number;
    /** The largest of any worker since the scrape before. */
    readonly eventLoopDelayMs: number;
    /** Likewise, now. */
    readonly sheddingLevel: number;
  };
  /** By id of the `tls` resource: when the certificate ends, ms since the epoch. */
  readonly certificates: readonly { readonly id: string; readonly notAfterMs: number }[];
  /** Of each worker that uses it: whether it answers. */
  readonly redis: readonly boolean[];
  readonly dns: {
    readonly found: number;
    readonly none: number;
    readonly failed: number;
    readonly names: number;
    readonly staleMs: number;
  };
  /** Of workers that live. */
  readonly counters: { readonly refused: number; readonly overflow: number };
  readonly eventLoopUtilisation: number;
  readonly state: {
    readonly ready: boolean;
    readonly connected: boolean;
    readonly revision: string;
    readonly origin: string;
    readonly resources: number;
    readonly rejected: number;
    readonly staleMs: number;
    readonly lastApplyMs: number;
    /** ms since the epoch, 0: never. */
    readonly appliedAtMs: number;
    readonly lastGoodSavedAtMs: number;
    readonly lastGoodFailures: number;
    readonly workers: number;
    readonly workersListening: number;
    readonly workerRestarts: number;
    /** Of global rate limits. */
    readonly limitShare: { readonly of: number };
  };
  /** By name. */
  readonly backends: readonly BackendSample[];
  /** That have a label of their own. */
  readonly maxBackends: number;
  readonly logDropped: number;
  readonly version: string;
  readonly nowMs: number;
}

/** `read` is asked once a scrape. */
export function createMetrics(read: () => Promise<MetricsInput>): {
  readonly contentType: string;
  text(): Promise<string>;
} {
  const registry = new Registry();
  // Its event-loop monitor wakes up this often; 10 ms, its default, costs an idle process more than all the rest.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  return {
    contentType: registry.contentType,
    async text() {
      const own = new Registry();
      for (const metric of describeMetrics(await read())) {
        // What the registry asks of a metric is `get`; the rest of the class only counts by itself.
        own.registerMetric({ name: metric.name, get: async () => metric } as unknown as Metric);
      }
      return `${await own.metrics()}\n${await registry.metrics()}`;
    },
  };
}

function describeMetrics(input: MetricsInput): Described[] {
  const { state, reading, series, gauges, counters } = input;
  const flag = (value: boolean): number => (value ? 1 : 0);
  const ageSeconds = (atMs: number): number => (atMs === 0 ? 0 : Math.max(0, (input.nowMs - atMs) / 1000));
  return [
    counter('tidegate_requests_total', 'Requests by route and status class.', requestSamples(series)),
    counter(
      'tidegate_route_duration_seconds_total',
      'Sum of the durations of requests, by route.',
      durationSamples(series),
    ),
    counter(
      'tidegate_responses_by_code_total',
      'Requests that ended with a reason code of the gateway.',
      codeSamples(series),
    ),
    ...grpcMetrics(series),
    ...stageMetrics(input.stages),
    histogram(
      'tidegate_request_duration_seconds',
      'From the first byte of a request to the last of its response.',
      reading.duration,
      reading.durationSumMs,
    ),
    histogram(
      'tidegate_upstream_duration_seconds',
      'From a request being sent to a backend to the head of its response.',
      reading.upstream,
      reading.upstreamSumMs,
    ),
    gauge('tidegate_requests_in_flight', 'Requests that have not ended.', reading.inFlight),
    counter('tidegate_request_body_bytes_total', 'Bytes of request bodies taken.', one(reading.bytesIn)),
    counter('tidegate_response_body_bytes_total', 'Bytes of response bodies sent.', one(reading.bytesOut)),
    gauge('tidegate_connections', 'Connections of clients.', gauges.connections),
    {
      name: 'tidegate_streams',
      type: 'gauge',
      help: 'Exchanges that last: upgraded connections, event streams, gRPC calls.',
      values: Object.entries(gauges.streams).map(([kind, value]) => ({ value, labels: { kind } })),
    },
    gauge('tidegate_upstream_connections', 'Connections to backends.', gauges.upstreamConnections),
    gauge(
      'tidegate_upstream_pending_requests',
      'Requests that wait for a connection to a backend.',
      gauges.upstreamPending,
    ),
    counter(
      'tidegate_upstream_connect_errors_total',
      'Requests that failed because no connection to a backend could be had.',
      one(connectErrors(series)),
    ),
    ...certificateMetrics(input),
    ...backendMetrics(input.backends, input.maxBackends),
    counter(
      'tidegate_refused_requests_total',
      'Malformed or oversized requests that never reached a route.',
      one(counters.refused),
    ),
    counter(
      'tidegate_refused_connections_total',
      'Connections turned away because there were too many.',
      one(counters.overflow),
    ),
    ...redisMetrics(input.redis),
    ...dnsMetrics(input.dns),
    gauge('tidegate_ready', 'Whether /readyz says yes.', flag(state.ready)),
    gauge('tidegate_controller_connected', 'Whether the stream to a controller is open.', flag(state.connected)),
    {
      name: 'tidegate_snapshot_info',
      type: 'gauge',
      help: 'The snapshot that is served.',
      values: [{ value: 1, labels: { revision: state.revision, origin: state.origin } }],
    },
    gauge('tidegate_snapshot_resources', 'Resources of the snapshot.', state.resources),
    gauge('tidegate_snapshot_rejected_resources', 'Resources of the snapshot that could not be built.', state.rejected),
    gauge('tidegate_snapshot_age_seconds', 'Since the snapshot was applied.', ageSeconds(state.appliedAtMs)),
    gauge(
      'tidegate_snapshot_stale_seconds',
      'Since a controller last stood behind the snapshot; 0 while one does.',
      state.staleMs / 1000,
    ),
    gauge(
      'tidegate_snapshot_apply_seconds',
      'How long the last change took until it was live.',
      state.lastApplyMs / 1000,
    ),
    gauge(
      'tidegate_last_good_age_seconds',
      'Since the last good snapshot was written to disk; 0 where none was.',
      ageSeconds(state.lastGoodSavedAtMs),
    ),
    counter(
      'tidegate_last_good_failures_total',
      'Writes of the last good snapshot that failed.',
      one(state.lastGoodFailures),
    ),
    gauge('tidegate_workers', 'Workers configured.', state.workers),
    gauge('tidegate_workers_listening', 'Workers that serve.', state.workersListening),
    counter('tidegate_worker_restarts_total', 'Workers started again after they ended.', one(state.workerRestarts)),
    gauge(
      'tidegate_limit_sharers',
      'Data planes among whom global rate limits are shared, as a controller last said.',
      state.limitShare.of,
    ),
    gauge('tidegate_worker_heap_used_bytes', 'JavaScript heaps of all workers.', gauges.workerHeapUsedBytes),
    gauge(
      'tidegate_event_loop_utilisation',
      'Share of its time the busiest worker was busy, 0 to 1.',
      input.eventLoopUtilisation,
    ),
    gauge(
      'tidegate_event_loop_delay_seconds',
      'Longest delay of a worker by its own work since the last scrape.',
      gauges.eventLoopDelayMs / 1000,
    ),
    gauge(
      'tidegate_shedding_level',
      'Share of requests that the busiest worker is to turn away by its event-loop delay, 0 to 1.',
      gauges.sheddingLevel,
    ),
    counter('tidegate_log_dropped_total', 'Pieces of log that nobody took in time.', one(input.logDropped)),
    {
      name: 'tidegate_build_info',
      type: 'gauge',
      help: 'The program.',
      values: [{ value: 1, labels: { version: input.version } }],
    },
  ];
}

function requestSamples({ routes }: SeriesImage): Sample[] {
  const samples: Sample[] = [];
  for (const [route, row] of routes) {
    CLASSES.forEach((code_class, i) => {
      const value = row[i] ?? 0;
      if (value > 0) samples.push({ value, labels: { route, code_class } });
    });
  }
  return samples;
}

/** What the counters of stages count, by their name. */
const STAGE_HELP: Readonly<Record<string, string>> = {
  authentication: 'Requests by what authentication made of them.',
  authorization: 'Requests by the rule that decided about them, or the default.',
  authorization_errors: 'CEL expressions of authorization rules that failed on a request.',
  breaker_rejections:
    'Requests that a circuit breaker of the backend, or those of all its endpoints, answered with 503.',
  breaker_transitions: 'Changes of state of circuit breakers, by the new state.',
  credential_reads: 'Look-ups in the credential store, by outcome.',
  tls_passthrough: 'Connections passed through to a backend, by how they ended.',
  tls_handshakes: 'Connections to the TLS port by how their handshake ended, and the version.',
  fallbacks: 'Requests that went to a fallback, by what happened before.',
  faults: 'Faults injected by a policy.',
  endpoint_ejections: 'Endpoints ejected as outliers, by the detector that found them.',
  endpoint_ejections_spared: 'Outliers that stayed, as many as may be were ejected already.',
  limit_evictions: 'Keys of rate limits that were given up while they still counted: more than TIDEGATE_LIMIT_KEYS.',
  mirrored: 'Copies of requests, by what became of them.',
  rate_limit: 'Requests by what each rate limit made of them.',
  shed: 'Requests turned away because not all could be served.',
  retries: 'Retries and hedges by backend, what they were for, and what became of them.',
  retry_budget_exhausted: 'Retries and hedges that were wanted and that the budget of the backend had no room for.',
  upstream_tls_errors: 'TLS handshakes with endpoints that failed, by backend and reason.',
  redis_commands: 'What was asked of Redis, by outcome.',
};

/** Nothing where nothing uses it. */
function redisMetrics(answers: readonly boolean[]): Described[] {
  if (answers.length === 0) return [];
  const all = answers.every((answer) => answer) ? 1 : 0;
  return [gauge('tidegate_redis_up', 'Whether Redis answers every worker that uses it.', all)];
}

/** Nothing where no backend has a name. */
function dnsMetrics({ found, none, failed, names, staleMs }: MetricsInput['dns']): Described[] {
  if (names + found + none + failed === 0) return [];
  return [
    gauge('tidegate_dns_names', 'DNS names of backends that are followed.', names),
    counter('tidegate_dns_resolutions_total', 'Look-ups of DNS names, by result.', [
      { value: found, labels: { result: 'found' } },
      { value: none, labels: { result: 'none' } },
      { value: failed, labels: { result: 'failed' } },
    ]),
    gauge(
      'tidegate_dns_stale_seconds',
      'Since the oldest DNS answer that is still used expired; 0 where all are fresh.',
      staleMs / 1000,
    ),
  ];
}

function stageMetrics(samples: readonly StageSample[]): Described[] {
  const byName = new Map<string, Sample[]>();
  for (const { name, labels, value } of samples) {
    const values = byName.get(name) ?? [];
    byName.set(name, values);
    values.push({ labels, value });
  }
  return Array.from(byName, ([name, values]) =>
    counter(`tidegate_${name}_total`, STAGE_HELP[name] ?? 'Counted by a stage of the pipeline.', values),
  );
}

/** Nothing where no host has a certificate; beyond the bound those that end last are left out. */
function certificateMetrics({ certificates, nowMs, maxBackends }: MetricsInput): Described[] {
  if (certificates.length === 0) return [];
  const soonest = [...certificates].sort((a, b) => a.notAfterMs - b.notAfterMs).slice(0, maxBackends);
  const values = soonest.map(({ id, notAfterMs }) => ({
    value: Math.round((notAfterMs - nowMs) / 1000),
    labels: { route: id.slice('tls/'.length) },
  }));
  return [
    {
      ...gauge('tidegate_tls_certificate_expiry_seconds', 'Until the certificate of a Route ends; below 0: it has.', 0),
      values,
    },
  ];
}

/** Nothing where there are no gRPC calls. */
function grpcMetrics({ grpc }: SeriesImage): Described[] {
  const samples: Sample[] = [];
  for (const [route, row] of grpc) {
    row.forEach((value, status) => {
      if (value > 0) samples.push({ value, labels: { route, grpc_status: String(status) } });
    });
  }
  if (samples.length === 0) return [];
  return [counter('tidegate_grpc_responses_total', 'gRPC calls by route and the status the client was told.', samples)];
}

function durationSamples({ routes }: SeriesImage): Sample[] {
  return Array.from(routes, ([route, row]) => ({ value: durationSumMs(row) / 1000, labels: { route } }));
}

function codeSamples({ codes }: SeriesImage): Sample[] {
  return Array.from(codes, ([code, value]) => ({ value, labels: { code } }));
}

function connectErrors({ codes }: SeriesImage): number {
  return (codes.get('upstream-connect-failed') ?? 0) + (codes.get('upstream-connect-timeout') ?? 0);
}

function histogram(name: string, help: string, counts: Float64Array, sumMs: number): Described {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const cumulative = cumulativeCounts(counts, BOUNDS_MS);
  const metricName = `${name}_bucket`;
  const values: Sample[] = BOUNDS_MS.map((bound, i) => ({
    value: cumulative[i] as number,
    labels: { le: String(bound / 1000) },
    metricName,
  }));
  values.push({ value: total, labels: { le: '+Inf' }, metricName });
  values.push({ value: sumMs / 1000, labels: {}, metricName: `${name}_sum` });
  values.push({ value: total, labels: {}, metricName: `${name}_count` });
  return { name, type: 'histogram', help, values };
}
