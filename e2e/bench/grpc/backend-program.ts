/** Run as a program: `node backend-program.ts <port> <reply>`. Answers every call with one message, over bare `node:http2`. */
import http2 from 'node:http2';
import { frame } from './frame.ts';

const [port, reply] = process.argv.slice(2);
if (port === undefined || reply === undefined) throw new Error('usage: backend-program.ts <port> <reply>');

const message = frame(reply);
const calls = http2.createServer({
  // The load generator leaves streams behind at the end of each turn.
  streamResetBurst: 1_000_000,
  streamResetRate: 1_000_000,
  maxSessionMemory: 1000,
  settings: { maxConcurrentStreams: 1000, initialWindowSize: 1 << 20 },
});
calls.on('stream', (stream: http2.ServerHttp2Stream) => {
  stream.on('error', () => {});
  stream.resume();
  stream.once('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(message);
  });
});
calls.on('sessionError', () => {});
calls.listen(Number(port), '127.0.0.1');
