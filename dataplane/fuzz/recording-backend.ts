/** A backend that notes what it is asked, as llhttp reads it, and answers each whole request with 200. */
import { once } from 'node:events';
import net from 'node:net';
import { readRequests } from './llhttp.ts';
import type { Message } from './reading.ts';

export class RecordingBackend {
  port = 0;
  /** In the order of connections, then of requests. */
  #connections: { requests: Message[]; refused: string | null }[] = [];
  readonly #sockets = new Set<net.Socket>();
  readonly #server = net.createServer((socket) => this.#serve(socket));

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  /** What was asked since the last call. */
  take(): { requests: Message[]; refused: string | null } {
    const taken = this.#connections;
    this.#connections = [];
    for (const socket of this.#sockets) socket.destroy();
    return {
      requests: taken.flatMap(({ requests }) => requests),
      refused: taken.find(({ refused }) => refused !== null)?.refused ?? null,
    };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: net.Socket): void {
    const record: { requests: Message[]; refused: string | null } = { requests: [], refused: null };
    const pieces: Buffer[] = [];
    let answered = 0;
    let continued = 0;
    this.#connections.push(record);
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      pieces.push(bytes);
      const { messages, refused } = readRequests([Buffer.concat(pieces)]);
      record.requests = messages;
      record.refused = refused;
      for (const { complete, fields } of messages.slice(answered)) {
        const waits = fields.some((text, i) => i % 2 === 0 && text === 'expect') && continued <= answered;
        if (waits) {
          continued = answered + 1;
          socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        }
        if (!complete) break;
        answered++;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      }
      if (refused !== null) socket.destroy();
    });
  }
}

/**
 * Sends `pieces` and waits until the other side has closed. `quietMs`: or nothing more came for so long; left out, the end of what is sent is
 * told (FIN), and the other side closes once it has answered. Returns what came, one character a byte.
 */
export async function converse(port: number, pieces: readonly Buffer[], quietMs?: number): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let received = '';
  let lastAt = performance.now();
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
    lastAt = performance.now();
  });
  let over = false;
  socket.on('end', () => {
    over = true;
  });
  socket.on('close', () => {
    over = true;
  });
  await once(socket, 'connect');
  socket.setNoDelay(true);
  for (const piece of pieces) {
    if (over) break;
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (quietMs === undefined) socket.end();
  while (!over && performance.now() - lastAt < (quietMs ?? 10_000))
    await new Promise((resolve) => setTimeout(resolve, 2));
  socket.destroy();
  return received;
}
