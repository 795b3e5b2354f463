/**
 * What was read of one kind of record, by its name: those that are there until they change, those that are not for a short time. Each kind
 * has its own bound, so that guessing throws nobody out.
 */
import type { Consumer } from './store.ts';

interface CacheLimits {
  readonly maxKnown: number;
  readonly maxUnknown: number;
  readonly unknownMs: number;
}

export class RecordCache<R extends Consumer> {
  readonly #limits: CacheLimits;
  /** In the order they were read: the oldest goes first. */
  readonly #known = new Map<string, R>();
  /** When it is asked for again. */
  readonly #unknown = new Map<string, number>();

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  known(name: string): R | undefined {
    return this.#known.get(name);
  }

  isUnknown(name: string, nowMs: number): boolean {
    const untilMs = this.#unknown.get(name);
    return untilMs !== undefined && untilMs > nowMs;
  }

  set(name: string, record: R | null, nowMs: number): void {
    const { maxKnown, maxUnknown, unknownMs } = this.#limits;
    this.forget(name);
    if (record === null) put(this.#unknown, name, nowMs + unknownMs, maxUnknown);
    else put(this.#known, name, record, maxKnown);
  }

  forget(name: string): void {
    this.#known.delete(name);
    this.#unknown.delete(name);
  }

  /** What is not there may be a consumer's too: its name is not known then. */
  forgetConsumer(consumer: string): void {
    for (const [name, record] of this.#known) if (record.name === consumer) this.#known.delete(name);
    this.#unknown.clear();
  }

  clear(): void {
    this.#known.clear();
    this.#unknown.clear();
  }

  get size(): number {
    return this.#known.size + this.#unknown.size;
  }
}

function put<V>(map: Map<string, V>, name: string, value: V, max: number): void {
  const [oldest] = map.size >= max ? map.keys() : [];
  if (oldest !== undefined) map.delete(oldest);
  map.set(name, value);
}
