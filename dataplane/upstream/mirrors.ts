/**
 * Copies of requests to further backends. A copy is an exchange of its own: it never delays, changes or fails the original, its response
 * is thrown away, and it is in no access log.
 */
import { type BodySink, type Downstream, Exchange, NO_BODY, type Release } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { keepBody } from '../pipeline/kept-body.ts';
import type { Counter } from '../telemetry/stage-counters.ts';
import type { ForwardOptions, PendingResponse, Responder } from './seam.ts';
import type { Upstream } from './upstream.ts';

/** Copies under way at once in one worker, and bytes of their bodies. Beyond them copies are not made, and counted. */
export const MAX_MIRRORED = 256;
export const MAX_MIRRORED_BYTES = 16 * 1_048_576;
/** ms a copy has from being sent to the last byte of its response. */
export const MIRROR_TIMEOUT_MS = 10_000;
/** Says to the backend that nobody waits for what it answers. */
const MARK = 'x-mirrored';
const MILLION = 1_000_000;

/** What all copies of a worker share. */
export class MirrorBudget {
  requests = 0;
  bytes = 0;

  take(bytes: number): boolean {
    if (this.requests >= MAX_MIRRORED || this.bytes + bytes > MAX_MIRRORED_BYTES) return false;
    this.requests++;
    this.bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.requests--;
    this.bytes -= bytes;
  }
}

/** `answered`, whatever the status; `failed`: no whole response; the others were not sent. */
export type MirrorResult = 'answered' | 'failed' | 'too-large' | 'incomplete' | 'dropped';

export interface Mirror {
  readonly upstream: Upstream;
  readonly options: ForwardOptions;
  readonly perMillion: number;
  readonly bodyBytes: number;
  readonly counts: Readonly<Record<MirrorResult, Counter>>;
}

export interface MirrorDeps {
  readonly budget: MirrorBudget;
  readonly forward: (exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder) => void;
  /** On the clock of `exchange.startedAtMs`. */
  readonly now: () => number;
  readonly random: () => number;
}

/** Forwards, and sends copies to those `mirrors` that are drawn. Requests that ask for an upgrade are not copied. */
export function createMirrored(
  forwardOriginal: (exchange: Exchange) => void,
  mirrors: readonly Mirror[],
  deps: MirrorDeps,
): (exchange: Exchange) => void {
  const { random } = deps;
  return (exchange) => {
    let drawn: Mirror[] | null = null;
    for (const mirror of mirrors) {
      if (mirror.perMillion < MILLION && random() * MILLION >= mirror.perMillion) continue;
      drawn ??= [];
      drawn.push(mirror);
    }
    if (drawn === null || exchange.downstream.tunnel !== null) {
      forwardOriginal(exchange);
      return;
    }
    const { requestLength } = exchange.downstream;
    if (requestLength === NO_BODY || requestLength === 0) {
      // Taken before the original goes, sent after it.
      const copies = drawn.map((mirror) => (deps.budget.take(0) ? copyOf(exchange, mirror, deps) : drop(mirror)));
      const body = requestLength === 0 ? NOTHING : null;
      try {
        forwardOriginal(exchange);
      } finally {
        for (const copy of copies) copy?.send(body);
      }
      return;
    }
    mirrorBody(exchange, drawn, deps);
    forwardOriginal(exchange);
  };
}

/** The copies leave when the last byte of the original's body has passed. */
function mirrorBody(exchange: Exchange, drawn: readonly Mirror[], deps: MirrorDeps): void {
  const { requestLength } = exchange.downstream;
  const copies: Copy[] = [];
  let maxBytes = 0;
  for (const mirror of drawn) {
    const bytes = requestLength > 0 ? requestLength : mirror.bodyBytes;
    if (bytes > mirror.bodyBytes || mirror.bodyBytes === 0) mirror.counts['too-large'].value++;
    else if (!deps.budget.take(bytes)) drop(mirror);
    else {
      copies.push(copyOf(exchange, mirror, deps, bytes));
      maxBytes = Math.max(maxBytes, mirror.bodyBytes);
    }
  }
  if (copies.length === 0) return;
  const kept = keepBody(exchange, maxBytes);
  kept.onSettled = (body) => {
    for (const copy of copies) {
      if (body !== null && body.length <= copy.mirror.bodyBytes) copy.send(body);
      else copy.cancel(kept.overflown || body !== null ? 'too-large' : 'incomplete');
    }
  };
}

function drop(mirror: Mirror): null {
  mirror.counts.dropped.value++;
  return null;
}

function copyOf(exchange: Exchange, mirror: Mirror, deps: MirrorDeps, bytes = 0): Copy {
  return new Copy(exchange, mirror, deps, bytes);
}

/** One copy; holds its share of the budget until it is over. */
class Copy implements Responder {
  readonly mirror: Mirror;
  readonly #deps: MirrorDeps;
  readonly #bytes: number;
  readonly #original: Exchange;
  /** The original's fields as they are forwarded. */
  readonly #headers: Headers;

  constructor(original: Exchange, mirror: Mirror, deps: MirrorDeps, bytes: number) {
    this.#original = original;
    this.mirror = mirror;
    this.#deps = deps;
    this.#bytes = bytes;
    this.#headers = new Headers(original.headers.fields.slice());
    this.#headers.remove('expect');
    this.#headers.set(MARK, '1');
  }

  send(body: Buffer | null): void {
    const { method, path, query, host, authority, scheme, protocol, clientAddress, downstream } = this.#original;
    const to = new CopiedBody(body, downstream.peerAddress);
    const startedAtMs = this.#deps.now();
    const copy = new Exchange(
      method,
      path,
      query,
      host,
      authority,
      scheme,
      protocol,
      this.#headers,
      clientAddress,
      to,
      startedAtMs,
    );
    copy.requestId = this.#original.requestId;
    copy.matchedPrefix = this.#original.matchedPrefix;
    try {
      this.#deps.forward(copy, this.mirror.upstream, this.mirror.options, this);
    } catch {
      // A mistake of ours; the original must not feel it.
      if (!copy.finished) this.#over(copy, 'failed');
    }
  }

  cancel(result: MirrorResult): void {
    this.mirror.counts[result].value++;
    this.#deps.budget.give(this.#bytes);
  }

  respond(_exchange: Exchange, response: PendingResponse): void {
    // Read to its end, so that the connection can be used again.
    response.proceed();
  }

  answer(exchange: Exchange): void {
    this.#over(exchange, 'failed');
  }

  finish(exchange: Exchange): void {
    this.#over(exchange, exchange.code === '' ? 'answered' : 'failed');
  }

  #over(exchange: Exchange, result: MirrorResult): void {
    if (exchange.finished) return;
    exchange.finished = true;
    this.cancel(result);
  }
}

/** A client that has sent all it will, and reads and drops whatever comes. */
class CopiedBody implements Downstream {
  readonly requestLength: number;
  readonly peerAddress: string;
  readonly tls = null;
  readonly tunnel = null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;
  readonly #body: Buffer | null;
  #waiting: BodySink | null = null;

  constructor(body: Buffer | null, peerAddress: string) {
    this.#body = body;
    this.requestLength = body === null ? NO_BODY : body.length;
    this.peerAddress = peerAddress;
  }

  readBody(sink: BodySink): void {
    if (this.#body !== null && this.#body.length > 0 && !sink.onData(this.#body, KEPT)) this.#waiting = sink;
    else sink.onEnd(null);
  }

  resumeBody(): void {
    const sink = this.#waiting;
    this.#waiting = null;
    sink?.onEnd(null);
  }

  write(_chunk: Uint8Array, release: Release): boolean {
    release?.();
    return true;
  }

  pauseBody(): void {}
  writeInformational(): void {}
  writeHead(): void {}
  end(): void {}
  abort(): void {}
}

const NOTHING = Buffer.alloc(0);
const KEPT: Release = () => {};
