/** Cleartext HTTP/2 with prior knowledge (RFC 9113 section 3.3) on a port of its own. */
import net, { type AddressInfo } from 'node:net';
import { createHttp2Sessions, type Http2Sessions } from './h2.ts';
import {
  DEFAULT_LISTENER_LIMITS,
  DEFAULT_LISTENER_TIMEOUTS,
  type Listener,
  type ListenerOptions,
  type ListenerStats,
  proxiedSockets,
} from './options.ts';
import type { ProxiedSockets } from './proxied-sockets.ts';

export function createH2cListener(options: ListenerOptions): Listener {
  return new H2cListener(options);
}

class H2cListener implements Listener {
  readonly accepted = [0];
  private readonly options: ListenerOptions;
  private readonly sessions: Http2Sessions;
  private readonly server: net.Server;
  private readonly proxied: ProxiedSockets | null;

  constructor(options: ListenerOptions) {
    this.options = options;
    this.sessions = createHttp2Sessions(options);
    const limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.proxied = proxiedSockets(options, limits, { ...DEFAULT_LISTENER_TIMEOUTS, ...options.timeouts });
    const accept = (socket: net.Socket): void => this.sessions.accept(socket, null);
    this.server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      (this.accepted[0] as number)++;
      if (this.proxied === null) accept(socket);
      else this.proxied.accept(socket, accept);
    });
  }

  get stats(): ListenerStats {
    const { stats } = this.sessions;
    return this.proxied === null ? stats : { ...stats, refused: stats.refused + this.proxied.refused };
  }

  listen(): Promise<{ address: string; port: number }> {
    const { host, port, reusePort = false, onError = () => {} } = this.options;
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ host, port, reusePort }, () => {
        this.server.off('error', reject);
        this.server.on('error', onError);
        const { address, port: bound } = this.server.address() as AddressInfo;
        resolve({ address, port: bound });
      });
    });
  }

  beginDrain(): void {
    this.sessions.beginDrain();
  }

  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    this.proxied?.close();
    await this.sessions.close(graceMs);
    await closed;
  }
}
