import type { BlockList } from 'node:net';
import { type ChunkLimits, DEFAULT_CHUNK_LIMITS } from '../codec/chunked.ts';
import { DEFAULT_HEAD_LIMITS } from '../codec/fields.ts';
import type { Refusal } from '../codec/refusals.ts';
import type { RequestHeadLimits } from '../codec/request-head.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { ReadMode } from '../io/wire.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import type { ListenerConfig } from '../settings/listener.ts';
import { ProxiedSockets } from './proxied-sockets.ts';

export interface ListenerLimits {
  readonly head: RequestHeadLimits;
  readonly chunks: ChunkLimits;
  /** Open connections; one more is answered 503 and closed. */
  readonly maxConnections: number;
  /** Open connections from one client address, told by its socket; one more is answered 503 and closed. 0: any number. */
  readonly maxConnectionsPerAddress: number;
  /** Requests over one connection; the answer to the last says that it closes. 0: any number. */
  readonly maxRequestsPerConnection: number;
  /** Bytes of one request body. Above: 413. 0: any number. */
  readonly bodyBytes: number;
  /** Bytes of pipelined requests held while one is being answered; beyond, reading stops. */
  readonly pipelineBytes: number;
  /** Bytes of a request body read and dropped after its answer so that the connection can be used again; beyond, it is closed. */
  readonly discardBytes: number;
}

export const DEFAULT_LISTENER_LIMITS: ListenerLimits = {
  head: { ...DEFAULT_HEAD_LIMITS, mergeSlashes: true },
  chunks: DEFAULT_CHUNK_LIMITS,
  maxConnections: 50_000,
  maxConnectionsPerAddress: 0,
  maxRequestsPerConnection: 0,
  bodyBytes: 0,
  pipelineBytes: 64 * 1024,
  discardBytes: 256 * 1024,
};

export const SLOW_BODY_WINDOW_MS = 10_000;

/** All in ms; 0 switches one off. They fire up to one tick of the wheel late. */
export interface ListenerTimeouts {
  /** From the first byte of a head (or the accept) to its end: 408. */
  readonly headerMs: number;
  /** Between requests. */
  readonly idleMs: number;
  /** Between two reads of a request body that is wanted: 408. */
  readonly bodyMs: number;
  /** Bytes a second a request body that is wanted has to bring, told over SLOW_BODY_WINDOW_MS; below: 408. 0: any. */
  readonly bodyBytesPerSecond: number;
  /** Without the client taking a byte of a waiting response: closed. */
  readonly writeMs: number;
  /**
   * How long a request lives on after its client closed its sending side. Nearly always that client is gone, and only a write
   * would tell; a client that half-closes and waits still gets an answer that comes within this time.
   */
  readonly halfCloseMs: number;
  /** How long a connection that is being closed is read on, so that no reset destroys the answer on its way (RFC 9112 section 9.6). */
  readonly lingerMs: number;
}

export const DEFAULT_LISTENER_TIMEOUTS: ListenerTimeouts = {
  headerMs: 10_000,
  idleMs: 75_000,
  bodyMs: 30_000,
  bodyBytesPerSecond: 0,
  writeMs: 30_000,
  halfCloseMs: 5_000,
  lingerMs: 2_000,
};

export function listenerOptions(config: ListenerConfig): Pick<ListenerOptions, 'limits' | 'timeouts' | 'forwarded'> {
  const {
    requestLineBytes,
    headerBytes,
    headerCount,
    headerMs,
    idleMs,
    bodyMs,
    bodyBytesPerSecond,
    forwarded,
    ...limits
  } = config;
  return {
    forwarded,
    limits: { ...limits, head: { ...DEFAULT_LISTENER_LIMITS.head, requestLineBytes, headerBytes, headerCount } },
    timeouts: { headerMs, idleMs, bodyMs, bodyBytesPerSecond },
  };
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** SO_REUSEPORT, so that several workers share one port. */
  readonly reusePort?: boolean;
  /** Called synchronously with each request; everything after goes through `exchange.downstream`. */
  readonly handler: (exchange: Exchange) => void;
  /** The answer to what never became an exchange. Must not throw. Only status, headers and body are used. */
  readonly refuse: (refusal: Refusal) => Answer;
  /** A handler that threw: the exchange is broken off. */
  readonly onError?: (error: unknown) => void;
  readonly wheel: TimerWheel;
  readonly limits?: Partial<ListenerLimits>;
  readonly timeouts?: Partial<ListenerTimeouts>;
  /** Proxies in front whose X-Forwarded-* are believed; see client-address.ts. Default 0. */
  readonly trustedHops?: number;
  /** Those proxies write Forwarded (RFC 7239); default: X-Forwarded-* only. */
  readonly forwarded?: boolean;
  /** Whose PROXY protocol header is believed, and asked for. Default: nobody's. */
  readonly proxiesFrom?: BlockList | null;
  /** Default `onread`. */
  readonly readMode?: ReadMode;
  /** Wall clock for the Date field, ms since the epoch. */
  readonly epochMs?: () => number;
}

/** Null: the listener reads no PROXY protocol. */
export function proxiedSockets(
  { proxiesFrom = null }: Pick<ListenerOptions, 'proxiesFrom'>,
  { maxConnections }: Pick<ListenerLimits, 'maxConnections'>,
  { headerMs }: Pick<ListenerTimeouts, 'headerMs'>,
): ProxiedSockets | null {
  if (proxiesFrom === null) return null;
  return new ProxiedSockets({ from: proxiesFrom, timeoutMs: headerMs, maxWaiting: maxConnections });
}

export interface ListenerStats {
  readonly connections: number;
  /** Exchanges handed to the handler whose response has not ended. */
  readonly inFlight: number;
  /** Requests since the start, refused ones included. */
  readonly requests: number;
  readonly refused: number;
  /** Connections turned away at `maxConnections` or `maxConnectionsPerAddress`. */
  readonly overflow: number;
}

export interface Listener {
  /** Connections accepted since the start, by listening socket, those turned away included; goes on to change. */
  readonly accepted: readonly number[];
  listen(): Promise<{ address: string; port: number }>;
  /** From now on answers end their connection. New connections are still accepted. */
  beginDrain(): void;
  /** Stops accepting, closes idle connections, and waits for the others at most `graceMs`; then they are broken off. */
  close(graceMs: number): Promise<void>;
  readonly stats: ListenerStats;
}
