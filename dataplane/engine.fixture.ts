/** For tests: a whole proxy on the engine (listener, forward, pools) with real sockets, a scripted backend and a raw client. */
import { once } from 'node:events';
import net from 'node:net';
import { Worker } from 'node:worker_threads';
import { TimerWheel } from './io/wheel.ts';
import type { ReadMode } from './io/wire.ts';
import { createH2cListener } from './listener/h2c.ts';
import { createHttp1Listener } from './listener/http1.ts';
import type { Listener, ListenerOptions } from './listener/options.ts';
import { type Exchange, NO_BODY } from './pipeline/exchange.ts';
import { Headers } from './pipeline/headers.ts';
import type { BackendResource, Endpoint, EndpointsResource } from './snapshot/resources.ts';
import { StageCounters } from './telemetry/stage-counters.ts';
import type { Materials } from './upstream/dial/tls-settings.ts';
import { forward } from './upstream/forward.ts';
import type { ForwardOptions, PendingResponse, Responder } from './upstream/seam.ts';
import { createUpstream, type Upstream } from './upstream/upstream.ts';

/** Runs `check` until it holds. Waits on events of the loop, for at most a few seconds; no assertion depends on how long. */
export async function eventually(check: () => boolean | Promise<boolean>, what = 'condition'): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, i < 50 ? 1 : 5));
  }
  throw new Error(`${what} did not come true`);
}

/** One raw connection, of a client or as a backend sees it. */
export class Peer {
  readonly socket: net.Socket;
  /** All that was received, one character a byte. */
  received = '';
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | null = null;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.received += bytes.toString('latin1');
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Until what was received contains `part` (from `after` on). Returns everything received. */
  async until(part: string | RegExp, after = 0): Promise<string> {
    const found = (): boolean => {
      const text = this.received.slice(after);
      return typeof part === 'string' ? text.includes(part) : part.test(text);
    };
    await eventually(() => found() || this.closed || this.ended, `received ${part}`);
    if (!found()) throw new Error(`connection over before ${part}; received ${JSON.stringify(this.received)}`);
    return this.received;
  }

  async end(): Promise<string> {
    await eventually(() => this.ended || this.closed, 'end of connection');
    return this.received;
  }

  /** Until the other side has closed or reset; then closes as well. */
  async close(): Promise<string> {
    await this.end();
    this.socket.end();
    await eventually(() => this.closed, 'close of connection');
    return this.received;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** A backend whose every byte the test writes. */
export class ScriptedBackend {
  readonly connections: Peer[] = [];
  readonly server: net.Server;
  port = 0;

  constructor(script?: (peer: Peer) => void) {
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const peer = new Peer(socket);
      this.connections.push(peer);
      script?.(peer);
    });
  }

  async listen(port = 0): Promise<this> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }

  /** The n-th connection, once it is there. */
  async connection(n = 0): Promise<Peer> {
    await eventually(() => this.connections.length > n, `backend connection ${n}`);
    return this.connections[n] as Peer;
  }

  async close(): Promise<void> {
    for (const peer of this.connections) peer.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Answers each complete head (no bodies) with `answer`. */
export function answering(answer: string): (peer: Peer) => void {
  return (peer) => {
    let answered = 0;
    peer.socket.on('data', () => {
      const heads = peer.received.split('\r\n\r\n').length - 1;
      for (; answered < heads; answered++) peer.send(answer);
    });
  };
}

/** A port whose listener accepts nothing and whose queue is full: the kernel leaves further connections unanswered. */
export async function deafPort(): Promise<{ port: number; close(): Promise<void> }> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const server = require('node:net').createServer();
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(workerData, 0, 0);
       process.exit();
     });`,
    { eval: true, workerData: gate },
  );
  const [port] = (await once(worker, 'message')) as [number];
  const queued: net.Socket[] = [];
  for (let waiting = false; !waiting; ) {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    queued.push(socket);
    waiting = await Promise.race([
      once(socket, 'connect').then(() => false),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 200)),
    ]);
  }
  return {
    port,
    close: async () => {
      for (const socket of queued) socket.destroy();
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await once(worker, 'exit');
    },
  };
}

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

export interface TestProxySettings {
  readonly protocol?: 'http1' | 'h2c';
  readonly readMode?: ReadMode;
  readonly listener?: Partial<ListenerOptions>;
  readonly forward?: Partial<ForwardOptions>;
  readonly backend?: Partial<BackendResource>;
  readonly pool?: Partial<BackendResource['pool']>;
  /** What `backend.tls` goes by. */
  readonly materials?: Materials;
  /** What is to be known of an endpoint but where it is. */
  readonly endpoint?: (port: number) => Partial<Endpoint>;
  /** The data plane's own. */
  readonly zone?: string;
  /** In place of 0 for ever. */
  readonly random?: () => number;
  /** In place of one whose time stands still. */
  readonly wheel?: TimerWheel;
  /** In place of passing responses on at once. */
  readonly respond?: (exchange: Exchange, response: PendingResponse) => void;
  /** In place of forwarding. */
  readonly handler?: (exchange: Exchange, forwardIt: () => void) => void;
}

export class TestProxy {
  /** Time stands still until the test moves it. */
  readonly clock = { ms: 1_000_000 };
  readonly wheel: TimerWheel;
  readonly listener: Listener;
  readonly upstream: Upstream;
  readonly counters = new StageCounters();
  readonly exchanges: Exchange[] = [];
  readonly finished: Exchange[] = [];
  readonly errors: unknown[] = [];
  readonly peers: Peer[] = [];
  port = 0;
  private readonly settings: TestProxySettings;

  constructor(ports: readonly number[], settings: TestProxySettings = {}) {
    this.settings = settings;
    const { readMode = 'onread' } = settings;
    this.wheel = settings.wheel ?? new TimerWheel({ now: () => this.clock.ms, automatic: false });
    const deps = {
      wheel: this.wheel,
      readMode,
      random: settings.random ?? (() => 0),
      ...(settings.zone === undefined ? {} : { zone: settings.zone }),
      counter: this.counters.counter.bind(this.counters),
    };
    this.upstream = createUpstream(this.backendResource(), this.endpointsAt(ports), deps, settings.materials);
    const options: ForwardOptions = {
      rewrite: null,
      requestTimeoutMs: 0,
      backendTimeoutMs: 0,
      idleTimeoutMs: 0,
      streamIdleTimeoutMs: 0,
      streams: null,
      trustedHops: 0,
      via: '',
      retry: null,
      ...settings.forward,
    };
    const responder: Responder = {
      respond: settings.respond ?? ((_exchange, response) => response.proceed()),
      answer: (exchange, status, code, detail, retryAfterS) => {
        exchange.status = status;
        exchange.code = code;
        const after = retryAfterS > 0 ? ['retry-after', String(retryAfterS)] : [];
        exchange.downstream.writeHead(status, new Headers(['x-code', code, ...after]), detail.length);
        exchange.downstream.write(Buffer.from(detail), null);
        exchange.downstream.end(null);
        this.finished.push(exchange);
      },
      finish: (exchange) => this.finished.push(exchange),
    };
    const create = settings.protocol === 'h2c' ? createH2cListener : createHttp1Listener;
    this.listener = create({
      host: '127.0.0.1',
      port: 0,
      handler: (exchange) => {
        this.exchanges.push(exchange);
        const go = (): void => forward(exchange, this.upstream, options, responder);
        if (settings.handler === undefined) go();
        else settings.handler(exchange, go);
      },
      refuse: ({ status, code, detail }) => ({
        status,
        code,
        headers: new Headers(['content-type', 'text/plain', 'x-code', code]),
        body: detail,
      }),
      onError: (error) => this.errors.push(error),
      wheel: this.wheel,
      readMode,
      epochMs: () => 0,
      ...settings.listener,
    });
  }

  backendResource(): BackendResource {
    const { backend, pool } = this.settings;
    return {
      kind: 'backend',
      id: 'backend/test/plain',
      protocol: 'http1',
      balancing: { algorithm: 'roundRobin' },
      connectTimeoutMs: 5000,
      pool: { maxConnections: 100, maxPending: 100, idleTimeoutMs: 60_000, ...pool },
      endpoints: 'endpoints/test/plain',
      ...backend,
    };
  }

  update(ports: readonly number[], materials = this.settings.materials): void {
    this.upstream.update(this.backendResource(), this.endpointsAt(ports), materials);
  }

  private endpointsAt(ports: readonly number[]): EndpointsResource {
    const { endpoint } = this.settings;
    return endpointsResource(ports.map((port) => ({ address: '127.0.0.1', port, weight: 1, ...endpoint?.(port) })));
  }

  async listen(): Promise<this> {
    ({ port: this.port } = await this.listener.listen());
    return this;
  }

  async client(): Promise<Peer> {
    const socket = net.connect({ host: '127.0.0.1', port: this.port, allowHalfOpen: true });
    await once(socket, 'connect');
    const peer = new Peer(socket);
    this.peers.push(peer);
    return peer;
  }

  /** Moves time on and lets timers fire. */
  advance(ms: number): void {
    this.clock.ms += ms;
    this.wheel.advance();
  }

  async close(): Promise<void> {
    for (const peer of this.peers) peer.destroy();
    await this.listener.close(0);
    this.upstream.close();
    this.wheel.stop();
  }
}

export function endpointsResource(endpoints: readonly Endpoint[]): EndpointsResource {
  return { kind: 'endpoints', id: 'endpoints/test/plain', endpoints: [...endpoints] };
}

/** Answers by itself, without a backend: `status`, no body. */
export function answerEmpty(exchange: Exchange, status: number): void {
  exchange.downstream.writeHead(status, new Headers(), NO_BODY);
  exchange.downstream.end(null);
}
