/** Streams of the echo backend: a WebSocket that sends back what it gets, and an event every 200 ms. Both end in good order when the pod goes. */
/// <reference path="../../dataplane/upstream/ws.d.ts" />
import type http from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';

const listening = new Set<http.ServerResponse>();
const sockets = new WebSocketServer({ noServer: true });

export function serveEvents(response: http.ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let id = 0;
  const timer = setInterval(() => response.write(`id: ${++id}\ndata: tick\n\n`), 200);
  listening.add(response);
  response.once('close', () => {
    clearInterval(timer);
    listening.delete(response);
  });
}

export function serveWebSockets(server: http.Server): void {
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (one: WebSocket) =>
      one.on('message', (data) => one.send(String(data))),
    ),
  );
}

/** 1001 is "going away" (RFC 6455 section 7.4.1). */
export function leaveStreams(): void {
  for (const response of listening) response.end();
  for (const one of sockets.clients) one.close(1001);
}
