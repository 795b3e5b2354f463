/**
 * HTTP/2 sessions of clients, whoever accepted their sockets: the cleartext listener (h2c.ts), the TLS listener by ALPN `h2`. They give the same
 * Exchange as HTTP/1.1.
 */
import type { Socket } from 'node:net';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { FramedHttp2Sessions } from './h2-sessions.ts';
import type { ListenerOptions, ListenerStats } from './options.ts';

export interface Http2SessionsOptions extends Omit<ListenerOptions, 'host' | 'port' | 'reusePort'> {
  /**
   * Asked for each request of a session with TLS: whether `host` (lower-case, without port) may not be served over a connection that was
   * opened as `tls` says (RFC 9113 section 9.1.2); it is answered 421. Default: each may.
   */
  readonly misdirected?: (tls: TlsPeer, host: string) => boolean;
}

export interface Http2Sessions {
  /**
   * Begins a session on a connected socket (net.Socket or TLSSocket, paused or not, nothing read yet) and owns it from then on. Never throws; a
   * socket beyond `limits.maxConnections` is closed. `tls`: null for cleartext.
   */
  accept(socket: Socket, tls: TlsPeer | null): void;
  /** Tells each client to go elsewhere with its next requests (GOAWAY); those that come all the same are still served. */
  beginDrain(): void;
  /** No further requests; resolves when those under way have ended, at the latest after `graceMs`, when they are broken off. */
  close(graceMs: number): Promise<void>;
  readonly stats: ListenerStats;
}

export function createHttp2Sessions(options: Http2SessionsOptions): Http2Sessions {
  return new FramedHttp2Sessions(options);
}
