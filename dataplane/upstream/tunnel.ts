/** A connection after a 101 (RFC 9110 section 7.8): raw bytes both ways. */
import type { Exchange, Release, TunnelEnd } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { Channel } from './channel.ts';

/** Who wants to know of a tunnel. */
export interface TunnelOwner {
  /** Bytes went through, either way. */
  onTraffic(): void;
  /** The client's end broke. */
  onClientGone(): void;
}

/**
 * Writes the response head and joins both ends. Nothing where the client's transport has no tunnels. What it returns sends FIN both ways: what
 * still comes is passed on.
 */
export function joinTunnel(exchange: Exchange, headers: Headers, channel: Channel, owner: TunnelOwner): () => void {
  const { tunnel } = exchange.downstream;
  if (tunnel === null) return () => {};
  // Each end is made with the other one in hand; what comes before both are there waits in between.
  let client: TunnelEnd | null = null;
  const early: [Uint8Array, Release][] = [];
  let ended = false;
  const backend = channel.openTunnel({
    write: (chunk, release) => {
      owner.onTraffic();
      if (client !== null) return client.write(chunk, release);
      early.push([chunk, release]);
      return true;
    },
    end: () => {
      if (client === null) ended = true;
      else client.end();
    },
    destroy: () => client?.destroy(),
    resume: () => client?.resume(),
  });
  client = tunnel.call(exchange.downstream, exchange.status, headers, {
    write: (chunk, release) => {
      owner.onTraffic();
      return backend.write(chunk, release);
    },
    end: () => backend.end(),
    destroy: () => owner.onClientGone(),
    resume: () => backend.resume(),
  });
  for (const [chunk, release] of early) client.write(chunk, release);
  if (ended) client.end();
  const ends = [client, backend];
  return () => {
    for (const end of ends) end.end();
  };
}
