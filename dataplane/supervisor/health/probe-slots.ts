/** Bounds how many probes are under way at a time; the others wait in the order they came. */

/** Begins a probe. False: nobody wants it any more, and the place is free for the next. */
export type Start = () => boolean;

export class ProbeSlots {
  #free: number;
  #waiting: Start[] = [];
  #first = 0;

  constructor(count: number) {
    this.#free = count;
  }

  /** `start` is called now or when a place is free; `release` follows where it began. */
  take(start: Start): void {
    if (this.#free === 0) this.#waiting.push(start);
    else if (start()) this.#free--;
  }

  release(): void {
    for (let next = this.#shift(); next !== undefined; next = this.#shift()) if (next()) return;
    this.#free++;
  }

  /** Taking from the front of a long array would move all the rest each time. */
  #shift(): Start | undefined {
    const next = this.#waiting[this.#first++];
    if (next === undefined || this.#first === 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return next;
  }
}
