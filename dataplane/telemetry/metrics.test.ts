import { expect, test } from 'vitest';
import { LoadMeter, METER_BYTES, readMeters } from './meter.ts';
import { createMetrics, type MetricsInput } from './metrics.ts';
import { Series } from './series.ts';

const buffer = new SharedArrayBuffer(METER_BYTES);
const meter = new LoadMeter(buffer);
const series = new Series(10);
function request(route: string, status: number, ms: number, upstreamMs: number, code = '', grpcStatus = -1): void {
  meter.begin();
  meter.end(status, ms, upstreamMs, 10, 100);
  series.count(route, status, ms, code, grpcStatus);
}
request('shop/a', 200, 1, 0.4);
request('shop/a', 200, 4, 3);
request('shop/"b"\n', 503, 300, -1, 'upstream-connect-failed');
request('shop/a', 0, 70_000, 60_000, 'client-closed', 1);
meter.begin();

const input: MetricsInput = {
  reading: readMeters([buffer]),
  series: series.image(),
  stages: [{ name: 'authentication', labels: { policy: 'shop/keys', outcome: 'refused' }, value: 2 }],
  gauges: {
    connections: 3,
    upstreamConnections: 2,
    upstreamPending: 0,
    streams: { upgrade: 2, events: 1, grpc: 0 },
    workerHeapUsedBytes: 1000,
    eventLoopDelayMs: 120,
    sheddingLevel: 0.5,
  },
  counters: { refused: 5, overflow: 0 },
  eventLoopUtilisation: 0.25,
  state: {
    ready: true,
    connected: false,
    revision: 'abc',
    origin: 'last-good',
    resources: 7,
    rejected: 1,
    staleMs: 1500,
    lastApplyMs: 2.5,
    appliedAtMs: 1000,
    lastGoodSavedAtMs: 0,
    lastGoodFailures: 0,
    workers: 2,
    workersListening: 1,
    workerRestarts: 4,
    limitShare: { of: 3 },
  },
  backends: [
    {
      backend: 'shop/api',
      states: { healthy: 2, unhealthy: 1, ejected: 0, open: 1 },
      checked: new Map([
        ['10.0.0.1:80', true],
        ['10.0.0.2:80', false],
      ]),
      checks: new Map([
        ['success', 7],
        ['timeout', 3],
      ]),
    },
    {
      backend: 'shop/b',
      states: { healthy: 1, unhealthy: 0, ejected: 0, open: 0 },
      checked: new Map(),
      checks: new Map(),
    },
    {
      backend: 'shop/c',
      states: { healthy: 0, unhealthy: 0, ejected: 4, open: 0 },
      checked: new Map(),
      checks: new Map(),
    },
  ],
  maxBackends: 1,
  logDropped: 0,
  dns: { found: 5, none: 1, failed: 2, names: 3, staleMs: 1500 },
  redis: [true, false],
  certificates: [],
  version: '9.9.9',
  nowMs: 61_000,
};

/** Samples by name and labels; every sample's family must have been described before it. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const families = new Set<string>();
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (type !== null) {
      expect(families).not.toContain(type[1]);
      families.add(type[1] as string);
    } else if (line !== '' && !line.startsWith('# HELP ')) {
      const sample = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line);
      if (sample === null) throw new Error(`no sample: ${line}`);
      const [, name = '', labels = '', value] = sample;
      expect([...families].some((f) => name === f || name.replace(/_(bucket|sum|count)$/, '') === f)).toBe(true);
      expect(samples).not.toContain(name + labels);
      samples.set(name + labels, Number(value));
    }
  }
  return samples;
}

test('what is scraped is valid and says what was counted', async () => {
  const metrics = createMetrics(async () => input);
  const samples = parse(await metrics.text());
  const expected: Record<string, number> = {
    'tidegate_requests_total{route="shop/a",code_class="2xx"}': 2,
    'tidegate_requests_total{route="shop/a",code_class="aborted"}': 1,
    'tidegate_requests_total{route="shop/\\"b\\"\\n",code_class="5xx"}': 1,
    'tidegate_route_duration_seconds_total{route="shop/a"}': 70.005,
    'tidegate_responses_by_code_total{code="upstream-connect-failed"}': 1,
    tidegate_upstream_connect_errors_total: 1,
    tidegate_limit_sharers: 3,
    'tidegate_request_duration_seconds_bucket{le="0.0005"}': 0,
    'tidegate_request_duration_seconds_bucket{le="0.001"}': 1,
    'tidegate_request_duration_seconds_bucket{le="0.005"}': 2,
    'tidegate_request_duration_seconds_bucket{le="0.25"}': 2,
    'tidegate_request_duration_seconds_bucket{le="0.5"}': 3,
    'tidegate_request_duration_seconds_bucket{le="60"}': 3,
    'tidegate_request_duration_seconds_bucket{le="+Inf"}': 4,
    tidegate_request_duration_seconds_count: 4,
    tidegate_request_duration_seconds_sum: 70.305,
    'tidegate_upstream_duration_seconds_bucket{le="60"}': 3,
    tidegate_upstream_duration_seconds_count: 3,
    tidegate_requests_in_flight: 1,
    tidegate_response_body_bytes_total: 400,
    'tidegate_snapshot_info{revision="abc",origin="last-good"}': 1,
    tidegate_snapshot_age_seconds: 60,
    tidegate_snapshot_stale_seconds: 1.5,
    tidegate_last_good_age_seconds: 0,
    tidegate_worker_restarts_total: 4,
    tidegate_redis_up: 0,
    'tidegate_backend_endpoints{backend="shop/api",state="healthy"}': 2,
    'tidegate_backend_endpoints{backend="shop/api",state="unhealthy"}': 1,
    'tidegate_backend_endpoints{backend="_other",state="healthy"}': 1,
    'tidegate_backend_endpoints{backend="_other",state="ejected"}': 4,
    'tidegate_endpoint_healthy{backend="shop/api",endpoint="10.0.0.1:80"}': 1,
    'tidegate_endpoint_healthy{backend="shop/api",endpoint="10.0.0.2:80"}': 0,
    'tidegate_health_checks_total{backend="shop/api",result="success"}': 7,
    'tidegate_health_checks_total{backend="shop/api",result="timeout"}': 3,
    tidegate_dns_names: 3,
    'tidegate_dns_resolutions_total{result="failed"}': 2,
    tidegate_dns_stale_seconds: 1.5,
    'tidegate_build_info{version="9.9.9"}': 1,
  };
  expect(Object.fromEntries(Object.keys(expected).map((name) => [name, samples.get(name)]))).toEqual(expected);
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(0);
  // A second scrape finds the same families, not more.
  expect([...parse(await metrics.text()).keys()].filter((name) => name.startsWith('tidegate_'))).toEqual(
    [...samples.keys()].filter((name) => name.startsWith('tidegate_')),
  );
});
