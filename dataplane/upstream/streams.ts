/** Exchanges that last: upgraded connections, server-sent events, gRPC calls. Counted, and ended one by one when the gateway goes away. */

export type StreamKind = 'upgrade' | 'events' | 'grpc';

export interface LongStream {
  /** The gateway goes away: an end that its client takes for one, so that it comes back elsewhere. */
  endEarly(): void;
}

/** `setTimer` runs `run` after `delayMs`; `random` is at least 0, less than 1. */
export interface StreamsDeps {
  readonly random: () => number;
  readonly setTimer: (run: () => void, delayMs: number) => void;
}

/** Those of one worker. */
export class LongStreams {
  readonly #live = new Map<LongStream, StreamKind>();
  readonly #deps: StreamsDeps;

  constructor(deps: StreamsDeps) {
    this.#deps = deps;
  }

  get counts(): Readonly<Record<StreamKind, number>> {
    const counts = { upgrade: 0, events: 0, grpc: 0 };
    for (const kind of this.#live.values()) counts[kind]++;
    return counts;
  }

  begin(stream: LongStream, kind: StreamKind): void {
    this.#live.set(stream, kind);
  }

  end(stream: LongStream): void {
    this.#live.delete(stream);
  }

  /** Each at a random moment within the window, so that not all their clients come back at once. One that ends before is left alone. */
  drain(windowMs: number): void {
    for (const stream of this.#live.keys()) {
      this.#deps.setTimer(() => {
        if (this.#live.has(stream)) stream.endEarly();
      }, this.#deps.random() * windowMs);
    }
  }
}

/** Whether a response is a stream of events (HTML, section 9.2): its fields in lower case, name, value, … */
export function isEventStream(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length === 12 && name === 'content-type') return EVENT_STREAM.test(fields[i + 1] as string);
  }
  return false;
}

const EVENT_STREAM = /^text\/event-stream\s*(?:;|$)/i;
