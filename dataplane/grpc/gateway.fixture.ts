/** For tests: a gateway on real ports (HTTP/1.1 and h2c) under a runtime, gRPC backends of four kinds of methods, and a client. */
import type { EventEmitter } from 'node:events';
import {
  type CallOptions,
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type StatusObject,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { startWheel } from '../io/wheel.ts';
import { createH2cListener } from '../listener/h2c.ts';
import { createHttp1Listener } from '../listener/http1.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { createRequestIds } from '../pipeline/request-id.ts';
import { RUNTIME_DEFAULTS } from '../runtime/deps.ts';
import type { Change } from '../runtime/plan.ts';
import { Runtime } from '../runtime/runtime.ts';
import { QUIET_STAGES } from '../runtime/stages.fixture.ts';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture, forwardFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { BackendResource, Resource, RuleResource } from '../snapshot/resources.ts';
import { loadStages } from '../stages/registry.ts';
import { forward } from '../upstream/forward.ts';
import { createUpstream, type Upstream } from '../upstream/upstream.ts';

export const same = (bytes: Buffer): Buffer => bytes;

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/test.v1.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/** Messages are bytes as they are. */
export const ECHO = {
  unary: method('Unary', false, false),
  client: method('Client', true, false),
  server: method('Server', false, true),
  bidi: method('Bidi', true, true),
};

export const CLIENT_OPTIONS = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
};

export class GrpcBackend {
  port: number = 0;
  readonly #server = new Server(CLIENT_OPTIONS);

  constructor(implementation: UntypedServiceImplementation) {
    this.#server.addService(ECHO, { unary: no, client: no, server: no, bidi: no, ...implementation });
  }

  async listen(port = 0): Promise<this> {
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return this;
  }

  kill(): void {
    this.#server.forceShutdown();
  }
}

function no(): never {
  throw new Error('not implemented');
}

export class GrpcGateway {
  readonly finished: Exchange[] = [];
  readonly errors: string[] = [];
  readonly upstreams: Upstream[] = [];
  h2cPort = 0;
  http1Port = 0;
  readonly #wheel = startWheel({ tickMs: 10 });
  readonly #clients: Client[] = [];
  readonly runtime = new Runtime({
    createUpstream: (backend, endpoints) => {
      const upstream = createUpstream(backend, endpoints, { wheel: this.#wheel });
      this.upstreams.push(upstream);
      return upstream;
    },
    forward,
    onFinish: (exchange) => this.finished.push(exchange),
    logError: (message, _exchange, error) => this.errors.push(`${message}: ${error}`),
    newRequestId: createRequestIds(),
    now: () => performance.now(),
    random: Math.random,
    setTimer: (run, delayMs) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
    stages: QUIET_STAGES,
    defaults: RUNTIME_DEFAULTS,
  });
  readonly #common = {
    host: '127.0.0.1',
    port: 0,
    handler: this.runtime.handler,
    refuse: this.runtime.refuse.bind(this.runtime),
    wheel: this.#wheel,
  };
  readonly h2c = createH2cListener({
    ...this.#common,
    refuse: ({ status, code, detail }) => this.runtime.refuse(status, code, detail),
  });
  readonly http1 = createHttp1Listener({
    ...this.#common,
    refuse: ({ status, code, detail }) => this.runtime.refuse(status, code, detail),
  });

  async listen(): Promise<this> {
    ({ port: this.h2cPort } = await this.h2c.listen());
    ({ port: this.http1Port } = await this.http1.listen());
    return this;
  }

  async apply(resources: readonly Resource[]): Promise<void> {
    const upsert = resources.map(encodeResource);
    await loadStages(upsert);
    const change: Change = { upsert, removed: [] };
    const { rejected } = this.runtime.apply(change);
    if (rejected.length > 0) throw new Error(rejected.map(({ id, message }) => `${id}: ${message}`).join('; '));
  }

  /** One rule for all before one backend at these ports. */
  serve(
    ports: readonly number[],
    rule: Partial<RuleResource> = {},
    backend: Partial<BackendResource> = {},
  ): Promise<void> {
    return this.apply([
      ruleFixture('shop/echo/all', { action: forwardFixture('shop/echo'), ...rule }),
      backendFixture('shop/echo', { protocol: 'http2', grpc: true, ...backend }),
      endpointsFixture('shop/echo', ...ports.map((port) => `127.0.0.1:${port}`)),
    ]);
  }

  client(): Client {
    const client = new Client(`127.0.0.1:${this.h2cPort}`, credentials.createInsecure(), CLIENT_OPTIONS);
    this.#clients.push(client);
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all([this.h2c.close(100), this.http1.close(100)]);
    this.runtime.close();
    this.#wheel.stop();
  }
}

/** What a call came to. */
export interface Called {
  readonly code: number;
  readonly details: string;
  /** Of the trailers. */
  readonly metadata: Metadata;
  readonly messages: Buffer[];
  readonly head: Metadata | null;
}

type Call = EventEmitter & Pick<ClientReadableStream<Buffer>, 'cancel'>;

/** Until the status is there. */
export function outcome(call: Call): Promise<Called> {
  const messages: Buffer[] = [];
  let head: Metadata | null = null;
  call.on('metadata', (metadata: Metadata) => {
    head = metadata;
  });
  call.on('data', (message: Buffer) => messages.push(message));
  call.on('error', () => {});
  return new Promise((resolve) => {
    call.on('status', ({ code, details, metadata }: StatusObject) =>
      resolve({ code, details, metadata, messages, head }),
    );
  });
}

export function unary(
  client: Client,
  message: Buffer | string,
  metadata = new Metadata(),
  options: CallOptions = {},
  of: MethodDefinition<Buffer, Buffer> = ECHO.unary,
): Promise<Called> {
  let answer: Buffer | undefined;
  const call = client.makeUnaryRequest(
    of.path,
    same,
    same,
    Buffer.from(message),
    metadata,
    options,
    (_error, value) => {
      answer = value;
    },
  );
  return outcome(call).then((called) => ({ ...called, messages: answer === undefined ? [] : [answer] }));
}

export function bidi(client: Client, metadata = new Metadata(), options: CallOptions = {}) {
  return client.makeBidiStreamRequest(ECHO.bidi.path, same, same, metadata, options);
}
