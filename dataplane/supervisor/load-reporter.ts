/** The figures of the load report, taken from the workers' meters once an interval. */
import { emptyReading, type LoadFigures, loadBetween } from '../telemetry/load.ts';
import { type MeterReading, readMeters } from '../telemetry/meter.ts';
import type { WorkerPool } from './pool.ts';

export interface ReportedLoad extends LoadFigures {
  /** 0 to 1, the busiest worker. */
  readonly eventLoopUtilisation: number;
}

export class LoadReporter {
  readonly #pool: WorkerPool;
  readonly #intervalMs: number;
  #reading: MeterReading = emptyReading();
  #readAtMs = performance.now();
  #load: ReportedLoad = { inFlight: 0, requestsTotal: 0, requestsPerSecond: 0, p99Ms: 0, eventLoopUtilisation: 0 };

  constructor(pool: WorkerPool, intervalMs: number) {
    this.#pool = pool;
    this.#intervalMs = intervalMs;
  }

  /** As last taken. */
  get load(): ReportedLoad {
    return this.#load;
  }

  /** The figures since the last time; shortly after it, those of that time again: a few milliseconds are no interval. */
  take(): ReportedLoad {
    const now = performance.now();
    const elapsedMs = now - this.#readAtMs;
    if (elapsedMs < this.#intervalMs / 2) return this.#load;
    const reading = readMeters(this.#pool.meters);
    this.#load = {
      ...loadBetween(this.#reading, reading, elapsedMs),
      eventLoopUtilisation: this.#pool.eventLoopUtilisation(),
    };
    this.#reading = reading;
    this.#readAtMs = now;
    return this.#load;
  }
}
