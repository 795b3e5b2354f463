/** `adaptive`: as many attempts under way to a backend as its latency allows. */
import type { TimerWheel } from '../../io/wheel.ts';
import type { Attempt, AttemptFailure, Gate } from '../watcher.ts';
import { Gradient, type GradientOptions } from './gradient.ts';

export class AdaptiveLimit implements Gate {
  readonly code = 'upstream-overflow';
  readonly retryAfterS = 1;
  readonly settings: GradientOptions;
  inFlight: number;
  private readonly gradient: Gradient;
  private readonly wheel: Pick<TimerWheel, 'now'>;

  /** `inFlight`: those under way already; their ends will be told. */
  constructor(settings: GradientOptions, inFlight: number, wheel: Pick<TimerWheel, 'now'>) {
    this.settings = settings;
    this.wheel = wheel;
    this.inFlight = inFlight;
    this.gradient = new Gradient(settings);
  }

  get limit(): number {
    return this.gradient.limit;
  }

  admits(): boolean {
    if (this.inFlight >= this.gradient.limit) return false;
    this.inFlight++;
    return true;
  }

  withdraw(): void {
    this.inFlight--;
  }

  /** An error says nothing of the load: it may come at once. */
  answered(status: number, latencyMs: number, attempt: Attempt): void {
    if (status < 500) this.gradient.sample(attempt.chosenAtMs + latencyMs, latencyMs);
  }

  failed(failure: AttemptFailure): void {
    if (failure === 'timeout' || failure === 'connect-timeout') this.gradient.drop(this.wheel.now());
  }

  left(): void {
    this.inFlight--;
  }
}
