import type { ActiveHealth } from '@tidegate/dataplane/snapshot/backend/health';
import { durationMs } from '../../api/duration.ts';
import { type ActiveHealthSpec, STATUS_RANGE } from '../../api/v1alpha1/backend/active-health.ts';

export function compileActiveHealth(spec: ActiveHealthSpec): ActiveHealth {
  return {
    probe: compileProbe(spec),
    ...(spec.port === undefined ? {} : { port: spec.port }),
    intervalMs: durationMs(spec.interval ?? '5s'),
    jitterPercent: spec.jitterPercent ?? 20,
    timeoutMs: durationMs(spec.timeout ?? '1s'),
    healthyThreshold: spec.healthyThreshold ?? 2,
    unhealthyThreshold: spec.unhealthyThreshold ?? 3,
  };
}

function compileProbe({ http, grpc }: ActiveHealthSpec): ActiveHealth['probe'] {
  if (grpc !== undefined) return { kind: 'grpc', service: grpc.service ?? '' };
  if (http === undefined) return { kind: 'tcp' };
  return {
    kind: 'http',
    method: http.method ?? 'GET',
    path: http.path ?? '/',
    ...(http.host === undefined ? {} : { host: http.host }),
    headers: (http.headers ?? []).map(({ name, value }) => ({ name: name.toLowerCase(), value })),
    statuses: (http.statuses ?? ['200-299']).map(compileStatuses),
  };
}

function compileStatuses(text: string): { from: number; to: number } {
  const [, from, to] = STATUS_RANGE.exec(text) ?? [];
  return { from: Number(from), to: Number(to ?? from) };
}
