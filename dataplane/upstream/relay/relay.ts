/** One connection that is passed through: bytes both ways between a client and an endpoint, which is chosen as for a request. */
import type net from 'node:net';
import { Timer, type TimerOwner } from '../../io/wheel.ts';
import { type Downstream, Exchange, NO_BODY } from '../../pipeline/exchange.ts';
import { Headers } from '../../pipeline/headers.ts';
import type { EndpointPool } from '../endpoint-pool.ts';
import type { Upstream } from '../upstream.ts';
import { type Attempt, type AttemptFailure, UNDECIDED } from '../watcher.ts';
import type { Relays } from './relays.ts';

/** How it ended; a label of the metric. */
export type RelayResult =
  /** Both sides have said all. */
  | 'ok'
  | 'reset'
  | 'idle-timeout'
  /** The gateway went away. */
  | 'drained'
  | 'no-endpoint'
  /** As many connections as may be. */
  | 'overflow'
  | 'connect-failed';

/** Endpoints that are tried where one can't be connected to: nothing was sent. */
const MAX_ATTEMPTS = 3;

interface Try extends Attempt {
  readonly pool: EndpointPool;
}

export class Relay implements TimerOwner {
  private readonly relays: Relays;
  private readonly upstream: Upstream;
  private readonly client: net.Socket;
  private hello: Buffer | null;
  private readonly exchange: Exchange;
  private readonly tried: EndpointPool[] = [];
  private attempt: Try | null = null;
  private backend: net.Socket | null = null;
  private connected = false;
  private over = false;
  /** Ends that have come: of the client, of the backend. */
  private ends = 0;
  private readonly timer: Timer = new Timer(this);

  constructor(relays: Relays, upstream: Upstream, client: net.Socket, hello: Buffer, serverName: string) {
    this.relays = relays;
    this.upstream = upstream;
    this.client = client;
    this.hello = hello;
    const address = plain(client.remoteAddress);
    // Balancers that hash look at nothing else of it.
    this.exchange = new Exchange(
      'CONNECT',
      '/',
      undefined,
      serverName,
      serverName,
      'https',
      'HTTP/1.1',
      new Headers([]),
      address,
      new NoDownstream(address),
      relays.wheel.now(),
    );
    client.setNoDelay(true);
    client.on('error', NOTHING);
    client.once('close', () => this.end('reset'));
  }

  start(): void {
    const pool = this.upstream.pick(this.exchange, this.tried.length === 0 ? null : this.tried);
    if (pool === null) {
      this.end(this.tried.length === 0 ? 'no-endpoint' : 'connect-failed');
      return;
    }
    this.tried.push(pool);
    const attempt: Try = { pool, chosenAtMs: this.relays.wheel.now(), verdict: UNDECIDED };
    this.attempt = attempt;
    if (pool.active > pool.maxConnections) {
      this.end('overflow');
      return;
    }
    const { client } = this;
    const { socket } = pool.dialer.dial(pool, {
      plain: true,
      client: {
        sourceAddress: this.exchange.clientAddress,
        sourcePort: client.remotePort ?? 0,
        destinationAddress: plain(client.localAddress),
        destinationPort: client.localPort ?? 0,
      },
      ready: () => this.join(attempt, socket),
    });
    this.backend = socket;
    socket.on('error', NOTHING);
    socket.once('close', () => this.backendClosed(socket));
    if (pool.connectTimeoutMs > 0) this.relays.wheel.arm(this.timer, pool.connectTimeoutMs);
  }

  onTimeout(): void {
    if (this.connected) this.end('idle-timeout');
    else this.failed('connect-timeout');
  }

  end(result: RelayResult): void {
    if (this.over) return;
    this.over = true;
    this.relays.wheel.drop(this.timer);
    this.leave();
    this.client.destroy();
    this.backend?.destroy();
    this.relays.ended(this, this.upstream.name, result);
  }

  private backendClosed(socket: net.Socket): void {
    if (this.over || socket !== this.backend) return;
    if (this.connected) {
      if (this.attempt !== null && this.ends < 2) this.attempt.pool.failed(this.attempt, 'reset');
      this.end('reset');
    } else this.failed('connect');
  }

  private failed(failure: AttemptFailure): void {
    const { attempt, backend } = this;
    if (attempt === null || this.over) return;
    this.backend = null;
    backend?.destroy();
    attempt.pool.failed(attempt, failure);
    this.leave();
    if (this.tried.length < MAX_ATTEMPTS) this.start();
    else this.end('connect-failed');
  }

  private leave(): void {
    const { attempt } = this;
    this.attempt = null;
    attempt?.pool.leave(attempt);
  }

  private join(attempt: Try, backend: net.Socket): void {
    if (this.over || this.attempt !== attempt) return;
    this.connected = true;
    attempt.pool.answered(attempt, 200, this.relays.wheel.now() - attempt.chosenAtMs);
    this.touch();
    backend.write(this.hello as Buffer);
    this.hello = null;
    this.carry(this.client, backend);
    this.carry(backend, this.client);
  }

  private carry(from: net.Socket, to: net.Socket): void {
    from.on('data', (bytes) => {
      this.touch();
      if (!to.write(bytes)) from.pause();
    });
    to.on('drain', () => {
      this.touch();
      from.resume();
    });
    from.once('end', () => {
      this.touch();
      this.ends++;
      // The last bytes leave before either side is closed.
      to.end(() => {
        if (this.ends === 2 && this.client.writableFinished && this.backend?.writableFinished) this.end('ok');
      });
    });
    from.resume();
  }

  private touch(): void {
    if (!this.over && this.relays.idleMs > 0) this.relays.wheel.arm(this.timer, this.relays.idleMs);
  }
}

const NOTHING = (): void => {};

/** IPv4 in dotted form, also where it is mapped into IPv6. */
function plain(address = ''): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}

/** No request came over it, and no response goes. */
class NoDownstream implements Downstream {
  readonly requestLength = NO_BODY;
  readonly peerAddress: string;
  readonly tls = null;
  readonly tunnel = null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;

  constructor(peerAddress: string) {
    this.peerAddress = peerAddress;
  }

  readBody(): void {}
  pauseBody(): void {}
  resumeBody(): void {}
  writeInformational(): void {}
  writeHead(): void {}
  write(): boolean {
    return true;
  }
  end(): void {}
  abort(): void {}
}
