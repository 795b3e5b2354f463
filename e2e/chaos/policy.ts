/** What the gateway is given: two Routes to the same endpoints, one without and one with everything (JSON is YAML too). */
import { HEALTH_PATH } from './backend-terms.ts';

export const PLAIN = 'plain';
export const GUARDED = 'guarded';

interface Host {
  readonly address: string;
  readonly port: number;
}

/** Parts of the policy by name, so that a run can leave some out. */
export const PARTS = ['balancing', 'active', 'passive', 'breaker', 'retry'] as const;
export type Part = (typeof PARTS)[number];

const active = {
  http: { path: HEALTH_PATH, statuses: ['200'] },
  interval: '250ms',
  timeout: '200ms',
  healthyThreshold: 1,
  unhealthyThreshold: 2,
};
const passive = {
  consecutiveErrors: 5,
  consecutiveConnectErrors: 2,
  latency: { minRequests: 20, factorPercent: 500 },
  interval: '1s',
  baseEjection: '1s',
  maxEjection: '4s',
  maxEjectedPercent: 50,
};
const breaker = {
  endpoint: {
    ...{ errorThresholdPercentage: 50, volumeThreshold: 10, rollingCountTimeout: '2s', rollingCountBuckets: 10 },
    ...{ resetTimeout: '1s', halfOpenRequests: 2 },
  },
};
const retry = {
  attempts: 3,
  perTryTimeout: '400ms',
  retryOn: ['connect', 'reset', 'timeout', 'status'],
  statuses: [502, 503, 504],
  budget: { percent: 20, minPerSecond: 3 },
  backoff: { base: '10ms', max: '100ms' },
};

/** `backend.yaml`-like texts by file name. */
export function objects(backends: readonly Host[], parts: readonly Part[]): Record<string, string> {
  const hosts = backends.map(({ address, port }) => ({ address, port }));
  const has = (part: Part) => parts.includes(part);
  const health = { ...(has('active') && { active }), ...(has('passive') && { passive }) };
  const guarded = {
    timeouts: { connect: '250ms' },
    ...(has('balancing') && { balancing: { algorithm: 'peakEwma' } }),
    ...(Object.keys(health).length > 0 && { health }),
    ...(has('breaker') && { breaker }),
  };
  return {
    'plain.yaml': documents(object('Backend', PLAIN, { hosts }), route(PLAIN)),
    'guarded.yaml': documents(
      object('Backend', GUARDED, { hosts, ...guarded }),
      route(GUARDED),
      ...(has('retry') ? [object('Policy', GUARDED, { targetRefs: [{ kind: 'Route', name: GUARDED }], retry })] : []),
    ),
  };
}

function route(name: string): object {
  const rule = { name: 'all', matches: [{ path: { prefix: pathOf(name) } }], backends: [{ name }] };
  return object('Route', name, { rules: [rule] });
}

function object(kind: string, name: string, spec: object): object {
  return { apiVersion: 'tidegate.dev/v1alpha1', kind, metadata: { name, namespace: 'chaos' }, spec };
}

function documents(...all: readonly object[]): string {
  return all.map((document) => `${JSON.stringify(document, undefined, 2)}\n`).join('---\n');
}

export function pathOf(name: string): string {
  return `/${name}`;
}

/** For the report's head. */
export function summary(parts: readonly Part[]): string {
  const about: Readonly<Record<Part, string>> = {
    balancing: 'peakEwma',
    active: `probes each ${active.interval}`,
    passive: `ejection after ${passive.consecutiveErrors} errors for ${passive.baseEjection}`,
    breaker: `breakers at ${breaker.endpoint.errorThresholdPercentage} %`,
    retry: `${retry.attempts} retries within ${retry.perTryTimeout} each, budget ${retry.budget.percent} %`,
  };
  return parts.map((part) => about[part]).join('; ');
}
