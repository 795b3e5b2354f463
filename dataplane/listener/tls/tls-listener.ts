/** The TLS listener: accepts connections, reads for whom they are, and hands them on to HTTP/1.1, HTTP/2 or, undeciphered, to a backend. */
import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { OpenSocket } from '../../io/wire.ts';
import type { TlsPeer } from '../../pipeline/tls-peer.ts';
import type { TlsHost } from '../../tls/host.ts';
import { AcceptingSockets } from '../accepting.ts';
import { AddressCounts } from '../address-counts.ts';
import { plainAddress } from '../client-address.ts';
import type { Http2Sessions } from '../h2.ts';
import { Http1Listener } from '../http1.ts';
import {
  DEFAULT_LISTENER_LIMITS,
  DEFAULT_LISTENER_TIMEOUTS,
  type Listener,
  type ListenerOptions,
  type ListenerStats,
  proxiedSockets,
} from '../options.ts';
import type { ProxiedSockets } from '../proxied-sockets.ts';
import { Handshake, type HandshakeOwner, type HandshakeResult } from './handshake.ts';

/** Takes connections that are passed through to a backend as they are. */
export interface Relays {
  readonly connections: number;
  /** Owns `socket` from then on, of which `hello` has been read already. */
  open(socket: net.Socket, hello: Buffer, host: TlsHost, serverName: string): void;
  /** Resolves when all are over, at the latest after `graceMs`, when they are broken off. */
  close(graceMs: number): Promise<void>;
}

export interface TlsListenerOptions extends ListenerOptions {
  /** Of the running generation. `serverName`: lower-case, empty where the client named none. Null: nobody's. */
  readonly hostFor: (serverName: string) => TlsHost | null;
  /** Asked for each handshake. Null: HTTP/2 is not offered. */
  readonly http2: () => Http2Sessions | null;
  readonly relays: Relays;
  /** Once for each connection that was not turned away. `version`: empty where the handshake failed. */
  readonly onHandshake?: (result: HandshakeResult, version: string) => void;
  /** From the accept to the end of the handshake, ms. Default 10 s. */
  readonly handshakeMs?: number;
  /** Under way at a time; further connections are closed at once. Default 4096. */
  readonly maxHandshakes?: number;
}

export function createTlsListener(options: TlsListenerOptions): Listener {
  return new TlsListener(options);
}

const HANDSHAKE_MS = 10_000;
const MAX_HANDSHAKES = 4096;

class TlsListener implements Listener, HandshakeOwner {
  readonly wheel: ListenerOptions['wheel'];
  readonly handshakeMs: number;
  readonly onread: boolean;
  private readonly options: TlsListenerOptions;
  private readonly maxConnections: number;
  private readonly maxHandshakes: number;
  private readonly sockets: AcceptingSockets;
  private readonly http1: Http1Listener;
  private readonly addresses: AddressCounts;
  private readonly proxied: ProxiedSockets | null;
  private readonly handshakes = new Set<Handshake>();
  private overflow = 0;
  private onNoHandshake: (() => void) | null = null;

  constructor(options: TlsListenerOptions) {
    this.options = options;
    const limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.maxConnections = limits.maxConnections;
    this.maxHandshakes = options.maxHandshakes ?? MAX_HANDSHAKES;
    this.wheel = options.wheel;
    this.handshakeMs = options.handshakeMs ?? HANDSHAKE_MS;
    this.onread = options.readMode !== 'data';
    this.http1 = new Http1Listener({ ...options, proxiesFrom: null });
    this.addresses = new AddressCounts(limits.maxConnectionsPerAddress);
    const timeouts = { ...DEFAULT_LISTENER_TIMEOUTS, ...options.timeouts };
    this.proxied = proxiedSockets(options, limits, timeouts);
    this.sockets = new AcceptingSockets({
      host: options.host,
      port: options.port,
      reusePort: options.reusePort ?? false,
      proxied: this.proxied,
      onSocket: (socket) => this.accept(socket),
      onError: options.onError ?? (() => {}),
    });
  }

  get accepted(): readonly number[] {
    return this.sockets.accepted;
  }

  /** All that its connections are used for, HTTP/2 and what is passed through included. */
  get stats(): ListenerStats {
    const a = this.http1.stats;
    const b = this.options.http2()?.stats;
    return {
      connections: a.connections + this.handshakes.size + this.options.relays.connections + (b?.connections ?? 0),
      inFlight: a.inFlight + (b?.inFlight ?? 0),
      requests: a.requests + (b?.requests ?? 0),
      refused: a.refused + (b?.refused ?? 0) + (this.proxied?.refused ?? 0),
      overflow: a.overflow + this.overflow + (b?.overflow ?? 0),
    };
  }

  listen(): Promise<{ address: string; port: number }> {
    return this.sockets.listen();
  }

  beginDrain(): void {
    this.http1.beginDrain();
    this.options.http2()?.beginDrain();
  }

  async close(graceMs: number): Promise<void> {
    const until = performance.now() + graceMs;
    const { relays } = this.options;
    this.beginDrain();
    const closed = this.sockets.close();
    for (const handshake of this.handshakes) handshake.stop();
    // Who is in the middle of it has its connection first, so that nothing is served after the end.
    await this.handshakesEnded(graceMs);
    const left = Math.max(0, until - performance.now());
    await Promise.all([closed, this.http1.close(left), this.options.http2()?.close(left), relays.close(left)]);
  }

  private async handshakesEnded(graceMs: number): Promise<void> {
    if (this.handshakes.size === 0) return;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const handshake of this.handshakes) handshake.abandon();
      }, graceMs);
      this.onNoHandshake = () => {
        clearTimeout(deadline);
        resolve();
      };
    });
  }

  // For handshakes.

  get http2(): boolean {
    return this.options.http2() !== null;
  }

  hostFor(serverName: string): TlsHost | null {
    return this.options.hostFor(serverName);
  }

  ended(handshake: Handshake, result: HandshakeResult, version: string): void {
    this.handshakes.delete(handshake);
    if (this.handshakes.size === 0) this.onNoHandshake?.();
    this.options.onHandshake?.(result, version);
  }

  serveHttp1(open: OpenSocket, tls: TlsPeer): void {
    this.http1.adopt(open, tls);
  }

  serveHttp2(socket: TLSSocket, tls: TlsPeer): void {
    this.options.http2()?.accept(socket, tls);
  }

  passThrough(socket: net.Socket, hello: Buffer, host: TlsHost, serverName: string): void {
    this.options.relays.open(socket, hello, host, serverName);
  }

  private accept(socket: net.Socket): void {
    const full = this.stats.connections >= this.maxConnections || this.handshakes.size >= this.maxHandshakes;
    const address = full ? null : this.addresses.enter(plainAddress(socket.remoteAddress));
    if (address === null) {
      this.overflow++;
      // An answer would need a handshake first.
      socket.destroy();
      return;
    }
    const handshake = new Handshake(this, socket, address === '' ? null : () => this.addresses.leave(address));
    this.handshakes.add(handshake);
  }
}
