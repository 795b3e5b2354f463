/** For tests of policies: one rule with the sections given, on a real port before a real backend. */
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { startWheel } from '../io/wheel.ts';
import { createHttp1Listener, type Http1Listener } from '../listener/http1.ts';
import { Http1Connection } from '../listener/http1-connection.ts';
import type { ListenerOptions } from '../listener/options.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { createRequestIds } from '../pipeline/request-id.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { encodeResource } from '../snapshot/decode.ts';
import { backendFixture, endpointsFixture, forwardFixture, policyFixture, ruleFixture } from '../snapshot/fixtures.ts';
import { policySection, type RuleResource } from '../snapshot/resources.ts';
import { loadStages } from '../stages/registry.ts';
import { forward } from '../upstream/forward.ts';
import { createUpstream } from '../upstream/upstream.ts';
import { RUNTIME_DEFAULTS } from './deps.ts';
import { Runtime } from './runtime.ts';
import { QUIET_STAGES } from './stages.fixture.ts';

export interface Said {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** A 100 (Continue) came. */
  readonly continued: boolean;
}

export class PolicedGateway {
  /** Requests as the backend got them. */
  readonly seen: http.IncomingMessage[] = [];
  readonly finished: Exchange[] = [];
  readonly errors: string[] = [];
  port = 0;
  /** What the connections that are accepted from now on are taken to have proved. */
  tls: TlsPeer | null = null;
  readonly backend: http.Server;
  readonly runtime: Runtime;
  readonly #wheel = startWheel();
  readonly #listener: Http1Listener;
  readonly #server: net.Server;

  constructor(answer: http.RequestListener, options: Partial<ListenerOptions> = {}) {
    const trustedHops = options.trustedHops ?? 0;
    this.runtime = new Runtime({
      createUpstream: (backend, endpoints) => createUpstream(backend, endpoints, { wheel: this.#wheel }),
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
      defaults: { ...RUNTIME_DEFAULTS, trustedHops },
    });
    this.backend = http.createServer((request, response) => {
      this.seen.push(request);
      answer(request, response);
    });
    this.#listener = createHttp1Listener({
      host: '127.0.0.1',
      port: 0,
      handler: this.runtime.handler,
      refuse: ({ status, code, detail }) => this.runtime.refuse(status, code, detail),
      wheel: this.#wheel,
      ...options,
    }) as Http1Listener;
    this.#server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      new Http1Connection(this.#listener, socket, this.tls);
    });
  }

  async start(): Promise<this> {
    this.backend.listen(0, '127.0.0.1');
    this.#server.listen(0, '127.0.0.1');
    await Promise.all([once(this.backend, 'listening'), once(this.#server, 'listening')]);
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Everything to the backend, under these sections. */
  async apply(sections: readonly object[], rule: Partial<RuleResource> = {}): Promise<void> {
    const policies = sections.map((section) => policyFixture('shop/policy', policySection.parse(section)));
    const { port } = this.backend.address() as AddressInfo;
    const upsert = [
      ...policies,
      ruleFixture('shop/all/all', {
        action: forwardFixture('shop/api'),
        policies: policies.map(({ id }) => id),
        ...rule,
      }),
      backendFixture('shop/api'),
      endpointsFixture('shop/api', `127.0.0.1:${port}`),
    ].map(encodeResource);
    await loadStages(upsert);
    const { rejected } = this.runtime.apply({ upsert, removed: [] });
    if (rejected.length > 0) throw new Error(JSON.stringify(rejected));
  }

  /** `body`: its chunks, without a length announced unless `headers` do. */
  send(options: http.RequestOptions, body: readonly (string | Buffer)[] = []): Promise<Said> {
    return new Promise((resolve, reject) => {
      let continued = false;
      const request = http.request({ host: '127.0.0.1', port: this.port, agent: false, ...options });
      request.on('continue', () => {
        continued = true;
        for (const chunk of body) request.write(chunk);
        request.end();
      });
      request.on('response', async (response) => {
        let text = '';
        for await (const chunk of response.setEncoding('latin1')) text += chunk;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, continued });
      });
      request.on('error', reject);
      if (request.hasHeader('expect')) request.flushHeaders();
      else {
        for (const chunk of body) request.write(chunk);
        request.end();
      }
    });
  }

  async stop(): Promise<void> {
    this.#server.close();
    await this.#listener.close(100);
    this.runtime.close();
    this.#wheel.stop();
    this.backend.close();
    this.backend.closeAllConnections();
  }
}
