/** One connection from its accept until it is served, passed through or refused. */
import type net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SHARED } from '../../io/buffers.ts';
import { handleOf, readLength } from '../../io/handle.ts';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import type { OpenSocket } from '../../io/wire.ts';
import type { TlsPeer } from '../../pipeline/tls-peer.ts';
import type { TlsHost } from '../../tls/host.ts';
import { type ClientHello, HELLO_BAD, HELLO_MORE, readClientHello } from './client-hello.ts';
import { peerOf } from './peer.ts';
import { begin, established, secureSocket } from './server-socket.ts';

/** How it ended; a label of the metric. */
export type HandshakeResult =
  | 'ok'
  | 'timeout'
  | 'closed'
  /** Not TLS, or no ClientHello that could be read. */
  | 'malformed'
  /** No host of this name, or one whose certificate can't be used. */
  | 'unrecognized-name'
  /** The client showed no certificate, or one that is not accepted. */
  | 'client-certificate'
  /** Nothing in common, or the client broke it off. */
  | 'failed'
  | 'passthrough';

export interface HandshakeOwner {
  readonly wheel: { arm(timer: Timer, delayMs: number): void; drop(timer: Timer): void };
  readonly handshakeMs: number;
  /** False: sockets emit 'data' throughout. */
  readonly onread: boolean;
  /** Sessions of HTTP/2 are taken. */
  readonly http2: boolean;
  hostFor(serverName: string): TlsHost | null;
  /** Called once. */
  ended(handshake: Handshake, result: HandshakeResult, version: string): void;
  /** Within `ended`'s turn, for `ok`. `open` gives the socket to who is to read it. */
  serveHttp1(open: OpenSocket, tls: TlsPeer): void;
  serveHttp2(socket: TLSSocket, tls: TlsPeer): void;
  passThrough(socket: net.Socket, hello: Buffer, host: TlsHost, serverName: string): void;
}

const ALERT_UNEXPECTED_MESSAGE = 10;
const ALERT_UNRECOGNIZED_NAME = 112;
/** For who speaks HTTP to this port. */
const PLAIN_ANSWER =
  'HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 48\r\nconnection: close\r\n\r\nThis port speaks TLS: ask it by an https:// URL.';

export class Handshake implements TimerOwner {
  private readonly owner: HandshakeOwner;
  private readonly socket: net.Socket;
  private secure: TLSSocket | null = null;
  private received: Buffer | null = null;
  private done = false;
  private readonly timer: Timer = new Timer(this);

  private readonly onOver: (() => void) | null;

  /** `onOver`: once, when the connection is over, whoever has it then. */
  constructor(owner: HandshakeOwner, socket: net.Socket, onOver: (() => void) | null) {
    this.owner = owner;
    this.socket = socket;
    this.onOver = onOver;
    if (onOver !== null) socket.once('close', onOver);
    owner.wheel.arm(this.timer, owner.handshakeMs);
    socket.on('error', NOTHING);
    socket.on('close', this.onGone);
    if (owner.onread && socket.readableLength === 0 && this.readHandle()) return;
    socket.on('data', this.onData);
    socket.on('end', this.onGone);
    socket.resume();
  }

  /** Into the shared buffer, past the stream: for one read it would allocate 64 KiB. */
  private readHandle(): boolean {
    const { socket } = this;
    const handle = handleOf(socket);
    if (handle === null) return false;
    const { onread } = handle;
    handle.useUserBuffer(SHARED);
    handle.onread = () => {
      const length = readLength();
      if (length === 0) return undefined;
      if (length < 0) {
        this.onGone();
        return undefined;
      }
      const received = this.joined(Buffer.from(SHARED.subarray(0, length)));
      const hello = readClientHello(received);
      if (hello === HELLO_MORE) return undefined;
      // For who reads the socket as a stream from here on.
      handle.onread = (arrayBuffer) => {
        const more = readLength();
        if (more <= 0) return onread?.call(handle, arrayBuffer);
        if (!socket.push(Buffer.from(SHARED.subarray(0, more))) && handle.reading) {
          handle.reading = false;
          handle.readStop();
        }
        return undefined;
      };
      handle.reading = false;
      handle.readStop();
      this.heard(hello, received);
      return undefined;
    };
    handle.reading = true;
    handle.readStart();
    return true;
  }

  onTimeout(): void {
    this.end('timeout');
    this.destroy();
  }

  /** The listener stops: who has not said anything yet is not waited for. */
  stop(): void {
    if (this.received === null && this.secure === null) this.abandon();
  }

  abandon(): void {
    this.onGone();
  }

  destroy(): void {
    if (this.secure === null) this.socket.destroy();
    else this.secure.destroy();
  }

  private readonly onGone = (): void => {
    this.end('closed');
    this.destroy();
  };

  private readonly onData = (bytes: Buffer): void => {
    const received = this.joined(bytes);
    const hello = readClientHello(received);
    if (hello === HELLO_MORE) return;
    const { socket } = this;
    socket.off('data', this.onData);
    socket.off('end', this.onGone);
    socket.pause();
    this.heard(hello, received);
  };

  private joined(bytes: Buffer): Buffer {
    this.received = this.received === null ? bytes : Buffer.concat([this.received, bytes]);
    return this.received;
  }

  private heard(hello: ClientHello | typeof HELLO_BAD, received: Buffer): void {
    const { socket } = this;
    socket.off('close', this.onGone);
    if (hello === HELLO_BAD) {
      this.end('malformed');
      if (looksLikeHttp(received)) refuse(socket, Buffer.from(PLAIN_ANSWER, 'latin1'));
      else refuse(socket, alert(ALERT_UNEXPECTED_MESSAGE));
      return;
    }
    this.choose(hello, received);
  }

  private choose(hello: ClientHello, received: Buffer): void {
    const { owner, socket } = this;
    const host = owner.hostFor(hello.serverName);
    if (host !== null && host.upstream !== null) {
      this.end('passthrough');
      owner.passThrough(socket, received, host, hello.serverName);
    } else if (host === null || host.context === null) {
      this.end('unrecognized-name');
      refuse(socket, alert(ALERT_UNRECOGNIZED_NAME));
    } else this.start(hello, received, host);
  }

  private start(hello: ClientHello, received: Buffer, host: TlsHost): void {
    const { owner } = this;
    const http2 = owner.http2 && hello.protocols.includes('h2');
    // HTTP/2 reads its sockets in its own way.
    const reader = owner.onread && !http2 ? new LateReader() : null;
    const secure = secureSocket(
      this.socket,
      {
        context: host.context as NonNullable<TlsHost['context']>,
        protocols: http2 ? H2 : hello.protocols.includes('http/1.1') ? HTTP1 : hello.protocols.length === 0 ? [] : OURS,
        asksCertificate: host.asksCertificate,
        requiresCertificate: host.requiresCertificate,
      },
      reader,
    );
    this.secure = secure;
    if (this.onOver !== null && reader !== null) {
      // The shell closes now, without its handle.
      this.socket.off('close', this.onOver);
      secure.once('close', this.onOver);
    }
    let failure: HandshakeResult = 'closed';
    secure.on('error', NOTHING);
    const onError = (error: NodeJS.ErrnoException): void => {
      failure = error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' ? 'client-certificate' : 'failed';
    };
    const onClose = (): void => {
      this.end(failure);
    };
    secure.once('_tlsError', onError);
    secure.once('close', onClose);
    secure.once('secure', () => {
      secure.off('_tlsError', onError);
      secure.off('close', onClose);
      const error = established(secure, host.asksCertificate);
      const peer = peerOf(secure, hello.serverName, host.asksCertificate, host);
      // Without a certificate there is an error too, which counts only where one is required.
      if (error !== null && (host.requiresCertificate || peer.certificate !== null)) {
        this.end('client-certificate');
        secure.destroy();
        return;
      }
      if (!this.end('ok', peer.version)) return;
      if (http2) owner.serveHttp2(secure, peer);
      else
        owner.serveHttp1((onread) => {
          if (reader !== null && onread !== null) reader.to = onread;
          return { socket: secure, onread: reader !== null, secured: reader !== null };
        }, peer);
    });
    if (reader === null) this.socket.unshift(received);
    else begin(secure, received);
  }

  private end(result: HandshakeResult, version = ''): boolean {
    if (this.done) return false;
    this.done = true;
    this.received = null;
    this.owner.wheel.drop(this.timer);
    this.owner.ended(this, result, version);
    return true;
  }
}

const NOTHING = (): void => {};
const H2 = ['h2'];
const HTTP1 = ['http/1.1'];
/** With none of the client's among them OpenSSL says so (RFC 7301 section 3.2). */
const OURS = ['http/1.1'];

/** Given to a socket when it is made; who reads comes when the handshake is done. */
class LateReader implements net.OnReadOpts {
  to: net.OnReadOpts | null = null;

  readonly buffer = (): Uint8Array => {
    const { buffer } = this.to ?? EARLY;
    return typeof buffer === 'function' ? buffer() : buffer;
  };

  readonly callback = (length: number, bytes: Uint8Array): boolean => this.to?.callback(length, bytes) ?? true;
}

/** Nothing is read before the handshake is done; node asks for the first buffer when the socket is made. */
const EARLY: net.OnReadOpts = { buffer: SHARED, callback: () => true };

function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description]);
}

function refuse(socket: net.Socket, last: Buffer): void {
  const timer = setTimeout(() => socket.destroy(), 2_000);
  socket.once('close', () => clearTimeout(timer));
  socket.end(last, () => socket.destroySoon());
}

function looksLikeHttp(bytes: Buffer): boolean {
  return /^[A-Z]{3,7} \S/.test(bytes.toString('latin1', 0, 16));
}
