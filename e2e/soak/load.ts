/** Loops side by side that count what they did and what failed. */

import { setTimeout as sleep } from 'node:timers/promises';

/** One kind of work; `once` rejects where a client would notice anything; a number it resolves to is how much it did. */
export interface Kind {
  readonly name: string;
  /** How many loops. */
  readonly loops: number;
  readonly once: () => Promise<unknown>;
  /** Between two, ms: bodies of 1 MiB as fast as they go leave nothing of a core to the others. */
  readonly pauseMs?: number;
}

/** Kinds that share clients. */
export interface Group {
  readonly kinds: readonly Kind[];
  close(): void;
}

export interface Count {
  done: number;
  failed: number;
}

export class Load {
  readonly counts = new Map<string, Count>();
  /** The first of each kind, in words. */
  readonly failures: string[] = [];
  readonly #groups: readonly Group[];
  #loops: Promise<unknown> = Promise.resolve();
  #running = true;

  constructor(groups: readonly Group[]) {
    this.#groups = groups;
    for (const { kinds } of groups) for (const { name } of kinds) this.counts.set(name, { done: 0, failed: 0 });
  }

  start(): void {
    const kinds = this.#groups.flatMap((group) => group.kinds);
    this.#loops = Promise.all(kinds.flatMap((kind) => Array.from({ length: kind.loops }, () => this.#loop(kind))));
  }

  get failed(): number {
    let sum = 0;
    for (const { failed } of this.counts.values()) sum += failed;
    return sum;
  }

  get done(): number {
    let sum = 0;
    for (const { done } of this.counts.values()) sum += done;
    return sum;
  }

  /** What is under way has `withinMs` to end; what has not ended then is a failure. */
  async stop(withinMs: number): Promise<void> {
    this.#running = false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, withinMs, true);
    });
    if (await Promise.race([this.#loops.then(() => false), late])) {
      this.failures.push(`not over ${withinMs} ms after the end`);
      this.counts.set('the end', { done: 0, failed: 1 });
    }
    clearTimeout(timer);
    for (const group of this.#groups) group.close();
  }

  async #loop({ name, once, pauseMs = 0 }: Kind): Promise<void> {
    const count = this.counts.get(name) as Count;
    while (this.#running) {
      try {
        const done = await once();
        count.done += typeof done === 'number' ? done : 1;
        if (pauseMs > 0) await sleep(pauseMs);
      } catch (error) {
        if (count.failed++ < 3)
          this.failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        // A gateway that is gone is not asked a million times.
        await sleep(100);
      }
    }
  }
}
