/** What all retries of one backend have in common, in one worker. */
import type { TimerWheel } from '../../io/wheel.ts';
import type { Counter } from '../../telemetry/stage-counters.ts';
import { RetryBudget } from './budget.ts';
import type { RetryReason } from './options.ts';

/** ms, of the wheel that times back-offs, tries and hedges: they are often shorter than a tick of the coarse one. */
export const FINE_TICK_MS = 5;

/** What became of a retry: its response was the client's; it failed as well; something else ended it (a faster one, a client that left). */
export type RetryResult = 'answered' | 'failed' | 'abandoned';

export interface RetryDependencies {
  readonly wheel: TimerWheel;
  readonly random: () => number;
  readonly epochMs: () => number;
  readonly counter: ((name: string, labels: Readonly<Record<string, string>>) => Counter) | null;
}

export class SharedRetries {
  readonly budget = new RetryBudget();
  readonly wheel: TimerWheel;
  readonly random: () => number;
  readonly epochMs: () => number;
  private readonly backend: string;
  private readonly counter: RetryDependencies['counter'];

  constructor(backend: string, { wheel, random, epochMs, counter }: RetryDependencies) {
    this.backend = backend;
    this.wheel = wheel;
    this.random = random;
    this.epochMs = epochMs;
    this.counter = counter;
  }

  /** One came in whose rule retries. */
  request(): void {
    this.budget.request(this.wheel.now());
  }

  count(reason: RetryReason | 'hedge', result: RetryResult): void {
    this.add('retries', { reason, result });
  }

  /** A retry that was wanted and that the budget refused. */
  countExhausted(): void {
    this.add('retry_budget_exhausted', {});
  }

  private add(name: string, labels: Readonly<Record<string, string>>): void {
    const counter = this.counter?.(name, { backend: this.backend, ...labels });
    if (counter !== undefined) counter.value++;
  }
}
