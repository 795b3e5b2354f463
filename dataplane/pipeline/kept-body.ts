/**
 * A request body that is copied while it flows, up to a bound, so that it can be sent once more (a fallback) or besides (a mirror). The
 * first reader is held up by nothing; what is larger than the bound flows on without being kept.
 */
import type { BodySink, Downstream, Exchange, Release } from './exchange.ts';
import type { Headers } from './headers.ts';
import { WrappedDownstream } from './wrapped-downstream.ts';

/** Wraps the exchange's body, or widens the bound where that was done already. Before anybody has read of it. */
export function keepBody(exchange: Exchange, maxBytes: number): KeptBody {
  const { downstream } = exchange;
  if (downstream instanceof KeptBody) {
    downstream.keep(maxBytes);
    return downstream;
  }
  const kept = new KeptBody(downstream, maxBytes);
  exchange.downstream = kept;
  return kept;
}

export class KeptBody extends WrappedDownstream implements BodySink {
  /** Called once: with the whole body, or with null where there will be none. */
  onSettled: ((body: Buffer | null) => void) | null = null;
  #maxBytes: number;
  /** In order. Beyond the bound only while a second reader is behind: what the source had read when it was stopped. */
  #chunks: Buffer[] = [];
  #length = 0;
  /** More than the bound came: what was kept is gone. */
  #overflown = false;
  #begun = false;
  #sink: BodySink | null = null;
  /** Chunks of `#chunks` the present reader has had; -1: it reads along. */
  #had = -1;
  #ended = false;
  #trailers: Headers | null = null;
  #broken = '';

  constructor(inner: Downstream, maxBytes: number) {
    super(inner);
    this.#maxBytes = maxBytes;
  }

  keep(maxBytes: number): void {
    this.#maxBytes = Math.max(this.#maxBytes, maxBytes);
  }

  /** More than the bound came, or the exchange is over. */
  get overflown(): boolean {
    return this.#overflown;
  }

  get requestLength(): number {
    return this.inner.requestLength;
  }

  /** Whether `again` is possible: nothing was read yet, or all that was is kept. */
  get repeatable(): boolean {
    return !this.#overflown && this.#broken === '';
  }

  /** The reader is gone, and `readBody` will be called for another one, who gets all from the start. Only while `repeatable`. */
  again(): void {
    this.#sink = null;
    if (!this.#begun) return;
    this.#had = 0;
    this.inner.pauseBody();
  }

  readBody(sink: BodySink): void {
    this.#sink = sink;
    if (this.#begun) {
      this.#catchUp();
      return;
    }
    this.#begun = true;
    this.inner.readBody(this);
  }

  pauseBody(): void {
    this.inner.pauseBody();
  }

  resumeBody(): void {
    if (this.#had >= 0) this.#catchUp();
    else this.inner.resumeBody();
  }

  /** The exchange is over: nothing is kept any more, and whoever waits for the body is told. */
  abandon(): void {
    this.#settle(null);
    this.#overflow();
  }

  onData(chunk: Uint8Array, release: Release): boolean {
    const behind = this.#had >= 0;
    if (behind || !this.#overflown) {
      this.#length += chunk.length;
      if (this.#length > this.#maxBytes) this.#overflow();
      if (behind || !this.#overflown) this.#chunks.push(Buffer.from(chunk));
    }
    if (!behind && this.#sink !== null) return this.#sink.onData(chunk, release);
    release?.();
    return false;
  }

  onEnd(trailers: Headers | null): void {
    this.#ended = true;
    this.#trailers = trailers;
    if (this.#had < 0) this.#sink?.onEnd(trailers);
    this.#settle(this.#overflown ? null : Buffer.concat(this.#chunks, this.#length));
  }

  onAbort(reason: string): void {
    this.#broken = reason;
    const sink = this.#sink;
    this.#sink = null;
    sink?.onAbort(reason);
    this.#settle(null);
  }

  /** Gives the reader what it has not had, as far as it takes it; then it reads along. */
  #catchUp(): void {
    const sink = this.#sink;
    while (sink !== null && this.#had < this.#chunks.length) {
      const chunk = this.#chunks[this.#had++] as Buffer;
      if (!sink.onData(chunk, KEPT)) return;
      // It may have been taken away again.
      if (this.#sink !== sink) return;
    }
    if (sink === null) return;
    this.#had = -1;
    if (this.#overflown) this.#chunks = [];
    if (this.#broken !== '') {
      this.#sink = null;
      sink.onAbort(this.#broken);
    } else if (this.#ended) sink.onEnd(this.#trailers);
    else this.inner.resumeBody();
  }

  #overflow(): void {
    if (this.#overflown) return;
    this.#overflown = true;
    if (this.#had < 0) this.#chunks = [];
    this.#settle(null);
  }

  #settle(body: Buffer | null): void {
    const { onSettled } = this;
    this.onSettled = null;
    onSettled?.(body);
  }
}

/** The bytes stay as long as the exchange: nobody needs to copy them. */
const KEPT: Release = () => {};
