/** A runtime with upstreams that answer when told to, and requests in memory: for tests of what a change does. */
import type { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { MemoryDownstream, memoryExchange } from '../pipeline/memory-downstream.ts';
import { canonicalBytes, hashBody } from '../snapshot/canonical.ts';
import { encodeResource, type ResourceBytes } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture, forwardFixture, matchFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { BackendResource, EndpointsResource, Resource } from '../snapshot/resources.ts';
import type { ForwardOptions, Responder } from '../upstream/seam.ts';
import type { EndpointState, Upstream, UpstreamStats } from '../upstream/upstream.ts';
import { RUNTIME_DEFAULTS, type StageSurroundings } from './deps.ts';
import { type Applied, Runtime } from './runtime.ts';
import { QUIET_STAGES } from './stages.fixture.ts';

const unusable = ({ endpoints }: EndpointsResource) => endpoints.some(({ address }) => address === 'unusable');

/** Stands where upstream/ stands: remembers what a runtime does with it, and holds exchanges until told to answer. */
export class HeldUpstream {
  readonly id: string;
  readonly updates: string[] = [];
  stats: UpstreamStats = { endpoints: 1, connections: 0, active: 0, pending: 0 };
  blocked: readonly EndpointState['blocked'][] = [];
  readonly states = () => this.blocked.map((blocked) => ({ blocked }));
  backend: BackendResource;
  endpoints: EndpointsResource;
  closed = 0;

  constructor(backend: BackendResource, endpoints: EndpointsResource) {
    this.id = backend.id;
    this.backend = backend;
    this.endpoints = endpoints;
  }
  update(backend: BackendResource, endpoints: EndpointsResource): void {
    if (unusable(endpoints)) throw new Error('no such thing');
    this.backend = backend;
    this.endpoints = endpoints;
    this.updates.push(endpoints.endpoints.map(({ address }) => address).join());
  }
  close(): void {
    this.closed++;
  }
}

export interface Forwarded {
  readonly exchange: Exchange;
  readonly upstream: HeldUpstream;
  readonly options: ForwardOptions;
  answer(): void;
}

export class Gateway {
  readonly upstreams: HeldUpstream[] = [];
  readonly forwarded: Forwarded[] = [];
  readonly errors: string[] = [];
  random = 0;
  readonly runtime: Runtime;

  /** `stages`: beside those that need nothing from outside. */
  constructor(stages: Partial<StageSurroundings> = {}) {
    this.runtime = new Runtime({
      createUpstream: (backend, endpoints) => {
        if (unusable(endpoints)) throw new Error('no such thing');
        const upstream = new HeldUpstream(backend, endpoints);
        this.upstreams.push(upstream);
        return upstream as unknown as Upstream;
      },
      forward: (exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder) => {
        this.forwarded.push({
          exchange,
          upstream: upstream as unknown as HeldUpstream,
          options,
          answer: () => {
            exchange.status = 200;
            exchange.responseHeaders = new Headers(['x-backend', upstream.id]);
            responder.respond(exchange, {
              proceed: () => {
                exchange.downstream.writeHead(exchange.status, exchange.responseHeaders as Headers, 0);
                exchange.downstream.end(null);
                responder.finish(exchange);
              },
              discard: () => {},
            });
          },
        });
      },
      onFinish: () => {},
      logError: (message, _exchange, error) => this.errors.push(`${message}: ${error}`),
      newRequestId: () => 'id',
      now: () => 0,
      random: () => this.random,
      setTimer: () => () => {},
      stages: { ...QUIET_STAGES, ...stages },
      defaults: RUNTIME_DEFAULTS,
    });
  }

  apply(upsert: (Resource | ResourceBytes)[], removed: string[] = []): Applied {
    const bytes = upsert.map((one) => ('body' in one ? one : encodeResource(one)));
    return this.runtime.apply({ upsert: bytes, removed });
  }

  send(line: string, fields: string[] = [], authority = 'gateway.example'): MemoryDownstream {
    const downstream = new MemoryDownstream();
    this.runtime.handler(memoryExchange(line, { fields, authority, downstream }));
    return downstream;
  }

  /** Status and body of an answer of the gateway's own. */
  ask(line: string, authority?: string): string {
    const { status, body } = this.send(line, [], authority);
    return `${status} ${body.startsWith('{') ? JSON.parse(body).code : body}`;
  }
}

export const orders = [backendFixture('shop/orders'), endpointsFixture('shop/orders', '10.0.0.1:80')];
export const ordersRule = ruleFixture('shop/orders/all', {
  matches: [matchFixture('/orders')],
  action: forwardFixture('shop/orders'),
});
export const broken = (id: string, body: unknown): ResourceBytes => {
  const bytes = canonicalBytes(body);
  return { id, hash: hashBody(bytes), body: bytes };
};
export const messages = (applied: Applied) => applied.rejected.map(({ id, message }) => `${id}: ${message}`);
