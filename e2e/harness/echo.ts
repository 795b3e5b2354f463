/** The backend of the scenarios: says which pod answered and what it was asked. Leaves without losing a request. */
import http from 'node:http';
import { leaveStreams, serveEvents, serveWebSockets } from './streams.ts';

const pod = process.env.POD_NAME ?? 'echo';
const delayMs = Number(process.env.DELAY_MS ?? '0');
let healthy = true;
const server = http.createServer((request, response) => {
  request.resume();
  // Healthy or not as it is told; whatever it says there, it serves.
  if (request.url === '/sicken' || request.url === '/recover') healthy = request.url === '/recover';
  if (request.url === '/healthz') response.statusCode = healthy ? 200 : 503;
  response.setHeader('x-pod', pod);
  if (request.url === '/events') {
    serveEvents(response);
    return;
  }
  response.setHeader('content-type', 'application/json');
  const body = `${JSON.stringify({ pod, method: request.method, url: request.url, headers: request.headers })}\n`;
  const wait = Number(new URL(request.url ?? '/', 'http://echo').searchParams.get('delay') ?? delayMs);
  setTimeout(() => response.end(body), Math.min(wait, 30_000));
});
serveWebSockets(server);
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT ?? '8080'));
process.on('SIGTERM', () => {
  // Others need a moment to learn that this pod goes.
  setTimeout(
    () => {
      leaveStreams();
      server.close(() => process.exit(0));
      server.closeIdleConnections();
    },
    Number(process.env.LINGER_MS ?? '2000'),
  );
});
