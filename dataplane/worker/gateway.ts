/** One worker's gateway: runtime, listeners, upstreams, and what is counted of them. */
import type { Refusal } from '../codec/refusals.ts';
import { DataplaneError, messageOf } from '../errors.ts';
import { startWheel, type TimerWheel } from '../io/wheel.ts';
import type { Http2Sessions } from '../listener/h2.ts';
import { createHttp1Listener } from '../listener/http1.ts';
import { type Listener, type ListenerOptions, listenerOptions } from '../listener/options.ts';
import type { Log } from '../log.ts';
import type { Stage } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { createRequestIds } from '../pipeline/request-id.ts';
import { RUNTIME_DEFAULTS } from '../runtime/deps.ts';
import type { RuntimeDescription } from '../runtime/describe.ts';
import { Runtime } from '../runtime/runtime.ts';
import { type ProxyPort, proxySources } from '../settings/proxy-protocol.ts';
import type { BackendView } from '../snapshot/backend/view.ts';
import type { Explanation } from '../snapshot/explain.ts';
import { sheddingSection } from '../snapshot/sections/shedding.ts';
import { loadStages } from '../stages/registry.ts';
import { createShedding } from '../stages/shedding.ts';
import { createLineFormat } from '../telemetry/access-log.ts';
import { BATCH_BYTES, BATCH_DELAY_MS, LineBatch } from '../telemetry/line-batch.ts';
import { LineFile } from '../telemetry/line-file.ts';
import { LoadMeter } from '../telemetry/meter.ts';
import { Series } from '../telemetry/series.ts';
import { StageCounters } from '../telemetry/stage-counters.ts';
import type { Trouble } from '../telemetry/trouble.ts';
import { TicketKeys } from '../tls/tickets.ts';
import { forward } from '../upstream/forward.ts';
import { createLookups } from '../upstream/lookup.ts';
import { FINE_TICK_MS } from '../upstream/retry/shared.ts';
import { LongStreams } from '../upstream/streams.ts';
import { createUpstream, type EndpointState, type Upstream } from '../upstream/upstream.ts';
import { BlockedReport } from './blocked-report.ts';
import {
  type BlockedEndpoint,
  type Bound,
  type PackedChange,
  unpackChange,
  type WorkerCounts,
  type WorkerSetup,
  type WorkerVerdict,
} from './messages.ts';
import { createRecord } from './record.ts';
import { createServices, type WorkerServices } from './services.ts';

/** How often it is looked whether keys of session tickets have had their time. */
const RENEWAL_CHECK_MS = 60_000;

export interface GatewayDeps {
  readonly setup: WorkerSetup;
  readonly log: Log;
  /** Lines for the supervisor. */
  readonly onLines: (lines: Uint8Array<ArrayBuffer>) => void;
  readonly onTroubles: (troubles: readonly Trouble[]) => void;
  /** See FromWorker `blocked`. */
  readonly onBlocked: (backends: ReadonlyMap<string, readonly BlockedEndpoint[]>) => void;
}

export class Gateway {
  readonly #setup: WorkerSetup;
  readonly #log: Log;
  readonly #meter: LoadMeter;
  readonly #series: Series;
  readonly #lines: LineBatch;
  /** Null: the lines go to the supervisor, or there are none. */
  readonly #file: LineFile | null;
  readonly #wheel: TimerWheel;
  /** Of retries. */
  readonly #fineWheel: TimerWheel;
  readonly #upstreams = new Set<Upstream>();
  readonly #blocked: BlockedReport;
  /** By backend id, also of those that are yet to come. */
  readonly #views = new Map<string, BackendView>();
  readonly #streams = new LongStreams({
    random: Math.random,
    setTimer: (run, delayMs) => setTimeout(run, delayMs).unref(),
  });
  readonly #stageCounters = new StageCounters();
  readonly #services: WorkerServices;
  readonly #runtime: Runtime;
  readonly #handler: (exchange: Exchange) => void;
  readonly #tickets: TicketKeys;
  #renewal: NodeJS.Timeout | undefined;
  /** Null: no TLS port. */
  #loadHttp2: (() => Promise<void>) | null = null;
  #http2: Http2Sessions | null = null;
  /** There was a host with TLS. */
  #hasTls = false;
  #listeners: Listener[] = [];

  constructor({ setup, log, onLines, onTroubles, onBlocked }: GatewayDeps) {
    this.#setup = setup;
    this.#log = log;
    this.#meter = new LoadMeter(setup.meter);
    this.#tickets = new TicketKeys(setup.tickets);
    this.#series = new Series(setup.metricsMaxRoutes);
    this.#file = this.#openFile();
    const handOver = this.#file?.write.bind(this.#file) ?? onLines;
    this.#lines = new LineBatch({ size: BATCH_BYTES, delayMs: BATCH_DELAY_MS, handOver });
    this.#wheel = startWheel();
    this.#fineWheel = startWheel({ tickMs: FINE_TICK_MS });
    const now = (): number => performance.now();
    const write = createLineFormat({ query: setup.accessLogQuery, epochMs: Date.now });
    this.#services = createServices(setup, this.#stageCounters);
    const counter = this.#stageCounters.counter.bind(this.#stageCounters);
    const lookups = createLookups(setup.dnsServers);
    const upstreamDeps = { wheel: this.#wheel, fineWheel: this.#fineWheel, zone: setup.zone, counter, log, lookups };
    this.#blocked = new BlockedReport(this.#upstreams, onBlocked);
    this.#runtime = new Runtime({
      createUpstream: (backend, endpoints, materials) => {
        const onBlocked = (): void => this.#blocked.changed(backend.id);
        return this.#track(createUpstream(backend, endpoints, { ...upstreamDeps, onBlocked }, materials));
      },
      forward,
      onFinish: createRecord({
        meter: this.#meter,
        series: this.#series,
        log: setup.accessLog.kind === 'off' ? null : { write, sink: this.#lines },
        now,
      }),
      logError: (message, exchange, error) => this.#logError(message, exchange, error),
      newRequestId: createRequestIds(),
      now,
      stages: {
        epochMs: Date.now,
        services: this.#services.services,
        counter,
        shedding: this.#defaultShedding(),
        onTroubles: () => onTroubles(this.#runtime.troubles),
      },
      random: Math.random,
      setTimer: (run, delayMs) => {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
      tickets: this.#tickets,
      defaults: {
        ...RUNTIME_DEFAULTS,
        trustedHops: setup.trustedHops,
        forwarded: setup.listener.forwarded,
        via: setup.via,
      },
      streams: this.#streams,
    });
    const { handler, pipeline, turnAway } = this.#runtime;
    const { maxRequests } = setup;
    const meter = this.#meter;
    const tooMany = this.#stageCounters.counter('shed', { policy: '_worker', priority: '_any', reason: 'requests' });
    this.#handler = (exchange) => {
      meter.begin();
      if (pipeline.inFlight < maxRequests) {
        handler(exchange);
        return;
      }
      tooMany.value++;
      turnAway(exchange);
    };
  }

  /** One after the other; the verdict is that of the last, which names all that is rejected. */
  async apply(changes: readonly PackedChange[]): Promise<WorkerVerdict> {
    const startedAt = performance.now();
    let accepted = true;
    let message = '';
    let rejected: WorkerVerdict['rejected'] = [];
    let gone = false;
    for (const packed of changes) {
      const change = unpackChange(packed);
      this.#hasTls ||= change.upsert.some(({ id }) => id.startsWith('tls/'));
      await this.#readyForTls();
      const loading = loadStages(change.upsert);
      if (loading !== null) await loading;
      const applied = this.#runtime.apply(change);
      ({ accepted, message, rejected } = applied);
      if (accepted && applied.revision !== packed.revision) {
        accepted = false;
        message = `the change led to revision ${applied.revision}, not ${packed.revision}`;
      }
      if (!accepted) break;
      gone ||= packed.removed.length > 0;
      for (const id of packed.removed) this.#views.delete(id);
    }
    if (gone) this.#keepSeries();
    return { accepted, rejected, message, tookMs: performance.now() - startedAt };
  }

  /** Opens the ports. Rejects with DataplaneError DP_LISTEN. */
  async listen({ httpPort, httpsPort, h2cPort }: Bound): Promise<Bound> {
    const common = {
      host: this.#setup.host,
      reusePort: true,
      handler: this.#handler,
      refuse: ({ status, code, detail }: Refusal) => this.#runtime.refuse(status, code, detail),
      onError: (error: unknown) => this.#log.error({ error: String(error) }, 'a request handler failed'),
      wheel: this.#wheel,
      trustedHops: this.#setup.trustedHops,
      ...listenerOptions(this.#setup.listener),
    };
    const { proxyProtocol } = this.#setup;
    const proxiesFrom = (port: ProxyPort) => proxySources(proxyProtocol, port);
    // The first request finds its stores.
    await this.#services.ready();
    const http1 = createHttp1Listener({ ...common, port: httpPort, proxiesFrom: proxiesFrom('http') });
    const http = await this.#open(http1, httpPort);
    this.#services.services.overload.accepted = http1.accepted;
    const bound = { httpPort: http, httpsPort: 0, h2cPort: 0 };
    if (httpsPort > 0) {
      const https = await this.#createTls({ ...common, port: httpsPort, proxiesFrom: proxiesFrom('https') });
      bound.httpsPort = await this.#open(https, httpsPort);
    }
    if (h2cPort > 0) {
      // Only where somebody may speak it.
      const { createH2cListener } = await import('../listener/h2c.ts');
      const h2c = createH2cListener({ ...common, port: h2cPort, proxiesFrom: proxiesFrom('h2c') });
      bound.h2cPort = await this.#open(h2c, h2cPort);
    }
    return bound;
  }

  async #createTls(options: ListenerOptions): Promise<Listener> {
    const { createTlsListener } = await import('../listener/tls/tls-listener.ts');
    this.#loadHttp2 = async () => {
      const { createHttp2Sessions } = await import('../listener/h2.ts');
      this.#http2 = createHttp2Sessions(options);
    };
    await this.#readyForTls();
    const { Relays } = await import('../upstream/relay/relays.ts');
    this.#renewal = setInterval(() => {
      if (this.#tickets.advance(Date.now())) this.#runtime.renewTickets();
    }, RENEWAL_CHECK_MS).unref();
    return createTlsListener({
      ...options,
      hostFor: this.#runtime.tlsHost,
      http2: () => this.#http2,
      relays: new Relays({
        wheel: this.#wheel,
        onEnd: (backend, result) => {
          this.#stageCounters.counter('tls_passthrough', { backend, result }).value++;
        },
      }),
      onHandshake: (result, version) => {
        this.#stageCounters.counter('tls_handshakes', { result, version: version || 'none' }).value++;
      },
    });
  }

  /** Only where somebody may speak it. */
  async #readyForTls(): Promise<void> {
    if (this.#hasTls && this.#http2 === null) await this.#loadHttp2?.();
  }

  async #open(listener: Listener, wanted: number): Promise<number> {
    try {
      const { port } = await listener.listen();
      this.#listeners.push(listener);
      return port;
    } catch (error) {
      const where = `${this.#setup.host}:${wanted}`;
      throw new DataplaneError('DP_LISTEN', `can't listen on ${where}`, { cause: error, retryable: true });
    }
  }

  count(): WorkerCounts {
    let [connections, refused, overflow, upstreamConnections, upstreamPending] = [0, 0, 0, 0, 0];
    for (const { stats } of this.#listeners) {
      connections += stats.connections;
      refused += stats.refused;
      overflow += stats.overflow;
    }
    for (const { stats } of this.#upstreams) {
      upstreamConnections += stats.connections;
      upstreamPending += stats.pending;
    }
    const logDropped = this.#file?.dropped ?? 0;
    const { delayMs: eventLoopDelayMs, level: sheddingLevel } = this.#services.services.overload.look();
    const heapUsedBytes = process.memoryUsage().heapUsed;
    return {
      series: this.#series.image(),
      stages: this.#stageCounters.image(),
      gauges: {
        connections,
        upstreamConnections,
        upstreamPending,
        streams: this.#streams.counts,
        refused,
        overflow,
        heapUsedBytes,
        logDropped,
        eventLoopDelayMs,
        sheddingLevel,
      },
      redis: this.#services.services.redis?.state ?? 'unused',
      certificates: this.#runtime.certificates,
    };
  }

  /** See ToWorker `views`. */
  view(views: ReadonlyMap<string, BackendView>): void {
    for (const [id, view] of views) this.#views.set(id, view);
    for (const upstream of this.#upstreams) {
      const view = views.get(upstream.id);
      if (view !== undefined) upstream.view(view);
    }
  }

  describe(): RuntimeDescription {
    return this.#runtime.describe();
  }

  /** By backend id. */
  endpoints(): Map<string, readonly EndpointState[]> {
    return new Map(Array.from(this.#upstreams, (upstream) => [upstream.id, upstream.states()]));
  }

  /** See worker/explain.ts. */
  async explain(request: unknown): Promise<Explanation> {
    const { explainOn } = await import('./explain.ts');
    return explainOn(this.#runtime, request, this.#setup.trustedHops, this.#setup.listener.forwarded);
  }

  /** See LineBatch. */
  giveBack(buffer: ArrayBuffer): void {
    this.#lines.giveBack(buffer);
  }

  /** See ToWorker `drain`. Resolves when no exchange is left. */
  async drain(windowMs: number, deadlineMs: number): Promise<void> {
    for (const listener of this.#listeners) listener.beginDrain();
    const until = performance.now() + windowMs;
    while (performance.now() < until && this.#listeners.some(({ stats }) => stats.connections > 0)) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(20, windowMs)));
    }
    const closed = this.#listeners.map((listener) => listener.close(deadlineMs));
    this.#streams.drain(Math.min(this.#setup.drainStreamsMs, deadlineMs));
    await Promise.all(closed);
    clearInterval(this.#renewal);
    this.#runtime.close();
    this.#blocked.close();
    await this.#services.close();
    this.#wheel.stop();
    this.#fineWheel.stop();
    this.#lines.flush();
    await this.#file?.end();
  }

  /** See LineFile. */
  reopenLog(): void {
    this.#file?.reopen();
  }

  /** For rules whose policies say nothing of it. */
  #defaultShedding(): Stage | null {
    const { sheddingDelayMs: eventLoopDelayMs } = this.#setup;
    if (eventLoopDelayMs === 0) return null;
    return createShedding(sheddingSection.parse({ section: 'shedding', eventLoopDelayMs }), {
      now: () => performance.now(),
      random: Math.random,
      counter: (name, labels) => this.#stageCounters.counter(name, { ...labels, policy: '_worker' }),
      previous: null,
      services: this.#services.services,
    });
  }

  #openFile(): LineFile | null {
    const { accessLog } = this.#setup;
    if (accessLog.kind !== 'file') return null;
    return new LineFile({
      ...accessLog,
      onDone: (buffer) => this.#lines.giveBack(buffer),
      onError: (error) => this.#log.error({ error: messageOf(error) }, "the access log can't be opened"),
    });
  }

  #keepSeries(): void {
    const routes = new Set<string>();
    for (const { id } of this.#runtime.held()) {
      if (!id.startsWith('rule/')) continue;
      routes.add(id.slice('rule/'.length, id.lastIndexOf('/')));
    }
    this.#series.keep((route) => routes.has(route));
  }

  /** Keeps count of the upstreams that are open. */
  #track(upstream: Upstream): Upstream {
    this.#upstreams.add(upstream);
    const view = this.#views.get(upstream.id);
    if (view !== undefined) upstream.view(view);
    const close = upstream.close.bind(upstream);
    upstream.close = () => {
      this.#upstreams.delete(upstream);
      this.#blocked.changed(upstream.id);
      close();
    };
    return upstream;
  }

  #logError(message: string, exchange: Exchange, error: unknown): void {
    this.#log.error(
      {
        requestId: exchange.requestId,
        rule: exchange.rule?.id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      },
      message,
    );
  }
}
