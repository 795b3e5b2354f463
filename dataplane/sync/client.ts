/**
 * The stream to the controller: hello and verdicts up, deltas down. It is opened again for as long as it runs; what it cannot
 * reach changes nothing in what is served.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { DataplaneError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import {
  createSnapshotsClient,
  type FromDataPlane,
  type HealthReport,
  type Hello,
  type LoadReport,
  type Share,
  type SnapshotsClient,
  type ToDataPlane,
  type Verdict,
} from '../snapshot/protocol.ts';
import { backoffMs } from './backoff.ts';
import { connectChannel } from './channel.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import { DeltaAssembly } from './delta-assembly.ts';
import type { CompleteDelta } from './held.ts';

export interface StreamOptions {
  /** `host:port` or `unix:/path`; tried in turn, from a random one. */
  readonly controllers: readonly string[];
  readonly credentials: Credentials;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly connectTimeoutMs: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** A stream this old counts as a success: the next attempt starts with the shortest wait. */
  readonly settledMs: number;
  /** How often certificate files are looked at. */
  readonly credentialsCheckMs: number;
}

export const STREAM_DEFAULTS = {
  connectTimeoutMs: 5_000,
  backoffBaseMs: 100,
  backoffCapMs: 5_000,
  settledMs: 10_000,
  credentialsCheckMs: 30_000,
} as const;

export interface StreamHandlers {
  /** First message of each stream. */
  hello(): Hello;
  /** Called for one delta at a time. Must not reject. */
  apply(delta: CompleteDelta): Promise<Verdict>;
  /** The part of global limits this data plane has from now on. */
  share(share: Share): void;
  /** `controller` is the address; `error` says why there is none. */
  connected(controller: string): void;
  disconnected(error: DataplaneError): void;
}

type Stream = ClientDuplexStream<FromDataPlane, ToDataPlane>;

/** Wait before asking a controller again that refused us: it takes a new version of one of us to change its mind. */
const REFUSED_WAIT_MS = 30_000;

export class ControllerStream {
  readonly #options: StreamOptions;
  readonly #handlers: StreamHandlers;
  #next: number;
  #attempt = 0;
  #stopped = false;
  #stream: Stream | null = null;
  #wake: (() => void) | null = null;
  #running: Promise<void> | null = null;
  #backedUp = false;

  constructor(options: StreamOptions, handlers: StreamHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#next = Math.floor(options.random() * options.controllers.length);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the stream; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stream?.end();
    this.#stream?.cancel();
    this.#wake?.();
    await this.#running;
  }

  /** Dropped where no stream is open or the last ones still wait: the next report says it all anyway. */
  sendLoad(load: LoadReport): void {
    if (this.#stream === null || this.#backedUp) return;
    this.#write(this.#stream, { message: 'load', load });
  }

  /** False where it was not sent: no stream is open, or the last messages still wait. */
  sendHealth(health: HealthReport): boolean {
    if (this.#stream === null || this.#backedUp) return false;
    this.#write(this.#stream, { message: 'health', health });
    return true;
  }

  /** A verdict nobody asked for: what this data plane makes of the revision its hello named. */
  sendVerdict(verdict: Verdict): void {
    if (this.#stream !== null) this.#write(this.#stream, { message: 'verdict', verdict });
  }

  #write(stream: Stream, message: FromDataPlane): void {
    if (stream.writableEnded || stream.destroyed) return;
    this.#backedUp = !stream.write(message);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const controller = this.#options.controllers[this.#next % this.#options.controllers.length] as string;
      this.#next++;
      const startedAt = performance.now();
      const failure = await this.#attemptOnce(controller);
      if (this.#stopped) return;
      this.#handlers.disconnected(failure);
      if (performance.now() - startedAt >= this.#options.settledMs) this.#attempt = 0;
      let waitMs = backoffMs(
        this.#attempt++,
        { baseMs: this.#options.backoffBaseMs, capMs: this.#options.backoffCapMs },
        this.#options.random(),
      );
      if (failure.code === 'DP_CONTROLLER_REFUSED') waitMs += REFUSED_WAIT_MS;
      await this.#sleep(waitMs);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One stream from start to end; the answer says why it ended. */
  async #attemptOnce(controller: string): Promise<DataplaneError> {
    let client: SnapshotsClient | null = null;
    try {
      const { channel, version } = await readCredentials(this.#options.credentials, controller);
      client = createSnapshotsClient(grpcTarget(controller), channel, {
        ...CHANNEL_OPTIONS,
        ...serverNameOption(this.#options.credentials),
      });
      await connectChannel(client, this.#options.connectTimeoutMs);
      if (this.#stopped) return stopped();
      return await this.#converse(client.Subscribe(), controller, version);
    } catch (error) {
      if (error instanceof DataplaneError) return error;
      return unreachable(controller, error);
    } finally {
      client?.close();
    }
  }

  #converse(stream: Stream, controller: string, credentialsVersion: string): Promise<DataplaneError> {
    return new Promise((resolve) => {
      const assembly = new DeltaAssembly();
      let applying: Promise<void> = Promise.resolve();
      const watch = this.#watchCredentials(controller, credentialsVersion, () =>
        end(new DataplaneError('DP_CONTROLLER_UNREACHABLE', 'the certificate files changed', { retryable: true })),
      );
      let over = false;
      const end = (failure: DataplaneError): void => {
        if (over) return;
        over = true;
        clearInterval(watch);
        if (this.#stream === stream) this.#stream = null;
        stream.cancel();
        // What is being applied is finished before the next hello says what is held.
        void applying.then(() => resolve(failure));
      };
      stream.on('data', (message: ToDataPlane) => {
        if (over) return;
        if (message.message === 'refusal') {
          const { code, message: why } = message.refusal;
          end(
            new DataplaneError('DP_CONTROLLER_REFUSED', `${controller} refused: ${why} (${code})`, { retryable: true }),
          );
          return;
        }
        if (message.message === 'share') this.#handlers.share(message.share);
        if (message.message !== 'delta') return;
        const part = assembly.add(message.delta);
        if (part.kind === 'more') return;
        if (part.kind === 'broken') {
          end(
            new DataplaneError('DP_PROTOCOL', `${controller} sent a delta that ${part.message}`, { retryable: true }),
          );
          return;
        }
        this.#attempt = 0;
        // One at a time; gRPC's flow control holds the controller back meanwhile.
        stream.pause();
        applying = applying.then(async () => {
          const verdict = await this.#handlers.apply(part.delta);
          if (over) return;
          this.#write(stream, { message: 'verdict', verdict });
          stream.resume();
        });
      });
      stream.on('drain', () => {
        this.#backedUp = false;
      });
      stream.on('end', () => end(unreachable(controller, new Error('the controller ended the stream'))));
      stream.on('error', (error) => end(unreachable(controller, error)));
      this.#backedUp = false;
      this.#write(stream, { message: 'hello', hello: this.#handlers.hello() });
      this.#stream = stream;
      this.#handlers.connected(controller);
    });
  }

  /** A new certificate is used at once: a stream can live longer than the old one is valid. */
  #watchCredentials(controller: string, version: string, changed: () => void): NodeJS.Timeout {
    return setInterval(() => {
      readCredentials(this.#options.credentials, controller).then(
        (read) => {
          if (read.version !== version) changed();
        },
        (error) => this.#options.log.warn({ error: messageOf(error) }, 'the certificate files could not be read again'),
      );
    }, this.#options.credentialsCheckMs).unref();
  }
}

const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.enable_channelz': 0,
  // One channel an attempt: nothing of a former one is shared.
  'grpc.use_local_subchannel_pool': 1,
  // A name with several addresses: any of them, so that a fleet spreads over the replicas.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }] }),
  'grpc.service_config_disable_resolution': 1,
} as const;

function serverNameOption(credentials: Credentials): Record<string, string> {
  const name = credentials?.serverName ?? '';
  return name === '' ? {} : { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name };
}

function grpcTarget(controller: string): string {
  return controller.startsWith('unix:') ? controller : `dns:${controller}`;
}

function unreachable(controller: string, cause: unknown): DataplaneError {
  return new DataplaneError('DP_CONTROLLER_UNREACHABLE', `no stream to ${controller}`, { cause, retryable: true });
}

function stopped(): DataplaneError {
  return new DataplaneError('DP_CONTROLLER_UNREACHABLE', 'stopped', { retryable: false });
}
