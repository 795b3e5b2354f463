/** The gRPC server that data planes and peers connect to: who may, when, and what is bounded. The rest is publish and peer. */
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  experimental,
  type handleBidiStreamingCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import {
  type FromDataPlane,
  type Hello,
  messageLimits,
  type PeerReport,
  snapshotsService,
  type ToDataPlane,
} from '@tidegate/dataplane/snapshot/protocol';
import { SCHEMA_VERSION } from '@tidegate/dataplane/snapshot/schema-version';
import type { Clock } from '../clock.ts';
import { ControllerError } from '../errors.ts';
import type { Log } from '../log.ts';
import { certificateNames, mayCall } from './caller.ts';
import type { WatchedCertificates } from './certificates.ts';
import { serializeOnce } from './delta.ts';
import type { Publisher } from './publish.ts';
import type { Session } from './session.ts';

export interface PushServerOptions {
  /** `host:port` or `unix:/path`. */
  readonly listen: string;
  /** Required unless `listen` is a socket, or loopback with `insecure`. */
  readonly certificates: WatchedCertificates | null;
  readonly insecure: boolean;
  /** DNS names of client certificates that may subscribe, or be a peer; empty: any certificate of the authority. */
  readonly dataPlaneNames: readonly string[];
  readonly peerNames: readonly string[];
  /** The `spec.gateway` served. */
  readonly gateway: string;
  /** A stream is ended at a random age between this and 1.2 times it, so that data planes spread over replicas; 0: never. */
  readonly maxStreamAgeMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly publisher: Publisher;
  /** Whether the sources have delivered everything: no stream is served before. */
  readonly synced: () => boolean;
  /** A stream that a peer opened; already let in. */
  readonly onPeer: (stream: ServerDuplexStream<PeerReport, PeerReport>) => void;
}

type DataPlaneStream = ServerDuplexStream<FromDataPlane, ToDataPlane | Buffer>;

const HELLO_TIMEOUT_MS = 10_000;
const STOP_GRACE_MS = 2_000;
const MAX_NODE_LENGTH = 253;

export class PushServer {
  readonly #options: PushServerOptions;
  readonly #server: Server;
  #port = 0;

  constructor(options: PushServerOptions) {
    this.#options = options;
    this.#server = new Server({
      ...messageLimits,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.max_concurrent_streams': 16,
    });
    const { Subscribe, Peer } = snapshotsService;
    const service = { Subscribe: { ...Subscribe, responseSerialize: serializeOnce }, Peer } as ServiceDefinition;
    const handlers: {
      Subscribe: handleBidiStreamingCall<FromDataPlane, ToDataPlane | Buffer>;
      Peer: handleBidiStreamingCall<PeerReport, PeerReport>;
    } = { Subscribe: (stream) => this.#onSubscribe(stream), Peer: (stream) => this.#onPeer(stream) };
    this.#server.addService(service, handlers as never);
  }

  /** The port bound, 0 for a socket. */
  get port(): number {
    return this.#port;
  }

  /** Throws ControllerError CTL_LISTEN. */
  async listen(): Promise<void> {
    const { listen } = this.#options;
    const socket = listen.startsWith('unix:') ? path.resolve(listen.slice('unix:'.length)) : null;
    if (socket !== null) prepareSocketFolder(socket);
    try {
      const port = await new Promise<number>((resolve, reject) => {
        this.#server.bindAsync(socket === null ? listen : `unix:${socket}`, this.#credentials(), (error, port) =>
          error === null ? resolve(port) : reject(error),
        );
      });
      this.#port = socket === null ? port : 0;
      if (socket !== null) chmodSync(socket, 0o600);
    } catch (cause) {
      if (cause instanceof ControllerError) throw cause;
      throw new ControllerError('CTL_LISTEN', `can't listen on ${listen}`, { cause });
    }
  }

  /** Ends the streams so that data planes reconnect elsewhere, then the server. */
  async stop(): Promise<void> {
    this.#options.publisher.endAll('this controller is stopping');
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, STOP_GRACE_MS);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    const { listen } = this.#options;
    if (listen.startsWith('unix:')) rmSync(listen.slice('unix:'.length), { force: true });
  }

  #credentials(): ServerCredentials {
    const { listen, certificates, insecure } = this.#options;
    if (listen.startsWith('unix:')) return ServerCredentials.createInsecure();
    if (certificates !== null) {
      return experimental.createCertificateProviderServerCredentials(certificates, certificates, true);
    }
    if (insecure && isLoopback(listen)) return ServerCredentials.createInsecure();
    throw new ControllerError(
      'CTL_LISTEN',
      `${listen} needs certificates: without TLS only a socket or loopback may be served`,
    );
  }

  #onSubscribe(stream: DataPlaneStream): void {
    stream.on('error', () => {});
    const refusal = this.#refusalOf(stream, this.#options.dataPlaneNames);
    if (refusal !== null) {
      fail(stream, refusal.code, refusal.details);
      return;
    }
    const { clock } = this.#options;
    const cancelHello = clock.after(HELLO_TIMEOUT_MS, () => {
      fail(stream, status.DEADLINE_EXCEEDED, 'no hello came');
    });
    stream.once('data', (message: FromDataPlane) => {
      cancelHello();
      if (message.message === 'hello') this.#serve(stream, message.hello);
      else fail(stream, status.INVALID_ARGUMENT, 'the first message has to be a hello');
    });
    stream.once('close', cancelHello);
  }

  #serve(stream: DataPlaneStream, hello: Hello): void {
    const { publisher, clock, maxStreamAgeMs } = this.#options;
    const refusal = refuseHello(hello, this.#options.gateway);
    if (refusal !== null) {
      this.#options.log.warn({ event: 'refused-dataplane', node: hello.node.slice(0, MAX_NODE_LENGTH), ...refusal });
      stream.write({ message: 'refusal', refusal });
      stream.end();
      return;
    }
    const end = (reason: string): void => fail(stream, status.UNAVAILABLE, reason);
    const session = publisher.connect(
      hello,
      (delta) => {
        for (const part of delta) stream.write(part);
      },
      end,
    );
    const cancelAge =
      maxStreamAgeMs === 0
        ? () => {}
        : clock.after(maxStreamAgeMs * (1 + 0.2 * clock.random()), () => end('stream reached its age: connect again'));
    const over = (): void => {
      cancelAge();
      publisher.disconnect(session);
    };
    stream.on('data', (message: FromDataPlane) => this.#receive(stream, session, message));
    stream.once('end', () => {
      over();
      stream.end();
    });
    stream.once('cancelled', over);
    stream.once('error', over);
    stream.once('close', over);
  }

  #receive(stream: DataPlaneStream, session: Session, message: FromDataPlane): void {
    switch (message.message) {
      case 'verdict':
        session.onVerdict(message.verdict);
        break;
      case 'load':
        session.onLoad(message.load);
        break;
      case 'health':
        session.onHealth(message.health);
        break;
      case 'hello':
        fail(stream, status.INVALID_ARGUMENT, 'only the first message may be a hello');
        break;
      default:
        // A member of a later version: nothing this version could need.
        break;
    }
  }

  #onPeer(stream: ServerDuplexStream<PeerReport, PeerReport>): void {
    stream.on('error', () => {});
    const refusal = this.#refusalOf(stream, this.#options.peerNames, true);
    if (refusal === null) this.#options.onPeer(stream);
    else fail(stream, refusal.code, refusal.details);
  }

  #refusalOf(
    stream: DataPlaneStream | ServerDuplexStream<PeerReport, PeerReport>,
    allowed: readonly string[],
    peer = false,
  ): { code: status; details: string } | null {
    if (this.#options.certificates !== null) {
      const names = certificateNames(stream.getAuthContext().sslPeerCertificate);
      if (!mayCall(names, allowed)) {
        this.#options.log.warn({ event: 'refused-client', names, from: stream.getPeer() });
        return { code: status.PERMISSION_DENIED, details: 'this certificate may not call this' };
      }
    }
    if (!peer && !this.#options.synced()) {
      return { code: status.UNAVAILABLE, details: 'this controller has not read its sources yet' };
    }
    return null;
  }
}

function refuseHello(hello: Hello, gateway: string): { code: string; message: string } | null {
  if (hello.schemaVersion !== SCHEMA_VERSION) {
    return {
      code: 'schema-version',
      message: `this controller speaks schema version ${SCHEMA_VERSION}, the data plane ${hello.schemaVersion} (program ${hello.programVersion}): install both from one release`,
    };
  }
  if (hello.gateway !== gateway) {
    return {
      code: 'gateway',
      message: `this controller serves gateway "${gateway}", the data plane asked for "${hello.gateway.slice(0, 253)}"`,
    };
  }
  if (hello.node === '' || hello.node.length > MAX_NODE_LENGTH) {
    return { code: 'node', message: `a node name has 1 to ${MAX_NODE_LENGTH} characters` };
  }
  return null;
}

function fail(stream: { emit(event: 'error', error: unknown): boolean }, code: status, details: string): void {
  stream.emit('error', { code, details });
}

/** Made by us: only the owner may enter. An existing folder is the operator's; the socket in it is closed to others all the same. */
function prepareSocketFolder(socket: string): void {
  mkdirSync(path.dirname(socket), { recursive: true, mode: 0o700 });
  const there = lstatSync(socket, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new ControllerError('CTL_LISTEN', `${socket} exists and is no socket`);
  rmSync(socket);
}

export function isLoopback(listen: string): boolean {
  const host = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
