/** The fleet's load reports as metrics of pods, in the types of custom.metrics.k8s.io/v1beta2. Pure. */
import type { LoadReport } from '@tidegate/dataplane/snapshot/protocol';
import type { FleetMember } from '../push/fleet.ts';

export const GROUP = 'custom.metrics.k8s.io';
export const VERSION = 'v1beta2';

interface PodMetric {
  readonly help: string;
  readonly read: (load: LoadReport) => number;
  /** Seconds the figure is taken over; absent for what holds at a moment. */
  readonly windowSeconds?: number;
}

/** A data plane reports once a second, over the second before. */
const REPORT_SECONDS = 1;

export const POD_METRICS: Readonly<Record<string, PodMetric>> = {
  tidegate_requests_in_flight: { help: 'Requests being served.', read: (load) => load.inFlight },
  tidegate_requests_per_second: {
    help: 'Requests begun a second.',
    read: (load) => load.requestsPerSecond,
    windowSeconds: REPORT_SECONDS,
  },
  tidegate_event_loop_utilisation: {
    help: 'Busy share of the busiest worker, 0 to 1.',
    read: (load) => load.eventLoopUtilisation,
    windowSeconds: REPORT_SECONDS,
  },
  tidegate_request_p99_seconds: {
    help: '99th percentile of the duration of requests.',
    read: (load) => load.p99Ms / 1000,
    windowSeconds: REPORT_SECONDS,
  },
};

export interface MetricValue {
  readonly describedObject: {
    readonly kind: 'Pod';
    readonly namespace: string;
    readonly name: string;
    readonly apiVersion: '/v1';
  };
  readonly metric: { readonly name: string; readonly selector: null };
  /** RFC 3339, when it was measured. */
  readonly timestamp: string;
  readonly windowSeconds?: number;
  readonly value: string;
}

/** Undefined: there is no such metric. Data planes that reported nothing yet have no value, which is not zero. */
export function metricValues(
  metric: string,
  namespace: string,
  members: readonly FleetMember[],
  now: { readonly ms: number; readonly date: Date },
): MetricValue[] | undefined {
  if (!Object.hasOwn(POD_METRICS, metric)) return undefined;
  const { read, windowSeconds } = POD_METRICS[metric] as PodMetric;
  return members.flatMap(({ node, load, lastSeenMs }) => {
    if (load === null) return [];
    const measuredAt = new Date(now.date.getTime() - Math.max(0, now.ms - lastSeenMs));
    return {
      describedObject: { kind: 'Pod' as const, namespace, name: node, apiVersion: '/v1' as const },
      metric: { name: metric, selector: null },
      timestamp: measuredAt.toISOString().replace(/\.\d+Z$/, 'Z'),
      ...(windowSeconds === undefined ? {} : { windowSeconds }),
      value: quantity(read(load)),
    };
  });
}

/** A Kubernetes quantity: whole, or in thousandths, or in millionths where that would lose a small figure. */
export function quantity(value: number): string {
  if (!Number.isFinite(value) || value <= 0) return '0';
  if (Number.isSafeInteger(value)) return String(value);
  if (value < 1) return `${Math.round(value * 1_000_000)}u`;
  return `${Math.round(value * 1000)}m`;
}
