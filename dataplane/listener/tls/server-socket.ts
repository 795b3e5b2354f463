/** The server side of TLS on a connection whose ClientHello has been read already. */
import type net from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

export interface ServerTls {
  readonly context: SecureContext;
  /** Chosen for this client; empty: none. */
  readonly protocols: readonly string[];
  /** A certificate is asked of the client; with `requiresCertificate` the handshake fails without one. */
  readonly asksCertificate: boolean;
  readonly requiresCertificate: boolean;
}

/** What node:tls's own server uses of a socket, and the public API has no name for. */
interface Internals {
  _handle: { receive(bytes: Buffer): void; verifyError(): Error | null } | null;
  connecting: boolean;
  secureConnecting: boolean;
  _releaseControl(): boolean;
}
type Options = ConstructorParameters<typeof TLSSocket>[1];

/**
 * Takes over `socket` with everything it has; `begin` then gives it what was read before. With `onread` it is made on the bare handle, as only a
 * socket without another below it takes that. 'secure' is emitted when the handshake is done, 'close' at the end in any case.
 */
export function secureSocket(socket: net.Socket, tls: ServerTls, onread: net.OnReadOpts | null): TLSSocket {
  const options = {
    isServer: true,
    secureContext: tls.context,
    ALPNProtocols: [...tls.protocols],
    requestCert: tls.asksCertificate,
    rejectUnauthorized: tls.requiresCertificate,
    allowHalfOpen: true,
    ...(onread !== null && { onread }),
  } as Options;
  const { remoteAddress, remotePort } = socket;
  let secure: TLSSocket;
  // The kernel would say who connected, where a PROXY header said for whom (proxied-sockets.ts).
  if (onread === null) {
    secure = new TLSSocket(socket, options);
    Object.defineProperty(secure, 'remoteAddress', { value: remoteAddress });
    Object.defineProperty(secure, 'remotePort', { value: remotePort });
  } else {
    const own = new HandleTlsSocket(takeHandle(socket), options);
    own.peerAddress = remoteAddress;
    own.peerPort = remotePort;
    secure = own;
  }
  internals(secure).connecting = false;
  return secure;
}

export function begin(secure: TLSSocket, hello: Buffer): void {
  internals(secure)._handle?.receive(hello);
}

/** The handshake is done: errors from now on are those of a connection. Why the certificate that was asked for is not accepted, or null. */
export function established(secure: TLSSocket, asked: boolean): Error | null {
  internals(secure).secureConnecting = false;
  internals(secure)._releaseControl();
  // It makes an Error with its stack where there is no certificate.
  return asked ? (internals(secure)._handle?.verifyError() ?? null) : null;
}

function internals(secure: TLSSocket): Internals {
  return secure as unknown as Internals;
}

/** The shell is closed without its handle, so that its server counts it out. */
function takeHandle(socket: net.Socket): unknown {
  const shell = socket as unknown as { _handle: unknown };
  const handle = shell._handle;
  shell._handle = null;
  socket.destroy();
  return handle;
}

/** For the constructor that runs now: TLSSocket asks `_wrapHandle` before `this` can hold anything. */
let accepted: unknown = null;

class HandleTlsSocket extends (TLSSocket as unknown as new (socket: undefined, options: Options) => TLSSocket) {
  peerAddress: string | undefined = undefined;
  peerPort: number | undefined = undefined;

  constructor(handle: unknown, options: Options) {
    accepted = handle;
    super(undefined, options);
  }

  // @ts-expect-error: a property for its type, an accessor in truth.
  override get remoteAddress(): string | undefined {
    return this.peerAddress;
  }

  // @ts-expect-error: the same.
  override get remotePort(): number | undefined {
    return this.peerPort;
  }

  _wrapHandle(wrap: unknown, handle: unknown, active: boolean): unknown {
    const own = accepted ?? handle;
    accepted = null;
    const base = TLSSocket.prototype as unknown as { _wrapHandle(...args: unknown[]): unknown };
    return base._wrapHandle.call(this, wrap, own, active);
  }
}
