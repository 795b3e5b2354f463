/** A client in memory that sends a body in pieces, for tests of what reads it. */
import { type BodySink, LENGTH_UNKNOWN } from './exchange.ts';
import { MemoryDownstream } from './memory-downstream.ts';

export class BodyDownstream extends MemoryDownstream {
  override readonly requestLength: number;
  readonly informational: number[] = [];
  readonly #pieces: readonly string[];
  readonly #abort: string | null;

  /** Chunked, unless `length` announces it. `abort`: it breaks off after the pieces. */
  constructor(pieces: readonly string[], { length = LENGTH_UNKNOWN, abort = null as string | null } = {}) {
    super();
    this.#pieces = pieces;
    this.#abort = abort;
    this.requestLength = length;
  }

  override readBody(sink: BodySink): void {
    queueMicrotask(() => {
      // One buffer for all, as a listener has it: who keeps a piece must copy it.
      const shared = Buffer.alloc(65_536);
      for (const piece of this.#pieces) {
        const length = shared.write(piece, 'latin1');
        if (!sink.onData(shared.subarray(0, length), null)) return;
        shared.fill(0);
      }
      if (this.#abort === null) sink.onEnd(null);
      else sink.onAbort(this.#abort);
    });
  }

  override writeInformational(status: number): void {
    this.informational.push(status);
  }
}
