/**
 * Gathers what sources deliver while a batch is being worked on: one batch in flight, the next one gathering. The first
 * change runs at once (in the same turn of the event loop that delivered it).
 */
import type { ObjectEvent } from '../store/objects.ts';
import type { FileOrigin, Refusal, SourceSink } from './source.ts';

export interface Batch {
  readonly events: readonly ObjectEvent[];
  readonly origins: readonly FileOrigin[];
}

export interface LoopHandlers {
  /** Takes a batch through the line; the next one runs when the promise resolves. Must not reject: what throws here is a programming error. */
  run(batch: Batch): Promise<void>;
  refused(refusal: Refusal): void;
  /** What `run` threw. */
  failed(error: unknown): void;
}

export class Loop implements SourceSink {
  readonly #handlers: LoopHandlers;
  #events: ObjectEvent[] = [];
  #origins: FileOrigin[] = [];
  #synced = false;
  #started = false;
  #running: Promise<void> | null = null;

  constructor(handlers: LoopHandlers) {
    this.#handlers = handlers;
  }

  /** True once the first complete batch went through: data planes may be served. */
  get ready(): boolean {
    return this.#started;
  }

  apply(events: readonly ObjectEvent[], origin?: FileOrigin): void {
    for (const event of events) this.#events.push(event);
    if (origin !== undefined) this.#origins.push(origin);
    this.#wake();
  }

  synced(): void {
    this.#synced = true;
    this.#wake();
  }

  refused(refusal: Refusal): void {
    this.#handlers.refused(refusal);
  }

  /** Resolves when nothing is in flight or gathered. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  #wake(): void {
    if (!this.#synced || this.#running !== null) return;
    // A microtask later: one chunk from a watch may hold many events.
    this.#running = Promise.resolve().then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    try {
      while (this.#events.length > 0 || this.#origins.length > 0 || !this.#started) {
        const batch = { events: this.#events, origins: this.#origins };
        this.#events = [];
        this.#origins = [];
        try {
          await this.#handlers.run(batch);
          this.#started = true;
        } catch (error) {
          this.#handlers.failed(error);
          if (this.#started) continue;
          // Nothing was compiled yet: serving now would empty every data plane. All of it is tried again with the next change.
          this.#events = [...batch.events, ...this.#events];
          this.#origins = [...batch.origins, ...this.#origins];
          return;
        }
      }
    } finally {
      this.#running = null;
    }
  }
}
