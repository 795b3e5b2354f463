/** Each backend's endpoints for /debug/config: figures summed over the workers, with what health checks say. Pure. */
import type { WorkerEndpoint } from '../worker/messages.ts';
import type { EndpointStateName } from './endpoint-states.ts';
import type { CheckedEndpoint } from './health/checker.ts';

type BreakerState = NonNullable<WorkerEndpoint['breaker']>;

export interface DescribedEndpoint {
  /** `address:port` */
  readonly name: string;
  readonly state: EndpointStateName;
  readonly weight: number;
  /** Attempts at it. */
  readonly active: number;
  readonly connections: number;
  /** The part of the backend's requests that it gets, of 1: the mean of the workers. */
  readonly share: number;
  /** Of the worker to which it seems slowest; only with peakEwma. */
  readonly latencyMs?: number;
  /** Workers that send nothing to it, by why; absent where none does. */
  readonly blockedBy?: Readonly<Partial<Record<WorkerEndpoint['blocked'][number], number>>>;
  /** Workers by what their breaker of it is; absent: it has none. */
  readonly breakers?: Readonly<Partial<Record<BreakerState, number>>>;
  /** Ejections in a row, and ms until it is back: of the worker that has most. Absent: no outlier ejection; not ejected. */
  readonly ejections?: number;
  readonly ejectedForMs?: number;
  /** Why the last TLS handshake of a worker with it failed; absent: none did. */
  readonly tlsError?: string;
  /** Absent: it is not checked. */
  readonly check?: CheckedEndpoint;
}

export function describeEndpoints(
  states: ReadonlyMap<string, EndpointStateName>,
  workers: readonly (readonly WorkerEndpoint[])[],
  checks: ReadonlyMap<string, CheckedEndpoint> | null,
): DescribedEndpoint[] {
  const seen = new Map<string, WorkerEndpoint[]>();
  for (const endpoint of workers.flat()) {
    const same = seen.get(endpoint.name);
    if (same === undefined) seen.set(endpoint.name, [endpoint]);
    else same.push(endpoint);
  }
  return Array.from(states, ([name, state]) => {
    const same = seen.get(name) ?? [];
    const sum = (of: (one: WorkerEndpoint) => number): number => same.reduce((total, one) => total + of(one), 0);
    const blockedBy: Partial<Record<WorkerEndpoint['blocked'][number], number>> = {};
    for (const why of same.flatMap(({ blocked }) => blocked)) blockedBy[why] = (blockedBy[why] ?? 0) + 1;
    const breakers: Partial<Record<BreakerState, number>> = {};
    for (const { breaker } of same) if (breaker !== undefined) breakers[breaker] = (breakers[breaker] ?? 0) + 1;
    const ejections = most(same, ({ ejections: own }) => own);
    const ejectedForMs = most(same, ({ ejectedForMs: own }) => own);
    const tlsError = same.find((one) => one.tlsError !== undefined)?.tlsError;
    const check = checks?.get(name);
    const latencyMs = most(same, ({ latencyMs: own }) => own);
    return {
      name,
      state,
      weight: same[0]?.weight ?? 0,
      active: sum(({ active }) => active),
      connections: sum(({ connections }) => connections),
      share: Number((sum(({ share }) => share) / Math.max(1, same.length)).toFixed(4)),
      ...(latencyMs === undefined ? {} : { latencyMs }),
      ...(Object.keys(blockedBy).length === 0 ? {} : { blockedBy }),
      ...(Object.keys(breakers).length === 0 ? {} : { breakers }),
      ...(ejections === undefined ? {} : { ejections }),
      ...(ejectedForMs === undefined ? {} : { ejectedForMs }),
      ...(tlsError === undefined ? {} : { tlsError }),
      ...(check === undefined ? {} : { check }),
    };
  });
}

/** Undefined where no worker says it. */
function most(workers: readonly WorkerEndpoint[], of: (one: WorkerEndpoint) => number | undefined): number | undefined {
  const known = workers.flatMap((one) => of(one) ?? []);
  return known.length === 0 ? undefined : Math.max(...known);
}
