/**
 * By hashes in lower-case hex. A Map with strings as keys has the engine intern the string that each request makes anew: that costs more than
 * the look-up.
 */
export class HashTable<V> {
  readonly #entries = new Map<number, Entry<V>>();

  /** Of two with the same hash the first stays. */
  add(hash: string, value: V): void {
    if (this.get(hash) !== undefined) return;
    const number = numberOf(hash);
    this.#entries.set(number, { hash, value, next: this.#entries.get(number) ?? null });
  }

  get(hash: string): V | undefined {
    let entry = this.#entries.get(numberOf(hash)) ?? null;
    while (entry !== null && entry.hash !== hash) entry = entry.next;
    return entry?.value;
  }
}

interface Entry<V> {
  readonly hash: string;
  readonly value: V;
  /** Of the same number. */
  readonly next: Entry<V> | null;
}

/** The first 32 bits. */
function numberOf(hash: string): number {
  let number = 0;
  for (let i = 0; i < 8; i++) {
    const code = hash.charCodeAt(i);
    number = (number << 4) | ((code & 15) + (code >> 6) * 9);
  }
  return number;
}
