/**
 * What is known of the endpoints of backends, as metrics. Bounded: `maxBackends` have a label of their own, the others count as
 * `_other`; MAX_ENDPOINTS have one each, those that are not healthy first.
 */
import { counter, type Described, type Sample } from './exposition.ts';

export const OTHER_BACKEND = '_other';
const MAX_ENDPOINTS = 1_000;
const STATES = ['healthy', 'unhealthy', 'ejected', 'open'] as const;

export interface BackendSample {
  /** `<namespace>/<name>` */
  readonly backend: string;
  /** Number of endpoints in each state. */
  readonly states: Readonly<Record<(typeof STATES)[number], number>>;
  /** By endpoint, `address:port`, of one whose health is checked. */
  readonly checked: ReadonlyMap<string, boolean>;
  /** Health checks by result. */
  readonly checks: ReadonlyMap<string, number>;
}

/** `backends` by name: which of them have a label must not change from one scrape to the next. Nothing where there are none. */
export function backendMetrics(backends: readonly BackendSample[], maxBackends: number): Described[] {
  if (backends.length === 0) return [];
  const states = new Map<string, number[]>();
  const checks = new Map<string, Map<string, number>>();
  const endpoints: Sample[] = [];
  for (const [i, sample] of backends.entries()) {
    const backend = i < maxBackends ? sample.backend : OTHER_BACKEND;
    const counts = states.get(backend) ?? STATES.map(() => 0);
    states.set(backend, counts);
    for (const [at, state] of STATES.entries()) (counts[at] as number) += sample.states[state];
    for (const [result, count] of sample.checks) {
      const results = checks.get(backend) ?? new Map<string, number>();
      checks.set(backend, results);
      results.set(result, (results.get(result) ?? 0) + count);
    }
    for (const [endpoint, healthy] of sample.checked) {
      endpoints.push({ value: healthy ? 1 : 0, labels: { backend: sample.backend, endpoint } });
    }
  }
  const shown = endpoints.length <= MAX_ENDPOINTS ? endpoints : [...endpoints].sort((a, b) => a.value - b.value);
  return [
    {
      name: 'tidegate_backend_endpoints',
      type: 'gauge',
      help: 'Endpoints by state: unhealthy by health checks, else ejected or with an open breaker for some worker, else healthy.',
      values: [...states].flatMap(([backend, counts]) =>
        STATES.map((state, at) => ({ value: counts[at] as number, labels: { backend, state } })),
      ),
    },
    {
      name: 'tidegate_endpoint_healthy',
      type: 'gauge',
      help: 'What active health checks say of an endpoint: 1 healthy, 0 not.',
      values: shown.slice(0, MAX_ENDPOINTS),
    },
    counter(
      'tidegate_health_checks_total',
      'Active health checks by result.',
      [...checks].flatMap(([backend, results]) =>
        Array.from(results, ([result, value]) => ({ value, labels: { backend, result } })),
      ),
    ),
  ];
}
