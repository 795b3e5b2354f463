/** The HTTP/1.x listener: accepts connections, bounds and counts them, and drains them. */
import type { Socket } from 'node:net';
import type { Refusal } from '../codec/refusals.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { OpenSocket, ReadMode } from '../io/wire.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { AcceptingSockets } from './accepting.ts';
import { AddressCounts } from './address-counts.ts';
import { plainAddress } from './client-address.ts';
import { Http1Connection } from './http1-connection.ts';
import {
  DEFAULT_LISTENER_LIMITS,
  DEFAULT_LISTENER_TIMEOUTS,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
  type ListenerStats,
  type ListenerTimeouts,
  proxiedSockets,
} from './options.ts';
import type { ProxiedSockets } from './proxied-sockets.ts';

export function createHttp1Listener(options: ListenerOptions): Listener {
  return new Http1Listener(options);
}

/** What a connection sees of its listener, and what the outside sees as Listener. */
export class Http1Listener implements Listener {
  readonly limits: ListenerLimits;
  readonly timeouts: ListenerTimeouts;
  readonly wheel: TimerWheel;
  readonly trustedHops: number;
  readonly forwarded: boolean;
  readonly readMode: ReadMode;
  readonly handler: (exchange: Exchange) => void;
  readonly refuse: (refusal: Refusal) => Answer;
  readonly onError: (error: unknown) => void;
  readonly epochMs: () => number;
  /** Answers end their connection. */
  draining = false;
  /** `close` was called: a connection without a request closes. */
  stopping = false;
  private readonly sockets: AcceptingSockets;
  private readonly connections = new Set<Http1Connection>();
  private readonly addresses: AddressCounts;
  private readonly proxied: ProxiedSockets | null;
  private inFlight = 0;
  private requests = 0;
  private refused = 0;
  private overflow = 0;
  private onEmpty: (() => void) | null = null;

  constructor(options: ListenerOptions) {
    this.limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.timeouts = { ...DEFAULT_LISTENER_TIMEOUTS, ...options.timeouts };
    this.addresses = new AddressCounts(this.limits.maxConnectionsPerAddress);
    this.proxied = proxiedSockets(options, this.limits, this.timeouts);
    this.wheel = options.wheel;
    this.trustedHops = options.trustedHops ?? 0;
    this.forwarded = options.forwarded === true;
    this.readMode = options.readMode ?? 'onread';
    this.handler = options.handler;
    this.refuse = options.refuse;
    this.onError = options.onError ?? (() => {});
    this.epochMs = options.epochMs ?? Date.now;
    this.sockets = new AcceptingSockets({
      host: options.host,
      port: options.port,
      reusePort: options.reusePort ?? false,
      proxied: this.proxied,
      onSocket: (socket) => this.accept(socket),
      onError: this.onError,
    });
  }

  get accepted(): readonly number[] {
    return this.sockets.accepted;
  }

  get stats(): ListenerStats {
    return {
      connections: this.connections.size,
      inFlight: this.inFlight,
      requests: this.requests,
      refused: this.refused + (this.proxied?.refused ?? 0),
      overflow: this.overflow,
    };
  }

  listen(): Promise<{ address: string; port: number }> {
    return this.sockets.listen();
  }

  beginDrain(): void {
    this.draining = true;
  }

  async close(graceMs: number): Promise<void> {
    this.draining = true;
    this.stopping = true;
    const closed = this.sockets.close();
    for (const connection of this.connections) connection.drain();
    if (this.connections.size > 0) {
      await new Promise<void>((resolve) => {
        const deadline = setTimeout(() => {
          for (const connection of this.connections) connection.wire.destroy();
        }, graceMs);
        this.onEmpty = () => {
          clearTimeout(deadline);
          resolve();
        };
      });
    }
    await closed;
  }

  /** Serves a connection that another listener accepted, and counts it here. */
  adopt(socket: Socket | OpenSocket, tls: TlsPeer | null): Http1Connection {
    const connection = new Http1Connection(this, socket, tls);
    this.connections.add(connection);
    return connection;
  }

  // For connections.

  requestBegan(): void {
    this.requests++;
    this.inFlight++;
  }

  requestRefused(): void {
    this.requests++;
    this.refused++;
  }

  exchangeEnded(): void {
    this.inFlight--;
  }

  closed(connection: Http1Connection): void {
    this.connections.delete(connection);
    if (this.connections.size === 0) this.onEmpty?.();
  }

  private accept(socket: Socket): void {
    const address =
      this.connections.size >= this.limits.maxConnections
        ? null
        : this.addresses.enter(plainAddress(socket.remoteAddress));
    if (address === null) {
      this.overflow++;
      socket.on('error', () => {});
      socket.end('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n', () =>
        socket.destroy(),
      );
      return;
    }
    const connection = this.adopt(socket, null);
    if (address !== '') connection.wire.socket.once('close', () => this.addresses.leave(address));
  }
}
