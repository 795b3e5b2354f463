/**
 * Opens connections to the endpoints of one backend: TCP, what goes ahead of everything (PROXY protocol), TLS. Made of a backend and its
 * certificates, and replaced as a whole when they change: connections that are there stay as they were opened.
 */
import net, { type LookupFunction, type OnReadOpts } from 'node:net';
import tls from 'node:tls';
import type { BackendProtocol, ProxyProtocol } from '../../snapshot/backend/transport.ts';
import type { BackendResource } from '../../snapshot/resources.ts';
import { type ProxiedClient, proxyHeader } from './proxy-header.ts';
import { createTlsSettings, type Materials, type TlsSettings } from './tls-settings.ts';

/** An endpoint, as it is connected to. */
export interface DialTarget {
  /** An IP address or a name. */
  readonly address: string;
  readonly port: number;
  /** For an address that is a name. */
  readonly lookup: LookupFunction;
  /** The name its address was found by; empty: none. */
  readonly hostName: string;
  /** Kept by the dialer: to resume the last TLS session. Null it when the dialer is another one. */
  session: Buffer | null;
}

export interface DialOptions {
  /** Ignored, and `onread` false in the answer, where TLS follows something else on the same connection. */
  readonly onread?: OnReadOpts | null;
  /** Whom the connection is opened for: goes into a PROXY protocol header; null: nobody in particular (health, a shared connection). */
  readonly client?: ProxiedClient | null;
  /** No TLS, whatever the backend says: who dials passes on TLS of its own. */
  readonly plain?: boolean;
  /**
   * Called once when the first byte may be written: TCP is there, and TLS where the backend has it, its certificate verified and the
   * protocol agreed on. Else the socket emits 'error', and 'close'. There is no time-out here: the caller destroys the socket.
   */
  readonly ready: () => void;
}

export interface Dialed {
  readonly socket: net.Socket;
  /** Reads go to the `onread` given; else there are 'data' events. */
  readonly onread: boolean;
}

export interface Dialer {
  readonly secure: boolean;
  /** A connection carries requests of one client alone: its address went ahead. `proxyKey` says which. */
  readonly proxyProtocol: ProxyProtocol | null;
  dial(target: DialTarget, options: DialOptions): Dialed;
}

/** Hears of every handshake. */
export interface TlsObserver {
  agreed(target: DialTarget): void;
  /** Also of a connection that the endpoint refuses after its handshake, as TLS 1.3 does with client certificates. */
  failed(target: DialTarget, error: NodeJS.ErrnoException): void;
}

const NOBODY: TlsObserver = { agreed: () => {}, failed: () => {} };

/** ms after which the next address of a name is tried beside the one before (RFC 8305 section 5). */
export const ATTEMPT_DELAY_MS = 250;

/** What each protocol asks for by ALPN (RFC 7301), and must get where `required`. */
const ALPN: Readonly<Record<BackendProtocol, { readonly names: readonly string[]; readonly required: boolean }>> = {
  // Many HTTP/1.1 servers know nothing of ALPN: no answer is fine.
  http1: { names: ['http/1.1'], required: false },
  // RFC 9113 section 3.2.
  http2: { names: ['h2'], required: true },
};

/** Throws where a certificate, key or CA is broken. */
export function createDialer(
  backend: Pick<BackendResource, 'protocol' | 'tls' | 'proxyProtocol'>,
  materials: Materials,
  observer = NOBODY,
): Dialer {
  const settings = backend.tls === undefined ? null : createTlsSettings(backend.tls, materials);
  return new SocketDialer(settings, backend.protocol, backend.proxyProtocol ?? null, observer);
}

class SocketDialer implements Dialer {
  readonly proxyProtocol: ProxyProtocol | null;
  readonly #settings: TlsSettings | null;
  readonly #protocol: BackendProtocol;
  readonly #observer: TlsObserver;

  constructor(
    settings: TlsSettings | null,
    protocol: BackendProtocol,
    proxyProtocol: ProxyProtocol | null,
    observer: TlsObserver,
  ) {
    this.#settings = settings;
    this.#protocol = protocol;
    this.proxyProtocol = proxyProtocol;
    this.#observer = observer;
  }

  get secure(): boolean {
    return this.#settings !== null;
  }

  dial(target: DialTarget, { onread = null, client = null, plain = false, ready }: DialOptions): Dialed {
    const to = addressOf(target);
    const settings = plain ? null : this.#settings;
    const header = this.proxyProtocol === null ? null : proxyHeader(this.proxyProtocol, client);
    if (settings === null) {
      const socket = net.connect(onread === null ? to : { ...to, onread });
      // Written before it is connected it leaves ahead of everything else.
      if (header !== null) socket.write(header, 'latin1');
      socket.once('connect', ready);
      return { socket, onread: onread !== null };
    }
    const options = { ...settings.optionsFor(target), ALPNProtocols: [...ALPN[this.#protocol].names] };
    if (header === null) {
      const socket = tls.connect({ ...options, ...to, ...(onread !== null && { onread }) } as tls.ConnectionOptions);
      this.#secure(socket, target, ready);
      return { socket, onread: onread !== null };
    }
    const raw = net.connect(to);
    raw.write(header, 'latin1');
    const socket = tls.connect({ ...options, socket: raw, allowHalfOpen: true } as tls.ConnectionOptions);
    this.#secure(socket, target, ready);
    return { socket, onread: false };
  }

  #secure(socket: tls.TLSSocket, target: DialTarget, ready: () => void): void {
    let connected = false;
    let agreed = false;
    socket.once('connect', () => {
      connected = true;
    });
    socket.once('secureConnect', () => {
      const { required, names } = ALPN[this.#protocol];
      const chosen = socket.alpnProtocol;
      if (required && chosen !== names[0]) {
        const error = new Error(`the endpoint does not choose ${names[0]} by ALPN`);
        socket.destroy(Object.assign(error, { code: 'ERR_TLS_ALPN' }));
        return;
      }
      agreed = true;
      this.#observer.agreed(target);
      ready();
    });
    socket.on('session', (session) => {
      target.session = session;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // In TLS 1.3 a client certificate is refused after the handshake.
      const late = agreed && error.code?.startsWith('ERR_SSL_') === true;
      if (!(connected && !agreed) && !late) return;
      target.session = null;
      this.#observer.failed(target, error);
    });
  }
}

function addressOf({ address, port, lookup }: DialTarget): net.TcpNetConnectOpts {
  return {
    host: address,
    port,
    lookup,
    noDelay: true,
    allowHalfOpen: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_DELAY_MS,
  };
}
