/** A runtime behind a real listener, with real backends: for tests of mirrors, fallbacks and splits. */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import type { Refusal } from '../codec/refusals.ts';
import { startWheel } from '../io/wheel.ts';
import { createH2cListener } from '../listener/h2c.ts';
import { createHttp1Listener } from '../listener/http1.ts';
import type { Listener } from '../listener/options.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { createRequestIds } from '../pipeline/request-id.ts';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture } from '../snapshot/fixtures.ts';
import type { Resource } from '../snapshot/resources.ts';
import { StageCounters } from '../telemetry/stage-counters.ts';
import { forward } from '../upstream/forward.ts';
import { createUpstream } from '../upstream/upstream.ts';
import { RUNTIME_DEFAULTS } from './deps.ts';
import { type Applied, Runtime } from './runtime.ts';
import { QUIET_STAGES } from './stages.fixture.ts';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Answers 200 with its name, or as `answer` says, once the request is read. */
export class SeeingBackend {
  readonly name: string;
  readonly seen: Seen[] = [];
  readonly server: http.Server;
  connections = 0;
  answer: (request: Seen, response: http.ServerResponse) => void;

  constructor(name: string, answer?: (request: Seen, response: http.ServerResponse) => void) {
    this.name = name;
    this.answer = answer ?? ((_request, response) => response.end(name));
    this.server = http.createServer(async (request, response) => {
      let body = '';
      try {
        for await (const chunk of request) body += chunk;
      } catch {
        return;
      }
      const seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
      this.seen.push(seen);
      this.answer(seen, response);
    });
    this.server.on('connection', () => this.connections++);
  }

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return addressOf(this.server);
  }
}

export interface Got {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export class ShapingScene {
  readonly finished: Exchange[] = [];
  readonly errors: string[] = [];
  readonly counters = new StageCounters();
  readonly runtime: Runtime;
  /** What the next draws are; then 0. */
  draws: number[] = [];
  readonly #wheel = startWheel({ tickMs: 10 });
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #servers: net.Server[] = [];
  readonly #sockets: net.Socket[] = [];
  readonly #listener: Listener;
  readonly #h2c: Listener;
  #port = 0;
  #h2cPort = 0;
  #held: string[] = [];

  constructor(random?: () => number) {
    this.runtime = new Runtime({
      createUpstream: (backend, endpoints, materials) =>
        createUpstream(backend, endpoints, { wheel: this.#wheel }, materials),
      forward,
      onFinish: (exchange) => this.finished.push(exchange),
      logError: (message, _exchange, error) => this.errors.push(`${message}: ${error}`),
      newRequestId: createRequestIds(),
      now: () => performance.now(),
      random: random ?? (() => this.draws.shift() ?? 0),
      setTimer: (run, delayMs) => {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
      stages: { ...QUIET_STAGES, counter: (name, labels) => this.counters.counter(name, labels) },
      defaults: RUNTIME_DEFAULTS,
    });
    const options = {
      host: '127.0.0.1',
      port: 0,
      handler: this.runtime.handler,
      refuse: ({ status, code, detail }: Refusal) => this.runtime.refuse(status, code, detail),
      wheel: this.#wheel,
    };
    this.#listener = createHttp1Listener(options);
    this.#h2c = createH2cListener(options);
  }

  async listen(): Promise<this> {
    ({ port: this.#port } = await this.#listener.listen());
    ({ port: this.#h2cPort } = await this.#h2c.listen());
    return this;
  }

  async backend(
    name: string,
    answer?: SeeingBackend['answer'],
  ): Promise<{ backend: SeeingBackend; parts: Resource[] }> {
    const backend = new SeeingBackend(name, answer);
    this.#servers.push(backend.server);
    return { backend, parts: partsOf(name, await backend.listen()) };
  }

  /** Accepts, reads nothing it understands, and does with each connection what it is told; nothing by default. */
  async raw(name: string, onSocket: (socket: net.Socket) => void = () => {}): Promise<Resource[]> {
    const server = net.createServer((socket) => {
      this.#sockets.push(socket);
      socket.on('error', () => {});
      onSocket(socket);
    });
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return partsOf(name, addressOf(server));
  }

  /** Nobody listens there, and no other test will. */
  dead(name: string): Resource[] {
    return partsOf(name, '127.0.0.1:1');
  }

  /** Makes this all there is. */
  configure(...resources: Resource[]): Applied {
    const ids = resources.map(({ id }) => id);
    const applied = this.runtime.apply({
      upsert: resources.map(encodeResource),
      removed: this.#held.filter((id) => !ids.includes(id)),
    });
    this.#held = ids;
    return applied;
  }

  async send(method: string, path: string, headers: http.OutgoingHttpHeaders = {}, body?: string): Promise<Got> {
    const request = http.request({ host: '127.0.0.1', port: this.#port, method, path, headers, agent: this.#agent });
    request.end(body);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    let text = '';
    for await (const chunk of response) text += chunk;
    return { status: response.statusCode ?? 0, headers: response.headers, body: text };
  }

  /** Over HTTP/2, the body in two pieces. */
  async sendH2(method: string, path: string, body: string): Promise<Got> {
    const session = http2.connect(`http://127.0.0.1:${this.#h2cPort}`);
    const stream = session.request({ ':method': method, ':path': path });
    const half = body.length >> 1;
    stream.write(body.slice(0, half));
    stream.end(body.slice(half));
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    let text = '';
    for await (const chunk of stream) text += chunk;
    session.close();
    return { status: Number(headers[':status']), headers, body: text };
  }

  /** A request whose body the test writes by itself. */
  begin(method: string, path: string, headers: http.OutgoingHttpHeaders = {}): http.ClientRequest {
    const request = http.request({ host: '127.0.0.1', port: this.#port, method, path, headers, agent: false });
    request.on('error', () => {});
    return request;
  }

  /** Counts of one name above 0, by its labels. */
  counts(name: string): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [key, value] of this.counters.image()) {
      const [counter, ...labels] = key.split('\0');
      if (counter === name && value > 0) counts[labels.map((label) => label.split('=')[1]).join(' ')] = value;
    }
    return counts;
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await Promise.all([this.#listener.close(1_000), this.#h2c.close(1_000)]);
    this.runtime.close();
    this.#wheel.stop();
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }
}

export async function eventually(holds: () => boolean): Promise<void> {
  const untilMs = performance.now() + 15_000;
  while (!holds()) {
    if (performance.now() > untilMs) throw new Error(`never: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function partsOf(name: string, address: string): Resource[] {
  return [backendFixture(name), endpointsFixture(name, address)];
}

function addressOf(server: net.Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
