/** WebSockets, plain and over TLS, kept and opened anew; and server-sent events. */
import { once } from 'node:events';
import http from 'node:http';
import { WebSocket } from 'ws';
import { BIG, EVENTS } from '../backend.ts';
import type { Group } from '../load.ts';
import { TRUSTING } from './http1.ts';

/** Sizes of messages, in turn. */
const SIZES = [16, 1_000, 70_000];
/** Messages that a socket of the short-lived kind carries. */
const SHORT_LIVED = 5;
/** Between two messages of a kept socket: it is about the connection, not about messages a second. */
const PAUSE_MS = 5;

export function streams(httpPort: number, httpsPort: number): Group {
  const plain = `ws://127.0.0.1:${httpPort}/socket`;
  const secure = `wss://127.0.0.1:${httpsPort}/socket`;
  const open = new Set<WebSocket>();
  const kept = (url: string) => {
    const idle: WebSocket[] = [];
    let n = 0;
    return async (): Promise<void> => {
      const socket = idle.pop() ?? (await connect(url, open));
      await echo(socket, SIZES[n++ % SIZES.length] as number);
      idle.push(socket);
    };
  };
  const shortLived = (url: string) => async (): Promise<void> => {
    const socket = await connect(url, open);
    for (let i = 0; i < SHORT_LIVED; i++) await echo(socket, 1_000);
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
    socket.close(1000);
    const [code] = await closed;
    if (code !== 1000) throw new Error(`closed with ${code}`);
  };
  return {
    kinds: [
      { name: 'WebSocket kept', loops: 8, pauseMs: PAUSE_MS, once: kept(plain) },
      { name: 'WebSocket over TLS kept', loops: 4, pauseMs: PAUSE_MS, once: kept(secure) },
      { name: 'WebSocket fresh', loops: 1, once: shortLived(plain) },
      { name: 'WebSocket over TLS fresh', loops: 1, once: shortLived(secure) },
      { name: 'SSE', loops: 16, once: () => events(httpPort) },
    ],
    close: () => {
      for (const socket of open) socket.terminate();
    },
  };
}

async function connect(url: string, open: Set<WebSocket>): Promise<WebSocket> {
  const socket = new WebSocket(url, { ...TRUSTING, perMessageDeflate: false, handshakeTimeout: 20_000 });
  open.add(socket);
  socket.on('close', () => open.delete(socket));
  socket.on('error', () => {});
  await once(socket, 'open');
  return socket;
}

/** One message there and back. */
function echo(socket: WebSocket, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (error: Error | null): void => {
      clearTimeout(timer);
      socket.off('message', onMessage);
      socket.off('close', onClose);
      if (error === null) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => over(new Error('no message within 20 s')), 20_000);
    const onMessage = (data: Buffer) =>
      over(data.length === bytes ? null : new Error(`${data.length} bytes of ${bytes} came back`));
    const onClose = (code: number) => over(new Error(`closed with ${code}`));
    socket.on('message', onMessage);
    socket.on('close', onClose);
    socket.send(BIG.subarray(0, bytes));
  });
}

/** A stream of events from its first to its last. */
function events(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/events', agent: false }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
        const right = ids.length === EVENTS && ids.every((id, i) => id === i);
        if (response.statusCode === 200 && right) resolve();
        else reject(new Error(`${response.statusCode}, ${ids.length} events`));
      });
    });
    request.setTimeout(20_000, () => request.destroy(new Error('no event within 20 s')));
    request.on('error', reject);
  });
}
