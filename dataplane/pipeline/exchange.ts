/**
 * One request and its response on their way through the pipeline. What a stage sees is the same for HTTP/1.1 and HTTP/2;
 * what differs is behind `downstream`.
 */
import { type CallKind, NO_CALL } from '../grpc/call.ts';
import { NO_STATUS } from '../grpc/status.ts';
import type { CompiledRule, Generation } from './chain.ts';
import type { Headers } from './headers.ts';
import type { Identity } from './identity.ts';
import type { TlsPeer } from './tls-peer.ts';

/** Body length of a message: a byte count, or one of these. */
export const LENGTH_UNKNOWN = -1;
export const NO_BODY = -2;

/** Called once the bytes handed over are no longer needed, so that a pooled buffer can be given back. */
export type Release = (() => void) | null;

/** Where body bytes go. A false answer means: stop until `onDrain` of the source is called. */
export interface BodySink {
  /** `chunk` is valid until `release` is called; with a null release only during this call (copy what must wait). */
  onData(chunk: Uint8Array, release: Release): boolean;
  onEnd(trailers: Headers | null): void;
  /** The source broke before its end. */
  onAbort(reason: string): void;
}

export interface ConnectionAddresses {
  readonly peerPort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** What a listener (HTTP/1.1, HTTP/2) provides for one exchange. */
export interface Downstream {
  /** Bytes of request body announced: a count, LENGTH_UNKNOWN (chunked, HTTP/2 without length) or NO_BODY. */
  readonly requestLength: number;
  /** Starts the request body's flow into `sink`; at most once an exchange. A body nobody reads is discarded or the connection closed. */
  readBody(sink: BodySink): void;
  pauseBody(): void;
  resumeBody(): void;
  /** 1xx, any number before the head. */
  writeInformational(status: number, headers: Headers): void;
  /** The final head. `length` as above; the transport chooses its framing. May be held back until the first body bytes of the same tick. */
  writeHead(status: number, headers: Headers, length: number): void;
  /** False: stop until `onDrain` is called. Once the exchange is over, true: what is written is dropped. */
  write(chunk: Uint8Array, release: Release): boolean;
  /** The last part of a body, a small one, as text of one character a byte. Absent: only `write`. */
  writeText?(text: string): void;
  end(trailers: Headers | null): void;
  /** Breaks the response so that the client can't take it for complete (RST, or a close before the end). */
  abort(): void;
  /** Set by whoever writes the response body. */
  onDrain: (() => void) | null;
  /** Set by whoever works on the exchange: the client went away before the response ended. */
  onClose: (() => void) | null;
  /** Address of the connected peer (not of a client behind it), IPv4 in dotted form also where mapped into IPv6. */
  readonly peerAddress: string;
  /** The rest of what the client's connection runs between, for a PROXY protocol header; absent or null: not known. */
  readonly addresses?: ConnectionAddresses | null;
  /** Null: the connection has no TLS. */
  readonly tls: TlsPeer | null;
  /**
   * RFC 9110 section 7.8: after a 101 the connection carries raw bytes both ways. Writes the head, takes what the client sends
   * to `peer`, and returns the client's own end. Null where the transport can't (HTTP/2, HTTP/1.0) or the client did not ask.
   */
  readonly tunnel: ((status: number, headers: Headers, peer: TunnelEnd) => TunnelEnd) | null;
}

/** One end of an upgraded connection, as the other end sees it. */
export interface TunnelEnd {
  /** Bytes for this end. False: stop until this end calls the other's `resume`. Ownership of `chunk` as in BodySink. */
  write(chunk: Uint8Array, release: Release): boolean;
  /** The other end sends no more (half-close). */
  end(): void;
  /** The other end broke: close at once. */
  destroy(): void;
  /** The other end can take bytes again after a false `write`. */
  resume(): void;
}

/** A final answer made by the gateway itself. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Uint8Array | string | null;
  /** Stable code for log and metric (`no-route`, `upstream-timeout`, …); empty for an answer that is not an error. */
  code: string;
}

const NO_FIELDS: readonly string[] = [];

export class Exchange {
  // The request, set by the listener. `path` is what matching and forwarding both use, without query.
  readonly method: string;
  readonly path: string;
  /** Raw query without `?`; undefined where there was none. Stages may take credentials out of it. */
  query: string | undefined;
  /** Lower-case host without port: what routes match. */
  readonly host: string;
  /** The Host field or :authority as it came. */
  readonly authority: string;
  readonly scheme: 'http' | 'https';
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';
  readonly headers: Headers;
  /** From trusted hops only; the peer's address otherwise. */
  readonly clientAddress: string;
  /** Replaced only by who has read the body (buffered-body.ts). */
  downstream: Downstream;
  /** performance.now() when the first byte of the head was read. */
  readonly startedAtMs: number;

  requestId = '';
  /** The configuration it began on, held until it has finished. */
  generation: Generation | null = null;
  /** Set by routing. */
  rule: CompiledRule | null = null;
  /** The prefix or exact path that matched, for prefix rewrites. */
  matchedPrefix = '';
  /** Response head as received from the backend or made by an answer; response stages edit it in place. */
  status = 0;
  responseHeaders: Headers | null = null;
  /** Stable reason code, empty when all went well. */
  code = '';
  /** `<namespace>/<name>` of the backend and `address:port` of the endpoint, for log and metrics. */
  backend = '';
  endpoint = '';
  /** Endpoints asked, one after the other or beside each other. */
  attempts = 0;
  /** ms from sending the request upstream to its response head; -1 when nothing was sent. */
  upstreamMs = -1;
  bytesIn = 0;
  bytesOut = 0;
  /** Who calls; null where nobody was asked, or nobody said. */
  identity: Identity | null = null;
  /** `www-authenticate` fields (name, value, …) for a caller who went on without credentials and turns out to need some. */
  challenges: readonly string[] = NO_FIELDS;
  /** Whether it is a gRPC call. */
  grpc: CallKind = NO_CALL;
  /** 0 to 16: the status the client was told. NO_STATUS: none so far. */
  grpcStatus = NO_STATUS;
  /** When the client's grpc-timeout is over, in the time of `startedAtMs`; 0: it set none. */
  deadlineMs = 0;
  /** x-forwarded-client-cert is of our making: what a client sends under that name is not passed on. */
  ownClientCert = false;
  /** Why it went to the rule's fallback (`unavailable`, `status`, …); empty: it did not. */
  fallback = '';
  /** The code a policy in dry run would have refused it with; the first one counts. */
  wouldRefuse = '';

  /** What the rate-limit stage took for it; a field of its own, as `locals` would be a map for nearly every request. */
  limits: object | null = null;
  /** What the cors stage found of the request's Origin; null: it has none, or the rule no such stage. */
  cors: string | null = null;
  /** Per-stage state, made only by stages that need it. */
  locals: Map<string, unknown> | null = null;
  /** The final head was handed to the transport: too late for another answer. */
  headWritten = false;
  finished = false;

  constructor(
    method: string,
    path: string,
    query: string | undefined,
    host: string,
    authority: string,
    scheme: 'http' | 'https',
    protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2',
    headers: Headers,
    clientAddress: string,
    downstream: Downstream,
    startedAtMs: number,
  ) {
    this.method = method;
    this.path = path;
    this.query = query;
    this.host = host;
    this.authority = authority;
    this.scheme = scheme;
    this.protocol = protocol;
    this.headers = headers;
    this.clientAddress = clientAddress;
    this.downstream = downstream;
    this.startedAtMs = startedAtMs;
  }
}
