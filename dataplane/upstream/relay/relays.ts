/** Connections that are passed through to a backend as they are (TLS passthrough): who has one, how many there are, and their end. */
import type net from 'node:net';
import type { TimerWheel } from '../../io/wheel.ts';
import type { TlsHost } from '../../tls/host.ts';
import { Relay, type RelayResult } from './relay.ts';

export interface RelaysOptions {
  readonly wheel: TimerWheel;
  /** ms without a byte either way, after which a connection is closed. 0: never. Default 5 minutes. */
  readonly idleMs?: number;
  /** Once for each connection, when it is over. `backend`: `<namespace>/<name>`. */
  readonly onEnd?: (backend: string, result: RelayResult) => void;
}

const IDLE_MS = 300_000;

export class Relays {
  readonly wheel: TimerWheel;
  readonly idleMs: number;
  private readonly onEnd: (backend: string, result: RelayResult) => void;
  private readonly live = new Set<Relay>();
  private onEmpty: (() => void) | null = null;

  constructor({ wheel, idleMs = IDLE_MS, onEnd = () => {} }: RelaysOptions) {
    this.wheel = wheel;
    this.idleMs = idleMs;
    this.onEnd = onEnd;
  }

  get connections(): number {
    return this.live.size;
  }

  /** Owns `socket` from then on, of which `hello` has been read already. */
  open(socket: net.Socket, hello: Buffer, { upstream }: TlsHost, serverName: string): void {
    if (upstream === null) {
      socket.destroy();
      return;
    }
    const relay = new Relay(this, upstream, socket, hello, serverName);
    this.live.add(relay);
    relay.start();
  }

  ended(relay: Relay, backend: string, result: RelayResult): void {
    this.live.delete(relay);
    this.onEnd(backend, result);
    if (this.live.size === 0) this.onEmpty?.();
  }

  /** Resolves when all are over, at the latest after `graceMs`, when they are broken off: nothing tells their ends to go elsewhere. */
  async close(graceMs: number): Promise<void> {
    if (this.live.size === 0) return;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const relay of [...this.live]) relay.end('drained');
      }, graceMs);
      this.onEmpty = () => {
        clearTimeout(deadline);
        resolve();
      };
    });
  }
}
