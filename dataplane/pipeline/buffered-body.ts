/** A request body that a stage has to see before anything is forwarded: read whole, bounded, and given on from memory. */
import { type BodySink, type Downstream, type Exchange, NO_BODY, type Release } from './exchange.ts';
import { Headers } from './headers.ts';
import { WrappedDownstream } from './wrapped-downstream.ts';

export type Buffered =
  | { readonly kind: 'body'; readonly bytes: Buffer }
  /** More than `maxBytes`; what was read is gone: the exchange must be answered. */
  | { readonly kind: 'too-large' }
  /** It broke before its end; `reason` as BodySink has it. */
  | { readonly kind: 'aborted'; readonly reason: string };

/**
 * Reads the body and puts it back, so that whoever comes next reads it as if nobody had. Trailers are dropped. Waits as long as the listener lets
 * a client take, and no longer than the rule's request time-out. Asked once an exchange.
 */
export function bufferBody(exchange: Exchange, maxBytes: number): Promise<Buffered> {
  const { downstream } = exchange;
  const { requestLength } = downstream;
  if (requestLength > maxBytes) return Promise.resolve({ kind: 'too-large' });
  if (requestLength === NO_BODY) return Promise.resolve({ kind: 'body', bytes: Buffer.alloc(0) });
  // Nobody else will: the body is read before a backend could say that it wants it (RFC 9110 section 10.1.1).
  downstream.writeInformational(100, new Headers());
  exchange.headers.remove('expect');
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    downstream.readBody({
      onData(chunk, release) {
        length += chunk.length;
        if (length <= maxBytes) chunks.push(Buffer.from(chunk));
        else resolve({ kind: 'too-large' });
        release?.();
        return length <= maxBytes;
      },
      onEnd() {
        const bytes = Buffer.concat(chunks, length);
        exchange.downstream = new ReplayedBody(downstream, bytes);
        resolve({ kind: 'body', bytes });
      },
      onAbort: (reason) => resolve({ kind: 'aborted', reason }),
    });
  });
}

/** The same exchange with its body from memory. */
class ReplayedBody extends WrappedDownstream {
  readonly requestLength: number;
  readonly #bytes: Buffer;
  #waiting: BodySink | null = null;

  constructor(inner: Downstream, bytes: Buffer) {
    super(inner);
    this.#bytes = bytes;
    this.requestLength = bytes.length;
  }

  readBody(sink: BodySink): void {
    if (this.#bytes.length > 0 && !sink.onData(this.#bytes, KEPT)) this.#waiting = sink;
    else sink.onEnd(null);
  }

  pauseBody(): void {}

  resumeBody(): void {
    const sink = this.#waiting;
    this.#waiting = null;
    sink?.onEnd(null);
  }
}

/** The bytes stay as long as the exchange: nobody needs to copy them. */
const KEPT: Release = () => {};
