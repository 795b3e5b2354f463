/** The load report's figures: the difference of two readings of the meters. Pure. */
import { HISTOGRAM_BUCKETS, quantileMs } from './histogram.ts';
import type { MeterReading } from './meter.ts';

export interface LoadFigures {
  readonly inFlight: number;
  readonly requestsTotal: number;
  readonly requestsPerSecond: number;
  /** Of requests that ended in the interval; 0 where none did. */
  readonly p99Ms: number;
}

/** `elapsedMs` > 0 between the readings. */
export function loadBetween(before: MeterReading, after: MeterReading, elapsedMs: number): LoadFigures {
  const done = Math.max(0, after.requests - before.requests);
  return {
    inFlight: Math.max(0, after.inFlight),
    requestsTotal: after.requests,
    requestsPerSecond: elapsedMs > 0 ? (done * 1000) / elapsedMs : 0,
    p99Ms:
      done === 0
        ? 0
        : quantileMs(
            after.duration.map((count, i) => count - (before.duration[i] as number)),
            0.99,
          ),
  };
}

/** A reading of nothing, to start from. */
export function emptyReading(): MeterReading {
  const counts = (): Float64Array => new Float64Array(HISTOGRAM_BUCKETS);
  return {
    inFlight: 0,
    requests: 0,
    classes: new Float64Array(6),
    durationSumMs: 0,
    duration: counts(),
    upstreamSumMs: 0,
    upstream: counts(),
    bytesIn: 0,
    bytesOut: 0,
  };
}
