/**
 * Connections whose first bytes say who the client is (PROXY protocol), where a listener believes it: every connection from a listed source has
 * to begin so, or it is closed; from any other source nothing is looked for.
 */
import type { BlockList, Socket } from 'node:net';
import { listHolds } from '../pipeline/addresses.ts';
import { plainAddress } from './client-address.ts';
import { type ProxyHeader, readProxyHeader } from './proxy-protocol.ts';

export interface ProxiedOptions {
  /** Who is believed. */
  readonly from: BlockList;
  /** For the whole header; 0: any time. */
  readonly timeoutMs: number;
  /** Connections whose header is waited for; one more is closed. */
  readonly maxWaiting: number;
}

export class ProxiedSockets {
  /** Connections closed for their header: missing, malformed, late, or one too many. */
  refused = 0;
  readonly #options: ProxiedOptions;
  readonly #waiting = new Set<Socket>();

  constructor(options: ProxiedOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Gives `next` the socket (paused since it connected) once it is known who the client is: its `remoteAddress` and `remotePort` are the client's
   * from then on, and what came after the header is read from it first.
   */
  accept(socket: Socket, next: (socket: Socket) => void): void {
    const { from, maxWaiting, timeoutMs } = this.#options;
    if (!listHolds(from, plainAddress(socket.remoteAddress))) {
      next(socket);
      return;
    }
    if (this.#waiting.size >= maxWaiting) {
      this.refused++;
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    this.#waiting.add(socket);
    let held: Buffer | null = null;
    const refuse = (): void => {
      this.refused++;
      socket.destroy();
    };
    const timer = timeoutMs > 0 ? setTimeout(refuse, timeoutMs) : undefined;
    const stop = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
    };
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        held = held === null ? chunk : Buffer.concat([held, chunk]);
      }
      if (held === null) return;
      const header = readProxyHeader(held);
      if (header === 'more') return;
      if (header === 'bad') {
        refuse();
        return;
      }
      stop();
      socket.off('readable', onReadable).off('end', refuse).off('error', onError).off('close', stop);
      socket.pause();
      if (held.length > header.bytes) socket.unshift(held.subarray(header.bytes));
      take(socket, header);
      next(socket);
    };
    const onError = (): void => {};
    socket.on('readable', onReadable).on('end', refuse).on('error', onError).on('close', stop);
  }

  /** Nobody is waited for any more. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }
}

/** The socket's own would be asked of the kernel, which knows the proxy only. */
function take(socket: Socket, { source }: ProxyHeader): void {
  if (source === null) return;
  Object.defineProperty(socket, 'remoteAddress', { value: source.address });
  Object.defineProperty(socket, 'remotePort', { value: source.port });
}
