import type { PassiveHealth } from '@tidegate/dataplane/snapshot/backend/health';
import { durationMs } from '../../api/duration.ts';
import type { PassiveHealthSpec } from '../../api/v1alpha1/backend/passive-health.ts';

const DEFAULT_MIN_REQUESTS = 100;
const DEFAULT_MAX_EJECTION_MS = 300_000;

export function compilePassiveHealth(spec: PassiveHealthSpec): PassiveHealth {
  const { consecutiveErrors = 5, consecutiveConnectErrors = 3, successRate, latency } = spec;
  const baseEjectionMs = durationMs(spec.baseEjection ?? '30s');
  return {
    ...(consecutiveErrors === 0 ? {} : { consecutiveErrors }),
    ...(consecutiveConnectErrors === 0 ? {} : { consecutiveConnectErrors }),
    ...(successRate === undefined
      ? {}
      : {
          successRate: {
            minRequests: successRate.minRequests ?? DEFAULT_MIN_REQUESTS,
            minEndpoints: successRate.minEndpoints ?? 5,
            stdevFactorPercent: successRate.stdevFactorPercent ?? 190,
          },
        }),
    ...(latency === undefined
      ? {}
      : {
          latency: {
            minRequests: latency.minRequests ?? DEFAULT_MIN_REQUESTS,
            factorPercent: latency.factorPercent ?? 500,
          },
        }),
    intervalMs: durationMs(spec.interval ?? '5s'),
    baseEjectionMs,
    maxEjectionMs:
      spec.maxEjection === undefined ? Math.max(DEFAULT_MAX_EJECTION_MS, baseEjectionMs) : durationMs(spec.maxEjection),
    maxEjectedPercent: spec.maxEjectedPercent ?? 50,
  };
}
