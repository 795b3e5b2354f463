/** Run as a program: `node backend-program.ts <port> <reply>`. Answers every call with one message, over bare `node:http2`; HTTP/1.1 with the text. */
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { frame } from './frame.ts';

const [port, reply] = process.argv.slice(2);
if (port === undefined || reply === undefined) throw new Error('usage: backend-program.ts <port> <reply>');

const message = frame(reply);
const calls = http2.createServer({ settings: { maxConcurrentStreams: 1000, initialWindowSize: 1 << 20 } });
calls.on('stream', (stream: http2.ServerHttp2Stream) => {
  stream.on('error', () => {});
  stream.resume();
  stream.once('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(message);
  });
});
calls.on('sessionError', () => {});
const plain = http.createServer((_request, response) => response.end(reply));
net
  .createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.once('data', (bytes) => {
      socket.pause();
      socket.unshift(bytes);
      (bytes.toString('latin1').startsWith('PRI ') ? calls : plain).emit('connection', socket);
      socket.resume();
    });
  })
  .listen(Number(port), '127.0.0.1');
