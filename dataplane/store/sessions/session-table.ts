/** Sessions in memory, bounded in number and size: beyond that, those go that were not asked for the longest. */
export interface SessionTableLimits {
  readonly maxEntries: number;
  /** Sum of the lengths of ids and values. */
  readonly maxChars: number;
}

/** At 2 KB a session, about 32,000 of them. */
export const SESSION_TABLE_LIMITS: SessionTableLimits = { maxEntries: 100_000, maxChars: 67_108_864 };

interface Entry {
  readonly value: string;
  readonly untilMs: number;
}

export class SessionTable {
  readonly #limits: SessionTableLimits;
  /** ms, monotonic. */
  readonly #now: () => number;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #chars = 0;

  constructor(now: () => number, limits: SessionTableLimits = SESSION_TABLE_LIMITS) {
    this.#now = now;
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): string | null {
    const entry = this.#entries.get(id);
    if (entry === undefined) return null;
    this.#entries.delete(id);
    if (entry.untilMs <= this.#now()) {
      this.#chars -= id.length + entry.value.length;
      return null;
    }
    this.#entries.set(id, entry);
    return entry.value;
  }

  /** What is longer than all of the room is not kept. */
  set(id: string, value: string, ttlMs: number): void {
    this.delete(id);
    if (id.length + value.length > this.#limits.maxChars) return;
    this.#entries.set(id, { value, untilMs: this.#now() + ttlMs });
    this.#chars += id.length + value.length;
    const { maxEntries, maxChars } = this.#limits;
    while (this.#entries.size > maxEntries || this.#chars > maxChars) {
      this.delete(this.#entries.keys().next().value as string);
    }
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#chars -= id.length + entry.value.length;
  }

  claim(id: string, ttlMs: number): boolean {
    const key = `claim ${id}`;
    if (this.get(key) !== null) return false;
    this.set(key, '', ttlMs);
    return true;
  }
}
