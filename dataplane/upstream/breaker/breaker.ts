/** A circuit as a gate: of one endpoint, which it takes out of the choice while open, or of a whole backend. */
import { Timer, type TimerOwner, type TimerWheel } from '../../io/wheel.ts';
import type { Circuit as CircuitSettings } from '../../snapshot/backend/breaker.ts';
import type { Attempt, AttemptFailure, Gate } from '../watcher.ts';
import { Circuit, type CircuitState } from './circuit.ts';

export interface BreakerOptions {
  readonly settings: CircuitSettings;
  readonly wheel: TimerWheel;
  readonly onState: (state: CircuitState) => void;
  readonly onReject: () => void;
}

export class Breaker implements Gate, TimerOwner {
  readonly code = 'breaker-open';
  readonly settings: CircuitSettings;
  private readonly circuit: Circuit;
  private readonly wheel: TimerWheel;
  private readonly onReject: () => void;
  /** Armed only while open. */
  private readonly timer: Timer = new Timer(this);

  constructor({ settings, wheel, onState, onReject }: BreakerOptions) {
    this.settings = settings;
    this.wheel = wheel;
    this.onReject = onReject;
    this.circuit = new Circuit(settings, (state) => {
      if (state === 'open') wheel.arm(this.timer, settings.resetTimeoutMs);
      else wheel.disarm(this.timer);
      onState(state);
    });
  }

  get state(): CircuitState {
    return this.circuit.state;
  }

  /** At least 1: where half open its probes are soon back. */
  get retryAfterS(): number {
    return Math.max(1, Math.ceil(this.circuit.remainingMs(this.wheel.now()) / 1000));
  }

  admits(): boolean {
    const { circuit } = this;
    if (circuit.state === 'closed') return true;
    if (circuit.admits(this.wheel.now())) return true;
    this.onReject();
    return false;
  }

  withdraw(): void {
    this.circuit.withdraw();
  }

  answered(status: number, latencyMs: number, attempt: Attempt): void {
    this.circuit.answered(status, latencyMs, attempt);
  }

  failed(failure: AttemptFailure, attempt: Attempt): void {
    this.circuit.failed(failure, attempt, this.wheel.now());
  }

  left(attempt: Attempt): void {
    this.circuit.left(attempt);
  }

  onTimeout(): void {
    // The wheel is never early; the circuit reckons from the attempt's own times, which may round differently.
    this.circuit.elapse(Number.POSITIVE_INFINITY);
  }

  close(): void {
    this.wheel.drop(this.timer);
  }
}
