/** The listening sockets of one port: who accepts, and how many were accepted. */
import net from 'node:net';
import type { ProxiedSockets } from './proxied-sockets.ts';

/**
 * libuv accepts one connection a turn of the event loop from each listening socket: a worker whose turns are long would leave clients waiting
 * in the kernel for seconds. With `reusePort` it has several, and the kernel spreads connections over them.
 */
const SOCKETS = 64;
/** Connections the kernel holds until they are accepted, of one socket; and of each of several. */
const BACKLOG = 4096;
const SHARED_BACKLOG = 128;

export interface AcceptingOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly reusePort?: boolean;
  /** Null: who connects is who it seems to be. */
  readonly proxied: ProxiedSockets | null;
  /** Each is paused since it connected, half-open allowed. */
  readonly onSocket: (socket: net.Socket) => void;
  /** An accept that fails (out of descriptors) must not end the worker. */
  readonly onError: (error: unknown) => void;
}

export class AcceptingSockets {
  /** Connections accepted since the start, by listening socket; goes on to change. */
  readonly accepted: number[] = [];
  private readonly options: AcceptingOptions;
  private readonly servers: net.Server[] = [];

  constructor(options: AcceptingOptions) {
    this.options = options;
  }

  async listen(): Promise<{ address: string; port: number }> {
    const first = await this.open(this.options.port);
    const more = this.options.reusePort === true ? SOCKETS - 1 : 0;
    await Promise.all(Array.from({ length: more }, () => this.open(first.port)));
    return first;
  }

  /** Accepts no more; resolves when the connections that were not taken over by others are closed too. */
  async close(): Promise<void> {
    this.options.proxied?.close();
    await Promise.all(this.servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  }

  private open(port: number): Promise<{ address: string; port: number }> {
    const { host, reusePort = false } = this.options;
    const backlog = reusePort ? SHARED_BACKLOG : BACKLOG;
    const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: false }, (socket) => {
      (this.accepted[place] as number)++;
      const { proxied, onSocket } = this.options;
      if (proxied === null) onSocket(socket);
      else proxied.accept(socket, onSocket);
    });
    const place = this.servers.push(server) - 1;
    this.accepted.push(0);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog, reusePort }, () => {
        server.off('error', reject);
        server.on('error', this.options.onError);
        const { address, port: bound } = server.address() as net.AddressInfo;
        resolve({ address, port: bound });
      });
    });
  }
}
