/** A request body whose length is not known, cut where it passes a limit. */
import type { BodySink, Downstream, Release } from './exchange.ts';
import type { Headers } from './headers.ts';
import { WrappedDownstream } from './wrapped-downstream.ts';

/** The reason its sink is given. */
export const TOO_LARGE = 'body-too-large';

/** Not one byte beyond `maxBytes` reaches the sink. */
export class LimitedBody extends WrappedDownstream implements BodySink {
  readonly requestLength: number;
  #left: number;
  #sink: BodySink | null = null;

  constructor(inner: Downstream, maxBytes: number) {
    super(inner);
    this.requestLength = inner.requestLength;
    this.#left = maxBytes;
  }

  readBody(sink: BodySink): void {
    this.#sink = sink;
    this.inner.readBody(this);
  }

  pauseBody(): void {
    this.inner.pauseBody();
  }

  resumeBody(): void {
    if (this.#sink !== null) this.inner.resumeBody();
  }

  onData(chunk: Uint8Array, release: Release): boolean {
    const sink = this.#sink;
    this.#left -= chunk.length;
    if (sink !== null && this.#left >= 0) return sink.onData(chunk, release);
    if (release !== null) release();
    this.#sink = null;
    sink?.onAbort(TOO_LARGE);
    return false;
  }

  onEnd(trailers: Headers | null): void {
    const sink = this.#sink;
    this.#sink = null;
    sink?.onEnd(trailers);
  }

  onAbort(reason: string): void {
    const sink = this.#sink;
    this.#sink = null;
    sink?.onAbort(reason);
  }
}
