/** Tidegate with resilience, in parts. Everything else as in peers/tidegate.ts: access log and metrics on. */
import type { Peer } from '../peers/peer.ts';
import { backendAt, routeYaml, startTidegate, type Variant } from '../peers/tidegate.ts';
import { CONSECUTIVE, EJECTION_MS, PROBE, RETRIES } from './settings.ts';

export type Algorithm = 'roundRobin' | 'leastRequest' | 'peakEwma';

const ms = (value: number) => `${value}ms`;

const active = {
  ...{ http: { path: PROBE.path }, interval: ms(PROBE.intervalMs), timeout: ms(PROBE.timeoutMs) },
  ...{ unhealthyThreshold: PROBE.unhealthy, healthyThreshold: PROBE.healthy },
};
const passive = {
  ...{ consecutiveErrors: CONSECUTIVE, consecutiveConnectErrors: CONSECUTIVE, interval: '1s' },
  successRate: { minRequests: 100, minEndpoints: 5, stdevFactorPercent: 190 },
  ...{ baseEjection: ms(EJECTION_MS), maxEjection: '10s', maxEjectedPercent: 50 },
};
const circuit = {
  ...{ errorThresholdPercentage: 50, volumeThreshold: 20, rollingCountTimeout: '10s', rollingCountBuckets: 10 },
  ...{ resetTimeout: ms(EJECTION_MS), halfOpenRequests: 3 },
};
const retry = { attempts: RETRIES, perTryTimeout: '1s', retryOn: ['connect', 'reset', 'timeout', 'status'] };
const noRetry = { attempts: 0 };

export interface Parts {
  readonly algorithm: Algorithm;
  /** Health checks, outlier detection, breakers for each endpoint and the backend. */
  readonly guarded?: true;
  /** Absent: what the gateway does without a policy. */
  readonly retry?: 'on' | 'off';
  readonly adminPort?: number;
}

export function tidegatePeer(name: string, about: string, parts: Parts): Peer {
  return { name, about, needs: [], start: (context) => startTidegate(context, variant(parts)) };
}

function variant({ algorithm, guarded, retry: repeats, adminPort }: Parts): Variant {
  const guards = { health: { active, passive }, breaker: { endpoint: circuit, backend: circuit } };
  const spec = { balancing: { algorithm }, ...(guarded && guards) };
  const policy = {
    apiVersion: 'tidegate.dev/v1alpha1',
    kind: 'Policy',
    metadata: { name: 'retry', namespace: 'bench' },
    spec: { targetRefs: [{ kind: 'Route', name: 'all' }], retry: repeats === 'on' ? retry : noRetry },
  };
  return {
    files: ({ endpoints }) => ({
      'gateway.yaml': `${backendAt(endpoints, spec)}---\n${routeYaml('all', '/')}`,
      ...(repeats !== undefined && { 'policy.yaml': `${JSON.stringify(policy)}\n` }),
    }),
    ...(adminPort !== undefined && { adminPort }),
  };
}
