/**
 * Passive outlier ejection of one backend, after Envoy's: consecutive errors act at once, shares and latencies once an interval. One
 * timer a backend, armed only while there is something to judge or somebody to readmit.
 */
import { Timer, type TimerOwner, type TimerWheel } from '../../io/wheel.ts';
import type { PassiveHealth } from '../../snapshot/backend/health.ts';
import { EndpointRecord } from './endpoint-record.ts';
import { ejectable, ejectionMs, lowSuccess, slow } from './judge.ts';

/** Why an endpoint was ejected: the setting that did it. */
export type EjectionReason = 'consecutiveErrors' | 'consecutiveConnectErrors' | 'successRate' | 'latency';

export interface DetectorOptions {
  readonly settings: PassiveHealth;
  readonly wheel: Pick<TimerWheel, 'now' | 'arm' | 'drop'>;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** `forMs`: how long. */
  readonly onEjected: (record: EndpointRecord, reason: EjectionReason, forMs: number) => void;
  readonly onReadmitted: (record: EndpointRecord) => void;
  /** It stood out, and as many as may be are ejected already. */
  readonly onSpared: (record: EndpointRecord, reason: EjectionReason) => void;
}

export class OutlierDetector implements TimerOwner {
  readonly settings: PassiveHealth;
  private readonly options: DetectorOptions;
  private readonly records = new Set<EndpointRecord>();
  private readonly timer: Timer = new Timer(this);
  /** Of the records. */
  private ejected = 0;
  /** Whether anything is judged by the interval. */
  private readonly judges: boolean;
  /** End of the running interval; 0: there is none. */
  private endsMs = 0;

  constructor(options: DetectorOptions) {
    this.options = options;
    this.settings = options.settings;
    this.judges = options.settings.successRate !== undefined || options.settings.latency !== undefined;
  }

  /** The record of an endpoint that came. `block` takes it out of the choice, or puts it back. */
  create(name: string, block: (ejected: boolean) => void): EndpointRecord {
    const record = new EndpointRecord(name, this, block);
    this.records.add(record);
    return record;
  }

  /** The endpoint is gone. */
  forget(record: EndpointRecord): void {
    if (this.records.delete(record) && record.ejected) this.ejected--;
    record.gone = true;
  }

  now(): number {
    return this.options.wheel.now();
  }

  get running(): boolean {
    return this.endsMs > 0;
  }

  /** Begins an interval where none runs and one is needed. */
  touch(): void {
    if (this.endsMs > 0 || !this.judges) return;
    this.begin(this.now());
    this.arm();
  }

  eject(record: EndpointRecord, reason: EjectionReason): void {
    const { settings, options } = this;
    if (record.gone || record.ejected) return;
    if (this.ejected >= ejectable(this.records.size, settings.maxEjectedPercent)) {
      options.onSpared(record, reason);
      return;
    }
    const nowMs = this.now();
    // More would not make it longer, and take longer to shrink.
    if (record.ejections * settings.baseEjectionMs < settings.maxEjectionMs) record.ejections++;
    const forMs = ejectionMs(record.ejections, settings, options.random());
    this.ejected++;
    record.eject(nowMs + forMs);
    if (this.endsMs === 0) this.begin(nowMs);
    this.arm();
    options.onEjected(record, reason, forMs);
  }

  onTimeout(): void {
    const nowMs = this.now();
    for (const record of this.records) {
      if (!record.ejected || record.untilMs > nowMs) continue;
      this.ejected--;
      record.readmit(nowMs);
      this.options.onReadmitted(record);
    }
    if (this.endsMs > 0 && nowMs >= this.endsMs) this.evaluate(nowMs);
    this.arm();
  }

  close(): void {
    this.options.wheel.drop(this.timer);
    for (const record of this.records) record.gone = true;
    this.records.clear();
    this.ejected = 0;
  }

  private begin(nowMs: number): void {
    this.endsMs = nowMs + this.settings.intervalMs;
  }

  private evaluate(nowMs: number): void {
    const { successRate, latency, intervalMs } = this.settings;
    const serving = [...this.records].filter(({ ejected }) => !ejected);
    if (successRate !== undefined) for (const one of lowSuccess(serving, successRate)) this.eject(one, 'successRate');
    if (latency !== undefined) for (const one of slow(serving, latency)) this.eject(one, 'latency');
    let needed = false;
    for (const record of this.records) {
      // An interval in its place makes the next ejection shorter.
      if (!record.ejected && record.ejections > 0 && nowMs - record.readmittedAtMs >= intervalMs) record.ejections--;
      needed ||= record.ejections > 0 || record.seen.requests > 0;
      record.restart();
    }
    this.endsMs = needed ? nowMs + intervalMs : 0;
  }

  private arm(): void {
    let nextMs = this.endsMs === 0 ? Number.POSITIVE_INFINITY : this.endsMs;
    for (const { ejected, untilMs } of this.records) if (ejected && untilMs < nextMs) nextMs = untilMs;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    const nowMs = this.now();
    this.options.wheel.arm(this.timer, Math.max(1, nextMs - nowMs), nowMs);
  }
}
