/**
 * Where the pipeline and the upstream code meet: types only. The pipeline calls `forward` as a rule's terminal and gives
 * it a `Responder`; forward calls back exactly as written here. All calls happen on the worker's one thread.
 *
 * One exchange that is forwarded ends in exactly one of: `answer` (once), or `finish` (once). Never both, never neither.
 *  - Nothing of a final response has reached the client and it can still be told what went wrong: `answer`. The pipeline then
 *    writes an answer of its own through `exchange.downstream` and finishes the exchange itself.
 *  - Otherwise (complete response, response broken off, client gone, tunnel closed): `finish`, after the last byte was handed to the transport.
 *
 * Byte counts (`bytesIn`, `bytesOut`: body bytes, without framing) are kept by the listener for every exchange, answers included.
 */
import type { Exchange } from '../pipeline/exchange.ts';
import type { Rewrite } from '../snapshot/resources.ts';
import type { RetryOptions } from './retry/options.ts';
import type { LongStreams } from './streams.ts';

/** A response head that waits for the response stages; what `forward` hands to `Responder.respond`. */
export interface PendingResponse {
  /** The stages are done: write `exchange.status` and `exchange.responseHeaders`, then stream the body. At most once. */
  proceed(): void;
  /** A stage failed or replaced the response: the backend's is thrown away and its connection closed. The pipeline answers. At most once. */
  discard(): void;
}

/** What the pipeline provides to `forward`; one object for all exchanges. */
export interface Responder {
  /**
   * The backend's response head is there: `exchange.status`, `exchange.responseHeaders` (hop-by-hop fields and content-length already
   * removed), `upstreamMs`, `backend` and `endpoint` are set. Run the response stages, then call `response.proceed()`: at once where all
   * ran synchronously, later otherwise (the backend is paused meanwhile). A 101 comes through here as well.
   * If the client leaves before that, `finish` is called and a late `proceed` does nothing.
   */
  respond(exchange: Exchange, response: PendingResponse): void;
  /**
   * No response could be had. `exchange.backend` and `endpoint` are set as far as known. `code` is one of `ForwardCode`; `detail` is one
   * sentence without internals (no addresses), fit for the problem document. `retryAfterS` > 0: when to come again.
   */
  answer(exchange: Exchange, status: number, code: ForwardCode, detail: string, retryAfterS: number): void;
  /** The exchange is over and nothing more will be written. `exchange.status` is 499 where the client left before a response head. */
  finish(exchange: Exchange): void;
}

/** Stable codes that forward puts in `exchange.code` (finish) or gives to `answer`. */
export type ForwardCode =
  /** 503: the backend has no endpoint. */
  | 'no-endpoint'
  /** 503: a circuit breaker of the backend, or those of all its endpoints, are open. */
  | 'breaker-open'
  /** 503: `maxConnections` busy and `maxPending` waiting, or as many requests under way as may be. */
  | 'upstream-overflow'
  /** 503: could not connect (refused, unreachable, no such name), also to the other endpoints tried. */
  | 'upstream-connect-failed'
  /** 504: connect time-out. */
  | 'upstream-connect-timeout'
  /** 504: `backendTimeoutMs` passed before the response head. */
  | 'upstream-timeout'
  /** 504: `requestTimeoutMs` passed. After the head: the response is broken off. */
  | 'request-timeout'
  /** 502: the connection broke before the response head, and the request could not be repeated. */
  | 'upstream-reset'
  /** 502: what came was no acceptable HTTP response. */
  | 'upstream-protocol'
  /** (finish only) the backend broke off mid-body; the client sees an incomplete response. */
  | 'upstream-aborted'
  /** (finish only) no byte from the backend for `idleTimeoutMs` mid-body. */
  | 'upstream-idle-timeout'
  /** (finish only) the client went away. */
  | 'client-closed'
  /** 408: the request body stopped arriving. */
  | 'body-timeout'
  /** (finish only) a stream that was ended because the gateway goes away. */
  | 'drained'
  /** 413: the request body passed the limit of its rule. */
  | 'body-too-large'
  /** 400: the request body was malformed (bad chunk). */
  | 'bad-request';

/** Built once per rule (and backend); shared by all its exchanges. */
export interface ForwardOptions {
  readonly rewrite: Rewrite | null;
  /** ms from `exchange.startedAtMs` to the last byte of the response; 0 is off. */
  readonly requestTimeoutMs: number;
  /** ms from sending the request until the response head; 0 is off. */
  readonly backendTimeoutMs: number;
  /** ms without a byte of the response body (also: of a tunnel); 0 is off. */
  readonly idleTimeoutMs: number;
  /** The same of streams (streams.ts). */
  readonly streamIdleTimeoutMs: number;
  /** Null: nothing is taken for a stream, so all responses have the same time-outs. */
  readonly streams: LongStreams | null;
  /**
   * Number of proxies in front of this one whose X-Forwarded-* are believed. 0: the client's values are replaced;
   * otherwise the peer is appended to X-Forwarded-For, and -Proto and -Host are kept where present.
   */
  readonly trustedHops: number;
  /** Writes Forwarded (RFC 7239) too, behind that of a client that is trusted. Left out: a client's is dropped. */
  readonly forwarded?: boolean;
  /** Null: only a connect failure is tried elsewhere, and a reused connection that turns out to be closed repeated. */
  readonly retry: RetryOptions | null;
  /** Pseudonym for the Via field (RFC 9110 section 7.6.3), both directions; empty: none is written. */
  readonly via: string;
}

/*
 * dataplane/upstream/upstream.ts:
 *   export function createUpstream(backend: BackendResource, endpoints: EndpointsResource, deps: { wheel: TimerWheel, random?: () => number }): Upstream
 *   interface Upstream {
 *     readonly id: string;                                        // backend resource id
 *     update(backend: BackendResource, endpoints: EndpointsResource): void;   // in place: pools of endpoints that stay are kept
 *     close(): void;                                              // idle connections close now, busy ones when their exchange ends
 *     readonly stats: { endpoints: number; connections: number; active: number; pending: number };
 *   }
 * dataplane/upstream/forward.ts:
 *   export function forward(exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder): void
 * dataplane/io/wheel.ts:
 *   export function startWheel(options?: { tickMs?: number }): TimerWheel   // one a worker; `stop()` at exit; unref'd
 * dataplane/listener/http1.ts:
 *   export function createHttp1Listener(options): Listener      // { listen(): Promise<{address, port}>, beginDrain(), close(graceMs): Promise<void>, stats }
 *   options.refuse(status, code, detail): Answer                 // the problem document for a request that never became an exchange (400, 408, 414, 431, …)
 */
