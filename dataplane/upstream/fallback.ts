/**
 * Where requests go that their backend has no good answer for: to another backend, or to an answer of the gateway's own. It stands between
 * forward and the pipeline. A request falls back once: what becomes of it then is passed on as it is.
 */
import type { Exchange } from '../pipeline/exchange.ts';
import { LENGTH_UNKNOWN } from '../pipeline/exchange.ts';
import { KeptBody, keepBody } from '../pipeline/kept-body.ts';
import type { Counter } from '../telemetry/stage-counters.ts';
import type { ForwardCode, PendingResponse, Responder } from './seam.ts';

export type FallbackReason = 'unavailable' | 'reset' | 'timeout' | 'status';

export interface FallbackSettings {
  readonly on: ReadonlySet<FallbackReason>;
  readonly statuses: ReadonlySet<number>;
  /** Those that go to another backend although the first may have acted on the request. */
  readonly methods: ReadonlySet<string>;
  /** Bytes of a body kept for another backend. */
  readonly bodyBytes: number;
  /** It answers by itself: the request's body and method do not matter. */
  readonly direct: boolean;
  /** Forwards, or answers. */
  readonly go: (exchange: Exchange) => void;
  readonly counts: Readonly<Record<FallbackReason, Counter>>;
}

/** Of the codes that are one. `request-timeout`: nothing is left of the time for another backend, an answer can be given. */
const REASONS: { readonly [C in ForwardCode]?: FallbackReason } = {
  'no-endpoint': 'unavailable',
  'breaker-open': 'unavailable',
  'upstream-overflow': 'unavailable',
  'upstream-connect-failed': 'unavailable',
  'upstream-connect-timeout': 'unavailable',
  'upstream-reset': 'reset',
  'upstream-protocol': 'reset',
  'upstream-timeout': 'timeout',
  'request-timeout': 'timeout',
};

export class Fallback implements Responder {
  readonly #settings: FallbackSettings;
  readonly #pipeline: Responder;

  constructor(settings: FallbackSettings, pipeline: Responder) {
    this.#settings = settings;
    this.#pipeline = pipeline;
  }

  /** Before the exchange is forwarded: has its body kept where it may be needed once more. */
  prepare(exchange: Exchange): void {
    const { direct, bodyBytes } = this.#settings;
    const { requestLength } = exchange.downstream;
    if (direct || (requestLength <= 0 && requestLength !== LENGTH_UNKNOWN)) return;
    keepBody(exchange, bodyBytes);
  }

  /** True where it takes an exchange whose backend is not even there. */
  takes(exchange: Exchange): boolean {
    if (!this.#settings.on.has('unavailable')) return false;
    this.#go(exchange, 'unavailable');
    return true;
  }

  respond(exchange: Exchange, response: PendingResponse): void {
    const { on, statuses } = this.#settings;
    if (on.has('status') && statuses.has(exchange.status) && this.#may(exchange, true)) {
      response.discard();
      this.#go(exchange, 'status');
    } else this.#pipeline.respond(exchange, response);
  }

  answer(exchange: Exchange, status: number, code: ForwardCode, detail: string, retryAfterS: number): void {
    const reason = REASONS[code];
    const late = code === 'request-timeout' && !this.#settings.direct;
    if (
      reason !== undefined &&
      !late &&
      this.#settings.on.has(reason) &&
      this.#may(exchange, reason !== 'unavailable')
    ) {
      this.#go(exchange, reason);
    } else this.#pipeline.answer(exchange, status, code, detail, retryAfterS);
  }

  finish(exchange: Exchange): void {
    this.#pipeline.finish(exchange);
  }

  /** `sent`: the backend may have acted on it. */
  #may(exchange: Exchange, sent: boolean): boolean {
    const { direct, methods } = this.#settings;
    if (direct) return true;
    if (sent && !methods.has(exchange.method)) return false;
    const { downstream } = exchange;
    return !(downstream instanceof KeptBody) || downstream.repeatable;
  }

  #go(exchange: Exchange, reason: FallbackReason): void {
    const { counts, direct, go } = this.#settings;
    counts[reason].value++;
    exchange.fallback = reason;
    exchange.status = 0;
    exchange.responseHeaders = null;
    if (!direct) {
      exchange.endpoint = '';
      exchange.upstreamMs = -1;
      if (exchange.downstream instanceof KeptBody) exchange.downstream.again();
    }
    go(exchange);
  }
}
