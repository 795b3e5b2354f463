/** A WebSocket over an HTTP/2 stream (RFC 8441), which its backend sees as an upgrade of HTTP/1.1. */
import { createHash } from 'node:crypto';
import type { BodySink, TunnelEnd } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { H2Stream } from './h2-stream.ts';

/** RFC 6455 section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The fields of the handshake that HTTP/2 has no need of (RFC 8441 section 5.1), for a backend that has. */
export function addHandshake(headers: Headers, key: string): void {
  headers.set('upgrade', 'websocket');
  headers.set('sec-websocket-key', key);
}

/** `tunnel` of Downstream: the backend has agreed with 101. What it says to our key is checked as a client would. */
export function joinWebSocket(stream: H2Stream, headers: Headers, peer: TunnelEnd): TunnelEnd {
  const accept = createHash('sha1')
    .update(stream.websocketKey + GUID)
    .digest('base64');
  if (headers.get('sec-websocket-accept') !== accept || headers.get('upgrade')?.toLowerCase() !== 'websocket') {
    stream.writeHead(502, new Headers(), 0);
    stream.end(null);
    // Once both ends are joined.
    process.nextTick(() => peer.destroy());
    return CLOSED_END;
  }
  headers.remove('sec-websocket-accept');
  stream.writeHead(200, headers, -1);
  stream.tunnelled = true;
  stream.onDrain = () => peer.resume();
  const { onClose } = stream;
  stream.onClose = () => {
    peer.destroy();
    onClose?.();
  };
  const sink: BodySink = {
    onData: (chunk, release) => peer.write(chunk, release),
    onEnd: () => peer.end(),
    onAbort: () => {},
  };
  // What came early may only be written once both ends are joined.
  process.nextTick(() => stream.readBody(sink));
  return {
    write: (chunk, release) => stream.write(chunk, release),
    end: () => stream.endTunnel(),
    destroy: () => stream.abort(),
    resume: () => stream.resumeBody(),
  };
}

const CLOSED_END: TunnelEnd = {
  write: (_chunk, release) => {
    if (release !== null) release();
    return true;
  },
  end: () => {},
  destroy: () => {},
  resume: () => {},
};
