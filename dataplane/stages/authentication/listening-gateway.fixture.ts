/** A gateway on a real port for tests of logins: one rule with one policy before a backend that keeps what it gets. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { startWheel } from '../../io/wheel.ts';
import { createHttp1Listener } from '../../listener/http1.ts';
import { Outbound } from '../../outbound/outbound.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { createRequestIds } from '../../pipeline/request-id.ts';
import { RUNTIME_DEFAULTS } from '../../runtime/deps.ts';
import { Runtime } from '../../runtime/runtime.ts';
import { QUIET_STAGES } from '../../runtime/stages.fixture.ts';
import { encodeResource } from '../../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  policyFixture,
  ruleFixture,
} from '../../snapshot/fixtures.ts';
import type { Resource } from '../../snapshot/resources.ts';
import { type AuthenticationMethod, authenticationSection } from '../../snapshot/sections/authentication.ts';
import { forward } from '../../upstream/forward.ts';
import { createUpstream } from '../../upstream/upstream.ts';
import { loadStages } from '../registry.ts';
import type { Services } from '../services.ts';

export class ListeningGateway {
  /** Requests as the backend got them. */
  readonly seen: http.IncomingMessage[] = [];
  readonly errors: string[] = [];
  /** By how much the gateway's clock is ahead. */
  aheadMs = 0;
  readonly #wheel = startWheel();
  readonly #http = new Outbound({ restMs: 20 });
  readonly #services: Services = { ...QUIET_STAGES.services, http: this.#http };
  readonly #backend = http.createServer((request, response) => {
    this.seen.push(request);
    response.end(`${request.method} ${request.url}`);
  });
  readonly #runtime = new Runtime({
    createUpstream: (backend, endpoints, materials) =>
      createUpstream(backend, endpoints, { wheel: this.#wheel }, materials),
    forward,
    onFinish: () => {},
    logError: (message, _exchange, error) => this.errors.push(`${message}: ${error}`),
    newRequestId: createRequestIds(),
    now: () => performance.now(),
    random: Math.random,
    setTimer: (run, delayMs) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
    stages: {
      ...QUIET_STAGES,
      epochMs: () => Date.now() + this.aheadMs,
      services: this.#services,
    },
    defaults: RUNTIME_DEFAULTS,
  });
  readonly #listener = createHttp1Listener({
    host: '127.0.0.1',
    port: 0,
    handler: this.#runtime.handler,
    refuse: ({ status, code, detail }) => this.#runtime.refuse(status, code, detail),
    wheel: this.#wheel,
  });
  #port = 0;

  /** `services`: instead of those in memory. */
  constructor(services: Partial<Services> = {}) {
    Object.assign(this.#services, services);
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** What stages say they can't do. */
  get troubles(): string[] {
    return this.#runtime.troubles.map(({ message }) => message);
  }

  async start(): Promise<this> {
    this.#backend.listen(0, '127.0.0.1');
    await once(this.#backend, 'listening');
    ({ port: this.#port } = await this.#listener.listen());
    return this;
  }

  /** `secrets`: id → text. Rejections are returned. */
  async protect(
    methods: readonly AuthenticationMethod[],
    secrets: Readonly<Record<string, string>>,
    more: object = {},
  ): Promise<string[]> {
    const { port } = this.#backend.address() as AddressInfo;
    const anyOf = methods.map(({ name }) => [name]);
    const section = authenticationSection.parse({ section: 'authentication', methods, anyOf, ...more });
    const policy = policyFixture('shop/login', section);
    const resources: Resource[] = [
      ...Object.entries(secrets).map(([id, text]) => ({
        kind: 'secret' as const,
        id,
        value: Buffer.from(text).toString('base64'),
      })),
      policy,
      ruleFixture('shop/all/all', { action: forwardFixture('shop/api'), policies: [policy.id] }),
      backendFixture('shop/api'),
      endpointsFixture('shop/api', `127.0.0.1:${port}`),
    ];
    const upsert = resources.map(encodeResource);
    await loadStages(upsert);
    const ids = new Set(resources.map(({ id }) => id));
    const removed = Array.from(this.#runtime.held(), ({ id }) => id).filter((id) => !ids.has(id));
    return this.#runtime.apply({ upsert, removed }).rejected.map(({ id, message }) => `${id}: ${message}`);
  }

  /** What would become of a request, in one line; nothing is sent. */
  async explain(path: string, cookie: string): Promise<string> {
    const fields = cookie === '' ? [] : ['cookie', cookie];
    const exchange = memoryExchange(`GET ${path}`, { fields, authority: new URL(this.origin).host });
    const { sections, answer } = await this.#runtime.explain(exchange, undefined);
    return `${answer?.status ?? 'served'} ${sections[0]?.text}`;
  }

  async stop(): Promise<void> {
    await this.#listener.close(1_000);
    this.#runtime.close();
    this.#wheel.stop();
    await this.#http.close();
    this.#backend.close();
    this.#backend.closeAllConnections();
  }
}
