/**
 * A backend that fails on command: `node e2e/chaos/backend.ts ADDRESS PORT FILE`, driven over IPC. It speaks just enough HTTP/1.1 for GET, on
 * bare sockets, as most of what it does no HTTP server would do. Every request is written to FILE before anything else happens to it.
 */
import { openSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { type Command, encodeArrival, FLAP_MS, HEALTH_PATH, type Mode, SLOW_MS, WELL_MS } from './backend-terms.ts';
import { now } from './open-loop.ts';

const BODY = 'tide'.repeat(256);
const HEAD_END = '\r\n\r\n';

const [address = '', port = '', file = ''] = process.argv.slice(2);
if (file === '') throw new Error('usage: backend.ts ADDRESS PORT FILE');
const record = openSync(file, 'a');
const sockets = new Set<Socket>();
let mode: Mode = 'well';
let server: Server | null = null;
let flapping: NodeJS.Timeout | null = null;

process.on('message', async (command: Command) => {
  await enter(command.mode);
  process.send?.(command);
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit(0));
await listen();
process.send?.({ mode } satisfies Command);

async function enter(next: Mode): Promise<void> {
  if (flapping !== null) clearInterval(flapping);
  flapping = null;
  const before = mode;
  mode = next;
  if (next === 'backlog') {
    await away();
    await listen(1);
  } else if (next === 'flap') {
    flapping = setInterval(() => void (server === null ? listen() : away()), FLAP_MS);
    await away();
  } else {
    // That backlog stays as it is otherwise.
    if (before === 'backlog') await away();
    await listen();
  }
}

async function listen(backlog = 511): Promise<void> {
  if (server !== null) return;
  const own = createServer(serve);
  server = own;
  await new Promise<void>((resolve, reject) => {
    own.once('error', reject);
    own.listen({ host: address, port: Number(port), backlog }, resolve);
  });
}

async function away(): Promise<void> {
  const own = server;
  server = null;
  const closed = own === null ? undefined : new Promise((resolve) => own.close(resolve));
  for (const socket of sockets) socket.resetAndDestroy();
  await closed;
}

function serve(socket: Socket): void {
  sockets.add(socket);
  let text = '';
  let count = 0;
  socket.setNoDelay(true);
  socket.on('close', () => sockets.delete(socket));
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    for (let end = text.indexOf(HEAD_END); end >= 0; end = text.indexOf(HEAD_END)) {
      const path = text.slice(0, end).split(' ', 2)[1] ?? '';
      text = text.slice(end + HEAD_END.length);
      count++;
      if (path !== HEALTH_PATH) writeSync(record, encodeArrival({ atMs: now(), path }));
      answer(socket, path, count);
    }
  });
}

function answer(socket: Socket, path: string, count: number): void {
  switch (mode) {
    case 'silent':
      return;
    case 'garbage':
      socket.write('\u0000tide\u0007 is not HTTP\n\n\n');
      return;
    case 'closing':
      if (count > 1) socket.destroy();
      else later(socket, WELL_MS, 200, BODY);
      return;
    case 'reset':
      setTimeout(() => {
        socket.write(head(200, BODY.length) + BODY.slice(BODY.length / 2));
        setTimeout(() => socket.resetAndDestroy(), WELL_MS);
      }, WELL_MS);
      return;
    case 'storm':
      if (path === HEALTH_PATH) later(socket, WELL_MS, 200, BODY);
      else later(socket, WELL_MS, 503, 'storm');
      return;
    default:
      later(socket, mode === 'slow' ? SLOW_MS : WELL_MS, 200, BODY);
  }
}

function later(socket: Socket, delayMs: number, status: number, body: string): void {
  setTimeout(() => {
    if (!socket.destroyed) socket.write(head(status, body.length) + body);
  }, delayMs);
}

function head(status: number, length: number): string {
  return `HTTP/1.1 ${status} Chaos\r\ncontent-type: text/plain\r\ncontent-length: ${length}${HEAD_END}`;
}
