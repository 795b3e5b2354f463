/**
 * A configuration as requests see it. It never changes; it counts the exchanges that hold it, so that what only it uses can be
 * given up when the last of them has finished.
 */
import type { Generation, RuleSlot } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Match } from '../router/candidate.ts';
import { HostRouter } from '../router/router.ts';

export class RunningGeneration implements Generation {
  /** 0 before the first snapshot, then one more each step. */
  readonly index: number;
  readonly router: HostRouter<RuleSlot>;
  readonly configured: boolean;
  readonly #onDrained: (index: number) => void;
  #exchanges = 0;
  #retired = false;

  constructor(index: number, router: HostRouter<RuleSlot>, onDrained: (index: number) => void) {
    this.index = index;
    this.router = router;
    this.configured = index > 0;
    this.#onDrained = onDrained;
  }

  /** What serves before the first snapshot: nothing. */
  static initial(onDrained: (index: number) => void): RunningGeneration {
    return new RunningGeneration(0, HostRouter.empty(), onDrained);
  }

  get exchanges(): number {
    return this.#exchanges;
  }

  /** Only while it is the current one (see RuleSlot). */
  match(exchange: Exchange): Match<RuleSlot> | null {
    return this.router.match(exchange);
  }

  retain(): void {
    this.#exchanges++;
  }

  release(): void {
    this.#exchanges--;
    if (this.#retired && this.#exchanges === 0) this.#onDrained(this.index);
  }

  /** No exchange begins on it any more. */
  retire(): void {
    this.#retired = true;
    if (this.#exchanges === 0) this.#onDrained(this.index);
  }
}
