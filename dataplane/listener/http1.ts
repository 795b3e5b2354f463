/** The HTTP/1.x listener: accepts connections, bounds and counts them, and drains them. */
import net from 'node:net';
import type { Refusal } from '../codec/refusals.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { ReadMode } from '../io/wire.ts';
import type { Answer, Exchange } from '../pipeline/exchange.ts';
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

/**
 * libuv accepts one connection a turn of the event loop from each listening socket: a worker whose turns are long would leave clients waiting
 * in the kernel for seconds. With `reusePort` it has several, and the kernel spreads connections over them.
 */
const SOCKETS = 64;
/** Connections the kernel holds until they are accepted, of one socket; and of each of several. */
const BACKLOG = 4096;
const SHARED_BACKLOG = 128;

export function createHttp1Listener(options: ListenerOptions): Listener {
  return new Http1Listener(options);
}

/** What a connection sees of its listener, and what the outside sees as Listener. */
export class Http1Listener implements Listener {
  readonly accepted: number[] = [];
  readonly limits: ListenerLimits;
  readonly timeouts: ListenerTimeouts;
  readonly wheel: TimerWheel;
  readonly trustedHops: number;
  readonly readMode: ReadMode;
  readonly handler: (exchange: Exchange) => void;
  readonly refuse: (refusal: Refusal) => Answer;
  readonly onError: (error: unknown) => void;
  readonly epochMs: () => number;
  /** Answers end their connection. */
  draining = false;
  /** `close` was called: a connection without a request closes. */
  stopping = false;
  private readonly options: ListenerOptions;
  private readonly servers: net.Server[] = [];
  private readonly connections = new Set<Http1Connection>();
  private readonly addresses: AddressCounts;
  private readonly proxied: ProxiedSockets | null;
  private inFlight = 0;
  private requests = 0;
  private refused = 0;
  private overflow = 0;
  private onEmpty: (() => void) | null = null;

  constructor(options: ListenerOptions) {
    this.options = options;
    this.limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.timeouts = { ...DEFAULT_LISTENER_TIMEOUTS, ...options.timeouts };
    this.addresses = new AddressCounts(this.limits.maxConnectionsPerAddress);
    this.proxied = proxiedSockets(options, this.limits, this.timeouts);
    this.wheel = options.wheel;
    this.trustedHops = options.trustedHops ?? 0;
    this.readMode = options.readMode ?? 'onread';
    this.handler = options.handler;
    this.refuse = options.refuse;
    this.onError = options.onError ?? (() => {});
    this.epochMs = options.epochMs ?? Date.now;
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

  async listen(): Promise<{ address: string; port: number }> {
    const first = await this.open(this.options.port);
    const more = this.options.reusePort === true ? SOCKETS - 1 : 0;
    await Promise.all(Array.from({ length: more }, () => this.open(first.port)));
    return first;
  }

  beginDrain(): void {
    this.draining = true;
  }

  async close(graceMs: number): Promise<void> {
    this.draining = true;
    this.stopping = true;
    const closed = Promise.all(
      this.servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
    this.proxied?.close();
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

  private open(port: number): Promise<{ address: string; port: number }> {
    const { host, reusePort = false } = this.options;
    const backlog = reusePort ? SHARED_BACKLOG : BACKLOG;
    const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: false }, (socket) => {
      (this.accepted[place] as number)++;
      if (this.proxied === null) this.accept(socket);
      else this.proxied.accept(socket, this.acceptProxied);
    });
    const place = this.servers.push(server) - 1;
    this.accepted.push(0);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog, reusePort }, () => {
        server.off('error', reject);
        // An accept that fails (out of descriptors) must not end the worker.
        server.on('error', this.onError);
        const { address, port: bound } = server.address() as net.AddressInfo;
        resolve({ address, port: bound });
      });
    });
  }

  private readonly acceptProxied = (socket: net.Socket): void => this.accept(socket);

  private accept(socket: net.Socket): void {
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
    const connection = new Http1Connection(this, socket);
    this.connections.add(connection);
    if (address !== '') connection.wire.socket.once('close', () => this.addresses.leave(address));
  }
}
