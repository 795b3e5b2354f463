/**
 * Closes what no generation in use can reach any more. Each thing lived in the generations from `born` up to, not including, `died`;
 * a stream of a week therefore keeps only what its own generation uses, not all that came and went since.
 */
export interface Retired {
  readonly close: () => void;
  readonly born: number;
  readonly died: number;
}

export class Retirement {
  readonly #live = new Set<number>();
  #waiting: Retired[] = [];

  /** Generations that are current or still hold exchanges. */
  get live(): number {
    return this.#live.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  begin(generation: number): void {
    this.#live.add(generation);
  }

  /** Throws AggregateError when some could not be closed; the others are. */
  retire(things: readonly Retired[]): void {
    this.#waiting.push(...things);
    this.#sweep();
  }

  drained(generation: number): void {
    this.#live.delete(generation);
    if (this.#waiting.length > 0) this.#sweep();
  }

  #sweep(): void {
    const live = [...this.#live];
    const keep: Retired[] = [];
    const closing: Retired[] = [];
    for (const thing of this.#waiting) {
      const used = live.some((generation) => generation >= thing.born && generation < thing.died);
      (used ? keep : closing).push(thing);
    }
    // First settled, then called: closing may finish exchanges, which comes back here.
    this.#waiting = keep;
    const errors: unknown[] = [];
    for (const thing of closing) {
      try {
        thing.close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} could not be closed`);
  }
}
