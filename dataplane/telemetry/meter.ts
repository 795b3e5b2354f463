/**
 * What a worker counts for everybody to read: one block of shared memory a worker, written by it alone and read by the supervisor
 * without a message. 64-bit values are written whole, so a reader sees each one old or new, never torn. The block outlives a worker
 * that died: totals go on, only what is open starts again from zero.
 */
import { bucketOf, HISTOGRAM_BUCKETS } from './histogram.ts';

const IN_FLIGHT = 0;
const REQUESTS = 1;
const DURATION_SUM_MS = 2;
const UPSTREAM_SUM_MS = 3;
const BYTES_IN = 4;
const BYTES_OUT = 5;
/** 0: broken off without a status, 1 to 5: 1xx to 5xx. */
const CLASSES = 8;
const DURATION = 16;
const UPSTREAM = DURATION + HISTOGRAM_BUCKETS;
const SLOTS = UPSTREAM + HISTOGRAM_BUCKETS;

export const METER_BYTES = SLOTS * Float64Array.BYTES_PER_ELEMENT;
export const CLASS_COUNT = 6;

/** The hundreds digit of a status; 0 where it is none. */
export function classOf(status: number): number {
  return status >= 100 && status < 600 ? (status / 100) | 0 : 0;
}

/** The worker's side. */
export class LoadMeter {
  readonly #slots: Float64Array;

  /** `buffer` of METER_BYTES. Whatever a former worker had open is gone. */
  constructor(buffer: SharedArrayBuffer) {
    this.#slots = new Float64Array(buffer);
    this.#slots[IN_FLIGHT] = 0;
  }

  /** An exchange began. */
  begin(): void {
    (this.#slots[IN_FLIGHT] as number)++;
  }

  /** It ended; each `begin` has exactly one `end`. `upstreamMs` is -1 where nothing was sent to a backend. */
  end(status: number, durationMs: number, upstreamMs: number, bytesIn: number, bytesOut: number): void {
    const slots = this.#slots;
    (slots[IN_FLIGHT] as number)--;
    (slots[REQUESTS] as number)++;
    (slots[CLASSES + classOf(status)] as number)++;
    (slots[DURATION_SUM_MS] as number) += durationMs;
    (slots[BYTES_IN] as number) += bytesIn;
    (slots[BYTES_OUT] as number) += bytesOut;
    (slots[DURATION + bucketOf(durationMs)] as number)++;
    if (upstreamMs >= 0) {
      (slots[UPSTREAM_SUM_MS] as number) += upstreamMs;
      (slots[UPSTREAM + bucketOf(upstreamMs)] as number)++;
    }
  }
}

/** The sum over several workers at one moment. */
export interface MeterReading {
  inFlight: number;
  requests: number;
  /** By class, see `classOf`. */
  classes: Float64Array;
  durationSumMs: number;
  /** Counts by bucket (histogram.ts). */
  duration: Float64Array;
  upstreamSumMs: number;
  upstream: Float64Array;
  bytesIn: number;
  bytesOut: number;
}

export function readMeters(buffers: Iterable<SharedArrayBuffer>): MeterReading {
  const sum = new Float64Array(SLOTS);
  for (const buffer of buffers) {
    const slots = new Float64Array(buffer);
    for (let i = 0; i < SLOTS; i++) (sum[i] as number) += slots[i] as number;
  }
  const at = (slot: number): number => sum[slot] as number;
  return {
    inFlight: at(IN_FLIGHT),
    requests: at(REQUESTS),
    classes: sum.subarray(CLASSES, CLASSES + CLASS_COUNT),
    durationSumMs: at(DURATION_SUM_MS),
    duration: sum.subarray(DURATION, DURATION + HISTOGRAM_BUCKETS),
    upstreamSumMs: at(UPSTREAM_SUM_MS),
    upstream: sum.subarray(UPSTREAM, UPSTREAM + HISTOGRAM_BUCKETS),
    bytesIn: at(BYTES_IN),
    bytesOut: at(BYTES_OUT),
  };
}
