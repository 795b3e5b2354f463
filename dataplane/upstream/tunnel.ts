/** A connection after a 101 (RFC 9110 section 7.8): raw bytes both ways. */
import type { Exchange, TunnelEnd } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { UpstreamConnection } from './connection.ts';

/** Who wants to know of a tunnel. */
export interface TunnelOwner {
  /** Bytes went through, either way. */
  onTraffic(): void;
  /** The client's end broke. */
  onClientGone(): void;
}

/** Writes the response head and joins both ends. Nothing where the client's transport has no tunnels. */
export function joinTunnel(
  exchange: Exchange,
  headers: Headers,
  connection: UpstreamConnection,
  owner: TunnelOwner,
): void {
  const { wire } = connection;
  const { tunnel } = exchange.downstream;
  if (tunnel === null) return;
  const backend: TunnelEnd = {
    write: (chunk, release) => {
      owner.onTraffic();
      wire.writeBytes(chunk, release);
      return !wire.blocked;
    },
    end: () => wire.finish(),
    destroy: () => owner.onClientGone(),
    resume: () => wire.resume(),
  };
  const client = tunnel.call(exchange.downstream, exchange.status, headers, backend);
  connection.openTunnel({
    write: (chunk, release) => {
      owner.onTraffic();
      return client.write(chunk, release);
    },
    end: () => client.end(),
    destroy: () => client.destroy(),
    resume: () => client.resume(),
  });
}
