/** A connection after a 101 (RFC 9110 section 7.8): raw bytes both ways. */
import type { Exchange, Release, TunnelEnd } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { Channel } from './channel.ts';
import { ServerFrames } from './websocket-frames.ts';

/** A close frame that says 1001, going away (RFC 6455 sections 5.5.1 and 7.4.1). */
const GOING_AWAY = Uint8Array.of(0x88, 2, 1001 >> 8, 1001 & 0xff);

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
  upgrade: string,
  channel: Channel,
  owner: TunnelOwner,
): Tunnel | null {
  const { tunnel } = exchange.downstream;
  if (tunnel === null) return null;
  const frames = upgrade.toLowerCase() === 'websocket' ? new ServerFrames() : null;
  const joined = new Tunnel(owner, frames);
  joined.backend = channel.openTunnel(joined.fromBackend);
  joined.begin(tunnel.call(exchange.downstream, exchange.status, headers, joined.fromClient));
  return joined;
}

export class Tunnel {
  backend: TunnelEnd | null = null;
  private client: TunnelEnd | null = null;
  private readonly owner: TunnelOwner;
  /** Null: not a WebSocket. */
  private readonly frames: ServerFrames | null;
  /** Each end is made with the other one in hand; what the backend says before both are there waits here. */
  private early: [Uint8Array, Release][] = [];
  private endedEarly = false;
  /** The client is to be told to go once a message has ended; then it was told, and nothing of the backend may follow. */
  private parting = false;
  private told = false;

  constructor(owner: TunnelOwner, frames: ServerFrames | null) {
    this.owner = owner;
    this.frames = frames;
  }

  readonly fromBackend: TunnelEnd = {
    write: (chunk, release) => this.toClient(chunk, release),
    end: () => {
      if (this.client === null) this.endedEarly = true;
      else this.client.end();
    },
    destroy: () => this.client?.destroy(),
    resume: () => this.client?.resume(),
  };

  readonly fromClient: TunnelEnd = {
    write: (chunk, release) => {
      this.owner.onTraffic();
      return (this.backend as TunnelEnd).write(chunk, release);
    },
    end: () => this.backend?.end(),
    destroy: () => this.owner.onClientGone(),
    resume: () => this.backend?.resume(),
  };

  begin(client: TunnelEnd): void {
    this.client = client;
    for (const [chunk, release] of this.early) this.toClient(chunk, release);
    this.early = [];
    if (this.endedEarly) client.end();
  }

  /**
   * The gateway goes away. A WebSocket client is told so between two messages; its answer is the close frame that the backend sees, after all that the
   * client had sent. Any other tunnel: FIN both ways. What is under way still passes.
   */
  goAway(): void {
    const { frames, client } = this;
    if (frames === null || frames.lost) {
      client?.end();
      this.backend?.end();
    } else if (frames.between) this.tell();
    else this.parting = true;
  }

  private toClient(chunk: Uint8Array, release: Release): boolean {
    const { client, frames } = this;
    this.owner.onTraffic();
    if (client === null) {
      this.early.push([chunk, release]);
      return true;
    }
    if (this.told) {
      if (release !== null) release();
      return true;
    }
    if (frames === null) return client.write(chunk, release);
    const passed = frames.pass(chunk, this.parting);
    if (!this.parting || !frames.between) return client.write(chunk, release);
    const more = client.write(passed < chunk.length ? chunk.subarray(0, passed) : chunk, release);
    this.tell();
    return more;
  }

  private tell(): void {
    this.parting = false;
    // One of the backend's own went before.
    if (this.frames?.closing === true) return;
    this.told = true;
    this.client?.write(GOING_AWAY, NOTHING);
  }
}

const NOTHING = (): void => {};
