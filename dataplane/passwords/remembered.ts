/**
 * A bounded map that forgets what was not asked for lately: two generations; a hit in the old one moves it to the young one, and a full
 * young one becomes the old. Constant time, without a list to keep in order.
 */
export class Remembered<V> {
  readonly #half: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  /** Holds the last `max` / 2 at least, and `max` at most. */
  constructor(max: number) {
    this.#half = Math.max(1, max >> 1);
  }

  get(key: string): V | undefined {
    const found = this.#young.get(key);
    if (found !== undefined) return found;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: V): void {
    if (this.#young.size >= this.#half && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
