/**
 * What is known of tokens, until a time, bounded in number and size. A hit costs one look-up by the token's end (the signature, the part
 * in which two tokens surely differ) and one comparison with the whole; hashing all of a token would cost more than the rest.
 *
 * Eviction is "second chance" (clock): the oldest goes, unless it was asked for since it was last spared.
 */
export interface CacheLimits {
  readonly maxEntries: number;
  /** Sum of the lengths of the tokens. */
  readonly maxChars: number;
}

interface Entry<V> {
  readonly token: string;
  readonly value: V;
  /** ms since the epoch. */
  readonly untilMs: number;
  used: boolean;
}

const TAIL = 32;
/** Entries spared in a row before the next goes anyway. */
const MAX_SPARED = 16;

export class TokenCache<V> {
  readonly #limits: CacheLimits;
  readonly #entries = new Map<string, Entry<V>>();
  #chars = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `nowMs` since the epoch. */
  get(token: string, nowMs: number): V | undefined {
    const entry = this.#entries.get(token.slice(-TAIL));
    if (entry === undefined || entry.untilMs <= nowMs || entry.token !== token) return undefined;
    entry.used = true;
    return entry.value;
  }

  set(token: string, value: V, untilMs: number): void {
    const { maxEntries, maxChars } = this.#limits;
    if (token.length > maxChars) return;
    const own = copyOf(token);
    const tail = copyOf(own.slice(-TAIL));
    this.#delete(tail);
    this.#entries.set(tail, { token: own, value, untilMs, used: false });
    this.#chars += own.length;
    let spared = 0;
    while (this.#entries.size > maxEntries || this.#chars > maxChars) {
      const [oldest, entry] = this.#entries.entries().next().value as [string, Entry<V>];
      this.#entries.delete(oldest);
      if (entry.used && spared < MAX_SPARED) {
        spared++;
        entry.used = false;
        this.#entries.set(oldest, entry);
      } else {
        this.#chars -= entry.token.length;
      }
    }
  }

  delete(token: string): void {
    const tail = token.slice(-TAIL);
    if (this.#entries.get(tail)?.token === token) this.#delete(tail);
  }

  /** Drops what does not hold any more. */
  keep(holds: (value: V) => boolean): void {
    for (const [tail, { value }] of this.#entries) if (!holds(value)) this.#delete(tail);
  }

  clear(): void {
    this.#entries.clear();
    this.#chars = 0;
  }

  #delete(tail: string): void {
    const entry = this.#entries.get(tail);
    if (entry === undefined) return;
    this.#entries.delete(tail);
    this.#chars -= entry.token.length;
  }
}

/** A part of a string keeps the whole alive: a token that of its request's head. */
function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
