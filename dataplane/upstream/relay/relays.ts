/** Connections that are passed through to a backend as they are (TLS passthrough). */
import type net from 'node:net';
import type { TlsHost } from '../../tls/host.ts';

export class Relays {
  connections = 0;

  open(socket: net.Socket, _hello: Buffer, _host: TlsHost, _serverName: string): void {
    socket.destroy();
  }

  async close(_graceMs: number): Promise<void> {}
}
