/** A small controller for tests: a real gRPC server that speaks the protocol as the test tells it. */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { encodeResource } from '../snapshot/decode.ts';
import {
  type Delta,
  type DeltaResource,
  type FromDataPlane,
  type HealthReport,
  type Hello,
  type LoadReport,
  messageLimits,
  type SnapshotsHandlers,
  snapshotsService,
  type ToDataPlane,
  type Verdict,
} from '../snapshot/protocol.ts';
import type { Resource } from '../snapshot/resources.ts';
import { revisionOf } from '../snapshot/revision.ts';

type Call = ServerDuplexStream<FromDataPlane, ToDataPlane>;

/** One stream as the controller sees it. */
export class TestStream {
  readonly call: Call;
  readonly verdicts = new Inbox<Verdict>();
  readonly loads = new Inbox<LoadReport>();
  readonly healths = new Inbox<HealthReport>();
  readonly hello: Hello;
  closed = false;

  constructor(call: Call, hello: Hello) {
    this.call = call;
    this.hello = hello;
  }

  send(delta: Delta): void {
    this.call.write({ message: 'delta', delta });
  }

  refuse(code: string, message: string): void {
    this.call.write({ message: 'refusal', refusal: { code, message } });
    this.call.end();
  }

  /** Breaks the stream. */
  end(): void {
    this.call.end();
  }
}

/** Values that arrived, waited for in order. */
export class Inbox<T> {
  readonly all: T[] = [];
  #taken = 0;
  #waiting: (() => void)[] = [];

  push(value: T): void {
    this.all.push(value);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** The next one not taken yet; only those that fit, where `fits` is given (the others are skipped). */
  async next(fits: (value: T) => boolean = () => true, timeoutMs = 30_000): Promise<T> {
    const deadline = setTimeout(() => this.push(TIMED_OUT as T), timeoutMs);
    try {
      for (;;) {
        while (this.#taken < this.all.length) {
          const value = this.all[this.#taken++] as T;
          if (value === TIMED_OUT) throw new Error(`nothing that fits arrived within ${timeoutMs} ms`);
          if (fits(value)) return value;
        }
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(deadline);
    }
  }
}
const TIMED_OUT = Symbol('timed out');

export class TestController {
  readonly streams = new Inbox<TestStream>();
  readonly address: string;
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** `listen`: `127.0.0.1:0` or `unix:/path`. */
  static async start(
    listen = '127.0.0.1:0',
    credentials: ServerCredentials = ServerCredentials.createInsecure(),
  ): Promise<TestController> {
    const server = new Server(messageLimits);
    let controller: TestController | null = null;
    const handlers: SnapshotsHandlers = {
      Subscribe(call) {
        let stream: TestStream | null = null;
        call.on('data', (message: FromDataPlane) => {
          if (message.message === 'hello') {
            stream = new TestStream(call, message.hello);
            controller?.streams.push(stream);
          } else if (message.message === 'verdict') stream?.verdicts.push(message.verdict);
          else if (message.message === 'load') stream?.loads.push(message.load);
          else if (message.message === 'health') stream?.healths.push(message.health);
        });
        call.on('error', () => {});
        call.on('end', () => call.end());
        call.on('close', () => {
          if (stream !== null) stream.closed = true;
        });
        call.on('cancelled', () => {
          if (stream !== null) stream.closed = true;
        });
      },
      Peer(call) {
        call.end();
      },
    };
    server.addService(snapshotsService, { ...handlers });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(listen, credentials, (error, bound) => (error === null ? resolve(bound) : reject(error))),
    );
    controller = new TestController(server, listen.startsWith('unix:') ? listen : `127.0.0.1:${port}`);
    return controller;
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

/** A set of resources as a controller keeps it, and the deltas between two of them. */
export class TestSnapshot {
  readonly resources: ReadonlyMap<string, DeltaResource>;
  readonly revision: string;

  constructor(resources: Iterable<Resource | DeltaResource>) {
    const entries = Array.from(resources, (value) => {
      const bytes =
        'body' in value && value.body instanceof Uint8Array
          ? (value as DeltaResource)
          : encodeResource(value as Resource);
      return [bytes.id, { id: bytes.id, hash: bytes.hash, body: bytes.body }] as const;
    });
    this.resources = new Map(entries);
    this.revision = revisionOf(entries.map(([id, { hash }]) => [id, hash]));
  }

  /** The whole of it. */
  full(): Delta {
    return { baseRevision: '', revision: this.revision, upsert: [...this.resources.values()], removed: [], last: true };
  }

  /** One step from another snapshot to this one. */
  since(base: TestSnapshot): Delta {
    return {
      baseRevision: base.revision,
      revision: this.revision,
      upsert: [...this.resources.values()].filter(({ id, hash }) => base.resources.get(id)?.hash !== hash),
      removed: [...base.resources.keys()].filter((id) => !this.resources.has(id)),
      last: true,
    };
  }
}
