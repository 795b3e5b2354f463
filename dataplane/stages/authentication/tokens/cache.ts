/**
 * What is known of tokens, until a time, bounded in number and size. A hit costs one look-up by a number made of the token's end (the
 * signature, the part in which two tokens surely differ) and one comparison with the whole; a look-up by a string that is new in each request
 * has the engine hash and intern it, which costs more than the rest. Of two tokens with the same number the later one is remembered.
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

/** Characters at the end that make the number: 6 bits each of a signature in base64url. */
const TAIL = 12;
/** Entries spared in a row before the next goes anyway. */
const MAX_SPARED = 16;

export class TokenCache<V> {
  readonly #limits: CacheLimits;
  readonly #entries = new Map<number, Entry<V>>();
  #chars = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `nowMs` since the epoch. */
  get(token: string, nowMs: number): V | undefined {
    const entry = this.#entries.get(numberOf(token));
    if (entry === undefined || entry.untilMs <= nowMs || entry.token !== token) return undefined;
    entry.used = true;
    return entry.value;
  }

  set(token: string, value: V, untilMs: number): void {
    const { maxEntries, maxChars } = this.#limits;
    if (token.length > maxChars) return;
    const own = copyOf(token);
    const number = numberOf(own);
    this.#delete(number);
    this.#entries.set(number, { token: own, value, untilMs, used: false });
    this.#chars += own.length;
    let spared = 0;
    while (this.#entries.size > maxEntries || this.#chars > maxChars) {
      const [oldest, entry] = this.#entries.entries().next().value as [number, Entry<V>];
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
    const number = numberOf(token);
    if (this.#entries.get(number)?.token === token) this.#delete(number);
  }

  /** Drops what does not hold any more. */
  keep(holds: (value: V) => boolean): void {
    for (const [number, { value }] of this.#entries) if (!holds(value)) this.#delete(number);
  }

  clear(): void {
    this.#entries.clear();
    this.#chars = 0;
  }

  #delete(number: number): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    this.#entries.delete(number);
    this.#chars -= entry.token.length;
  }
}

/** 32 bits. */
function numberOf(token: string): number {
  let number = 0;
  for (let i = Math.max(0, token.length - TAIL); i < token.length; i++)
    number = (Math.imul(number, 31) + token.charCodeAt(i)) | 0;
  return number;
}

/** A part of a string keeps the whole alive: a token that of its request's head. */
function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
