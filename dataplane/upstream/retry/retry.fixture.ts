/** For tests of retries: settings, backends that fail on cue, and what watchers were told. */
import { eventually, type Peer, ScriptedBackend, TestProxy, type TestProxySettings } from '../../engine.fixture.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import type { RetrySettings } from '../../snapshot/retry.ts';
import type { EndpointPool } from '../endpoint-pool.ts';
import type { Upstream } from '../upstream.ts';
import { UNDECIDED, type Watcher } from '../watcher.ts';
import { type RetryOptions, retryOptions } from './options.ts';

/** Retries once on all there is, with a budget that does not count. */
export function retrying(settings: Partial<RetrySettings> = {}): RetryOptions {
  return retryOptions({
    attempts: 1,
    on: ['connect', 'reset', 'timeout', 'status'],
    statuses: [502, 503, 504],
    methods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'],
    budget: { percent: 100, minPerSecond: 100 },
    backoff: { baseMs: 25, maxMs: 250 },
    maxRetryAfterMs: 1000,
    bodyBytes: 65_536,
    ...settings,
  });
}

export type Step = string | ((peer: Peer) => void);

export const RESET: Step = (peer) => peer.socket.resetAndDestroy();
/** Accepted, and never answered. */
export const HANG: Step = () => {};
export const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy';

/** Gives its n-th request, over all connections, the n-th step; later ones the last step again. Requests are without a body. */
export function steps(...list: readonly Step[]): (peer: Peer) => void {
  let done = 0;
  return (peer) => {
    let seen = 0;
    peer.socket.on('data', () => {
      const heads = peer.received.split('\r\n\r\n').length - 1;
      for (; seen < heads; seen++) {
        const step = list[Math.min(done++, list.length - 1)] as Step;
        if (typeof step === 'string') peer.send(step);
        else step(peer);
      }
    });
  };
}

/** What was told of attempts, as `endpoint: answered 503, left`. */
export class Told {
  readonly lines: string[] = [];
  readonly #running = new Map<object, string[]>();

  /** `names` of the endpoints by their ports. */
  constructor(upstream: Upstream, names: ReadonlyMap<number, string>) {
    for (const pool of poolsOf(upstream)) this.#watch(pool, names.get(pool.port) ?? pool.name);
  }

  #watch(pool: EndpointPool, name: string): void {
    const note = (attempt: object, what: string): void => {
      this.#running.set(attempt, [...(this.#running.get(attempt) ?? []), what]);
    };
    const watcher: Watcher = {
      answered: (status, _latencyMs, attempt) => note(attempt, `answered ${status}`),
      failed: (failure, attempt) => note(attempt, failure),
      left: (attempt) => {
        this.lines.push([`${name}:`, ...(this.#running.get(attempt) ?? []), 'left'].join(' '));
        this.#running.delete(attempt);
      },
    };
    pool.watchers = [...pool.watchers, watcher];
  }
}

/** By asking for one after the other. */
function poolsOf(upstream: Upstream): EndpointPool[] {
  const pools: EndpointPool[] = [];
  const exchange = memoryExchange('GET /');
  for (let pool = upstream.pick(exchange, pools); pool !== null; pool = upstream.pick(exchange, pools)) {
    pool.leave({ chosenAtMs: 0, verdict: UNDECIDED });
    pools.push(pool);
  }
  return pools;
}

/** Every request that was sent to it is over, for pools and watchers alike. */
export function nothingLeft({ stats }: Upstream): boolean {
  return stats.active === 0 && stats.pending === 0;
}

/** Backends, gateways and clients of one test. */
export class Scene {
  readonly #running: { close(): Promise<void> }[] = [];

  async close(): Promise<void> {
    for (const part of this.#running.splice(0)) await part.close();
  }

  /** Answers requests without a body, step by step. */
  backend(...list: Step[]): Promise<ScriptedBackend> {
    return this.scripted(steps(...list));
  }

  async scripted(script?: (peer: Peer) => void): Promise<ScriptedBackend> {
    const started = await new ScriptedBackend(script).listen();
    this.#running.push(started);
    return started;
  }

  /** Where nobody listens. */
  async dead(): Promise<{ port: number }> {
    const server = await new ScriptedBackend().listen();
    await server.close();
    return server;
  }

  async gateway(
    to: readonly { readonly port: number }[],
    retry: Partial<RetrySettings> = {},
    settings: TestProxySettings = {},
  ): Promise<TestProxy> {
    const forward = { retry: retrying(retry), ...settings.forward };
    const started = await new TestProxy(
      to.map(({ port }) => port),
      { ...settings, forward },
    ).listen();
    this.#running.unshift(started);
    return started;
  }
}

/** Sends a request over a new connection. */
export async function ask(gateway: TestProxy, method = 'GET', more = '', body = ''): Promise<Peer> {
  const client = await gateway.client();
  client.send(`${method} /x HTTP/1.1\r\nhost: a\r\n${more}\r\n${body}`);
  return client;
}

/** Lets back-offs pass until `count` exchanges are over. */
export async function over(gateway: TestProxy, count = 1): Promise<void> {
  await eventually(() => {
    gateway.advance(50);
    return gateway.finished.length >= count;
  }, 'end of exchanges');
}

/** Requests that backends have got. */
export function heads(...backends: ScriptedBackend[]): number {
  return backends
    .flatMap(({ connections }) => connections)
    .reduce((sum, peer) => sum + peer.received.split(' HTTP/1.1\r\n').length - 1, 0);
}
