/**
 * Holds what there is one of: the snapshot, the stream to the controller, the last good snapshot, readiness. The workers serve; nothing
 * here is on a request's path.
 */
import type { Config } from '../config.ts';
import { type DataplaneError, messageOf } from '../errors.ts';
import { createLimitMemory } from '../limit/memory.ts';
import type { Log } from '../log.ts';
import type { Rejection } from '../snapshot/decode.ts';
import type { Hello, LoadReport, Verdict } from '../snapshot/protocol.ts';
import { SCHEMA_VERSION } from '../snapshot/schema-version.ts';
import { ControllerStream, STREAM_DEFAULTS } from '../sync/client.ts';
import { type CompleteDelta, type HeldImage, HeldSnapshot, replayOf } from '../sync/held.ts';
import { LastGood } from '../sync/last-good.ts';
import { LastShare } from '../sync/last-share.ts';
import { VERSION } from '../version.ts';
import type { AccessLogSink } from '../worker/messages.ts';
import { LimitShare } from './limit-share.ts';
import { LoadReporter, type ReportedLoad } from './load-reporter.ts';
import type { WriteLines } from './output.ts';
import { WorkerPool } from './pool.ts';
import type { Origin, SupervisorState } from './state.ts';
import { type DescribedBackend, WatchedBackends } from './watched-backends.ts';

const REPORT_EVERY_MS = 1_000;
const CONFIRM_EVERY_MS = 60_000;
const LAST_GOOD_DEBOUNCE_MS = 500;

export interface SupervisorDeps {
  readonly config: Config;
  readonly log: Log;
  readonly accessLog: AccessLogSink;
  /** For workers that don't write theirs. */
  readonly onLines: WriteLines;
  /** Once, when the ports are open. */
  readonly onServing: () => void;
  /** A port can't be opened: nothing can be served. */
  readonly onFatal: (error: DataplaneError) => void;
}

export class Supervisor {
  readonly pool: WorkerPool;
  readonly #config: Config;
  readonly #log: Log;
  readonly #onServing: () => void;
  readonly #onFatal: (error: DataplaneError) => void;
  readonly #held = new HeldSnapshot();
  readonly #stream: ControllerStream;
  readonly #lastGood: LastGood | null;
  readonly #share: LimitShare;
  readonly backends: WatchedBackends;
  readonly #reporter: LoadReporter;
  readonly #timers: NodeJS.Timeout[] = [];
  #origin: Origin = 'none';
  #serving = false;
  #draining = false;
  #wasReady = false;
  #connected = false;
  #controller = 'not asked yet';
  #appliedAtMs = 0;
  #lastApplyMs = 0;
  /** ms since the epoch when a controller last stood behind what is served. */
  #confirmedAtMs = 0;

  constructor({ config, log, accessLog, onLines, onServing, onFatal }: SupervisorDeps) {
    this.#config = config;
    this.#log = log;
    this.#onServing = onServing;
    this.#onFatal = onFatal;
    this.#lastGood =
      config.stateDir === null
        ? null
        : new LastGood({
            folder: config.stateDir,
            gateway: config.gateway,
            log,
            now: Date.now,
            debounceMs: LAST_GOOD_DEBOUNCE_MS,
          });
    const limits = createLimitMemory({ keys: config.limitKeys, workers: config.workers });
    this.#share = new LimitShare(
      limits.share,
      config.stateDir === null ? null : new LastShare(config.stateDir, log),
      log,
    );
    this.backends = new WatchedBackends({
      log,
      dnsServers: config.dnsServers,
      onTroubles: () => this.#troublesChanged(),
      tellWorkers: (views) => this.pool.view(views),
      report: (health) => this.#stream.sendHealth(health),
    });
    this.pool = new WorkerPool({
      size: config.workers,
      setup: {
        host: config.host,
        zone: config.zone,
        dnsServers: config.dnsServers,
        trustedHops: config.trustedHops,
        via: config.via,
        proxyProtocol: config.proxyProtocol,
        sheddingDelayMs: config.sheddingDelayMs,
        maxRequests: config.maxRequests,
        drainStreamsMs: config.drainStreamsMs,
        listener: config.listener,
        accessLog,
        accessLogQuery: config.accessLogQuery,
        metricsMaxRoutes: config.metricsMaxRoutes,
        redisUrl: config.redisUrl,
        redisTimeoutMs: config.redisTimeoutMs,
        credentials: config.credentials,
        limits,
      },
      ports: { httpPort: config.httpPort, httpsPort: config.httpsPort, h2cPort: config.h2cPort },
      log,
      onLines,
      onChange: () => this.#readinessMayHaveChanged(),
      onTroubles: () => this.#troublesChanged(),
      onBlocked: (worker, backends) => this.backends.blocked(worker, backends),
      views: () => this.backends.views(),
      replay: () => this.#held.replay(),
      random: Math.random,
    });
    this.#reporter = new LoadReporter(this.pool, REPORT_EVERY_MS);
    this.#stream = new ControllerStream(
      { ...STREAM_DEFAULTS, controllers: config.controllers, credentials: config.tls, log, random: Math.random },
      {
        hello: () => this.#hello(),
        share: (share) => this.#share.take(share),
        apply: (delta) => this.pool.exclusively(() => this.#applyDelta(delta)),
        connected: (controller) => this.#onConnected(controller),
        disconnected: (error) => this.#onDisconnected(error),
      },
    );
  }

  /** Opens the stream; serves the last good snapshot when no controller has sent one within the grace. */
  start(): void {
    this.#stream.start();
    this.#timers.push(setInterval(() => this.#report(), REPORT_EVERY_MS));
    this.#timers.push(setInterval(() => this.#confirm(), CONFIRM_EVERY_MS).unref());
    if (this.#lastGood !== null) {
      const grace = setTimeout(() => void this.#startFromLastGood(), this.#config.lastGoodGraceMs);
      this.#timers.push(grace);
    }
  }

  get state(): SupervisorState {
    const { ready, reason } = this.#readiness();
    return {
      ready,
      reason,
      draining: this.#draining,
      connected: this.#connected,
      controller: this.#controller,
      revision: this.#held.revision,
      origin: this.#origin,
      resources: this.#held.size,
      rejected: this.#held.rejected,
      appliedAtMs: this.#appliedAtMs,
      lastApplyMs: this.#lastApplyMs,
      staleMs: this.#connected || this.#confirmedAtMs === 0 ? 0 : Math.max(0, Date.now() - this.#confirmedAtMs),
      lastGoodSavedAtMs: this.#lastGood?.savedAtMs ?? 0,
      lastGoodFailures: this.#lastGood?.failures ?? 0,
      limitShare: this.#share.share,
      workers: this.pool.size,
      workersListening: this.pool.listening,
      workerRestarts: this.pool.restarts,
    };
  }

  get load(): ReportedLoad {
    return this.#reporter.load;
  }

  /** For /debug/config. */
  async describeBackends(): Promise<DescribedBackend[]> {
    return this.backends.describe(await this.pool.endpoints());
  }

  /** Not ready at once; requests are taken for the grace, then those in flight get the deadline; then all is over. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#readinessMayHaveChanged();
    const { drainGraceMs, drainDeadlineMs } = this.#config;
    if (drainGraceMs > 0) await new Promise((resolve) => setTimeout(resolve, drainGraceMs));
    // Clients that keep a connection learn from an answer that it ends; where nobody waits for us to go, they have that time.
    await this.pool.stop(Math.min(drainGraceMs, DRAIN_WINDOW_MS), drainDeadlineMs);
    this.#report();
    for (const timer of this.#timers) clearInterval(timer);
    this.backends.close();
    await this.#stream.stop();
    await this.#lastGood?.flush();
    if (this.#connected) await this.#lastGood?.confirm();
  }

  #hello(): Hello {
    return {
      node: this.#config.nodeName,
      zone: this.#config.zone,
      schemaVersion: SCHEMA_VERSION,
      revision: this.#held.revision,
      programVersion: VERSION,
      gateway: this.#config.gateway,
      held: this.#held.hashes(),
      share: this.#share.told,
    };
  }

  #onConnected(controller: string): void {
    this.#connected = true;
    this.#controller = controller;
    this.#log.info({ event: 'connected', controller, revision: this.#held.revision }, 'connected to a controller');
    // Where nothing is to be sent, this is the only answer a new controller gets: what of the revision in the hello does not run.
    if (this.#held.revision !== '') this.#stream.sendVerdict(this.#verdict());
    this.backends.connected();
    this.#sendLoad();
  }

  #onDisconnected(error: DataplaneError): void {
    const fields = { event: 'disconnected', code: error.code, error: messageOf(error) };
    if (this.#connected) {
      this.#confirmedAtMs = Date.now();
      this.#log.warn(fields, 'the stream to the controller ended; what is held is served on');
    } else if (this.#controller !== fields.error) {
      // Once for each reason: while a controller is away this happens every few seconds.
      this.#log.warn(fields, 'no controller answers');
    }
    this.#connected = false;
    this.backends.disconnected();
    this.#controller = fields.error;
  }

  async #applyDelta(delta: CompleteDelta): Promise<Verdict> {
    const startedAt = performance.now();
    const plan = this.#held.plan(delta);
    if (!plan.ok) return this.#notAccepted(delta.revision, plan.message);
    const verdict = await this.pool.apply([plan.change]);
    if (!verdict.accepted) return this.#notAccepted(delta.revision, verdict.message);
    this.#held.commit(plan, verdict.rejected);
    this.backends.take(plan.change, verdict.rejected);
    this.#lastGood?.schedule(() => this.#held.image());
    const { upsert, removed } = plan.change;
    await this.#applied('controller', startedAt, upsert.length, removed.length);
    return this.#verdict();
  }

  /** What this data plane makes of what it holds: what does not run as it was sent, and what runs and can't do its work. */
  #verdict(): Verdict {
    const rejected = new Map(this.#held.rejected.map((one) => [one.id, one]));
    for (const { id, message } of this.#troubles) {
      const hash = this.#held.get(id)?.hash;
      if (hash !== undefined && !rejected.has(id)) rejected.set(id, { id, hash, message });
    }
    return { revision: this.#held.revision, accepted: true, rejected: [...rejected.values()], message: '' };
  }

  get #troubles() {
    return [...this.pool.troubles, ...this.backends.names.troubles];
  }

  /** Told at once: the status of a Policy is to say so while it holds. */
  #troublesChanged(): void {
    const troubles = this.#troubles;
    this.#log.warn(
      { event: 'troubles', troubles },
      troubles.length > 0 ? 'something is in trouble' : 'all works again',
    );
    if (this.#held.revision !== '') this.#stream.sendVerdict(this.#verdict());
  }

  #notAccepted(revision: string, message: string): Verdict {
    this.#log.error(
      { event: 'not-accepted', revision, reason: message },
      'a snapshot was not accepted; the one before is served on',
    );
    return { revision, accepted: false, rejected: [], message };
  }

  async #applied(origin: Origin, startedAt: number, upsert: number, removed: number): Promise<void> {
    this.#origin = origin;
    this.#appliedAtMs = Date.now();
    this.#lastApplyMs = performance.now() - startedAt;
    if (origin === 'controller') this.#confirmedAtMs = this.#appliedAtMs;
    const { revision, rejected } = this.#held;
    const tookMs = Math.round(this.#lastApplyMs * 100) / 100;
    this.#log.info(
      { event: 'applied', revision, origin, upsert, removed, rejected: rejected.length, tookMs },
      'a snapshot is live',
    );
    for (const { id, message } of rejected)
      this.#log.warn({ event: 'rejected', id, reason: message }, 'a resource was rejected');
    if (!this.#serving) await this.#serve();
  }

  /** Opens the ports once the first snapshot runs: there is no wrong answer before. */
  async #serve(): Promise<void> {
    await this.backends.names.settled();
    try {
      const bound = await this.pool.listen();
      this.#serving = true;
      this.#onServing();
      this.#log.info(
        { event: 'listening', host: this.#config.host, ...bound, workers: this.pool.listening },
        'the gateway listens',
      );
      this.#readinessMayHaveChanged();
    } catch (error) {
      this.#onFatal(error as DataplaneError);
    }
  }

  async #startFromLastGood(): Promise<void> {
    if (this.#held.revision !== '') return;
    const loaded = await this.#lastGood?.load();
    if (loaded === null || loaded === undefined) return;
    await this.#share.restore();
    await this.pool.exclusively(async () => {
      if (this.#held.revision !== '' || this.#draining) return;
      const startedAt = performance.now();
      const verdict = await this.pool.apply(replayOf(loaded.image));
      if (!verdict.accepted) {
        this.#log.error({ reason: verdict.message }, 'the last good snapshot could not be applied');
        return;
      }
      this.#restore(loaded.image, verdict.rejected);
      for (const change of replayOf(loaded.image)) this.backends.take(change, verdict.rejected);
      this.#confirmedAtMs = loaded.confirmedAtMs;
      this.#log.warn(
        { event: 'last-good', revision: loaded.image.revision, savedAt: new Date(loaded.savedAtMs).toISOString() },
        'no controller sent a snapshot; the last good one is served',
      );
      await this.#applied('last-good', startedAt, loaded.image.resources.length, 0);
    });
  }

  #restore(image: HeldImage, rejected: readonly Rejection[]): void {
    let base = '';
    for (const change of replayOf(image)) {
      const plan = this.#held.plan({ baseRevision: base, ...change });
      if (!plan.ok) throw new Error(`the last good snapshot does not add up: ${plan.message}`);
      const last = change.revision === image.revision;
      this.#held.commit(
        plan,
        last ? rejected : rejected.filter(({ id, hash }) => this.#isRejectedAs(plan.change.upsert, id, hash)),
      );
      base = change.revision;
    }
  }

  #isRejectedAs(upsert: readonly { id: string; hash: string }[], id: string, hash: string): boolean {
    return upsert.some((resource) => resource.id === id && resource.hash === hash);
  }

  #readiness(): { ready: boolean; reason: string } {
    const listening = this.pool.listening;
    if (this.#draining) return { ready: false, reason: 'draining' };
    if (this.#held.revision === '') return { ready: false, reason: 'no snapshot yet' };
    if (!this.#serving) return { ready: false, reason: 'the ports are being opened' };
    if (listening === 0) return { ready: false, reason: 'no worker is up' };
    return { ready: true, reason: '' };
  }

  #readinessMayHaveChanged(): void {
    const { ready, reason } = this.#readiness();
    if (ready === this.#wasReady) return;
    this.#wasReady = ready;
    this.#log.info(
      { event: ready ? 'ready' : 'not-ready', reason, afterStartMs: Math.round(performance.now()) },
      ready ? 'ready' : 'not ready',
    );
    this.#report();
  }

  /** Takes the figures of the interval and sends them. */
  #report(): void {
    this.#reporter.take();
    this.#sendLoad();
  }

  #sendLoad(): void {
    const report: LoadReport = {
      ready: this.#readiness().ready,
      draining: this.#draining,
      ...this.#reporter.load,
      revision: this.#held.revision,
      workers: this.pool.listening,
    };
    this.#stream.sendLoad(report);
  }

  #confirm(): void {
    if (this.#connected) void this.#lastGood?.confirm();
  }
}

/** After the grace: how long answers end their connections before nothing more is accepted. */
const DRAIN_WINDOW_MS = 1_000;
