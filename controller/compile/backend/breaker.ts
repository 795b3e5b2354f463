import type { Breaker, Circuit } from '@tidegate/dataplane/snapshot/backend/breaker';
import { durationMs } from '../../api/duration.ts';
import type { BreakerSpec, CircuitSpec } from '../../api/v1alpha1/backend/breaker.ts';

export function compileBreaker({ endpoint, backend }: BreakerSpec): Breaker {
  return {
    ...(endpoint === undefined ? {} : { endpoint: compileCircuit(endpoint) }),
    ...(backend === undefined ? {} : { backend: compileCircuit(backend) }),
  };
}

function compileCircuit(spec: CircuitSpec): Circuit {
  return {
    errorThresholdPercentage: spec.errorThresholdPercentage ?? 50,
    volumeThreshold: spec.volumeThreshold ?? 20,
    rollingCountTimeoutMs: durationMs(spec.rollingCountTimeout ?? '10s'),
    rollingCountBuckets: spec.rollingCountBuckets ?? 10,
    ...(spec.consecutiveFailures === undefined ? {} : { consecutiveFailures: spec.consecutiveFailures }),
    ...(spec.slowCallDuration === undefined
      ? {}
      : {
          slowCallDurationMs: durationMs(spec.slowCallDuration),
          slowCallThresholdPercentage: spec.slowCallThresholdPercentage ?? 50,
        }),
    resetTimeoutMs: durationMs(spec.resetTimeout ?? '30s'),
    halfOpenRequests: spec.halfOpenRequests ?? 3,
  };
}
