/** Cleartext HTTP/2 with prior knowledge (RFC 9113 section 3.3) on a port of its own. */
import net, { type AddressInfo } from 'node:net';
import { createHttp2Sessions, type Http2Sessions } from './h2.ts';
import type { Listener, ListenerOptions, ListenerStats } from './options.ts';

export function createH2cListener(options: ListenerOptions): Listener {
  return new H2cListener(options);
}

class H2cListener implements Listener {
  readonly accepted = [0];
  private readonly options: ListenerOptions;
  private readonly sessions: Http2Sessions;
  private readonly server: net.Server;

  constructor(options: ListenerOptions) {
    this.options = options;
    this.sessions = createHttp2Sessions(options);
    this.server = net.createServer({ pauseOnConnect: true }, (socket) => {
      (this.accepted[0] as number)++;
      this.sessions.accept(socket, null);
    });
  }

  get stats(): ListenerStats {
    return this.sessions.stats;
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
    await this.sessions.close(graceMs);
    await closed;
  }
}
