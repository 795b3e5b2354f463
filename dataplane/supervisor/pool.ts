/**
 * The workers: as many as configured, each on the same ports with the same snapshot. One that dies or hangs is started again with the full
 * current snapshot, while the others go on.
 */
import { DataplaneError, messageOf } from '../errors.ts';
import { LimitTable, SUPERVISOR } from '../limit/table.ts';
import type { Log } from '../log.ts';
import type { BackendView } from '../snapshot/backend/view.ts';
import type { Rejection } from '../snapshot/decode.ts';
import type { Explanation } from '../snapshot/explain.ts';
import { NONCES_BYTES } from '../store/shared-nonces.ts';
import { backoffMs } from '../sync/backoff.ts';
import type { Change } from '../sync/held.ts';
import { METER_BYTES } from '../telemetry/meter.ts';
import { addSeries, type SeriesImage } from '../telemetry/series.ts';
import { addStageCounts, type StageCounts } from '../telemetry/stage-counters.ts';
import type { Trouble } from '../telemetry/trouble.ts';
import { TicketKeys } from '../tls/tickets.ts';
import {
  type BlockedEndpoint,
  type Bound,
  packChange,
  type WorkerCounts,
  type WorkerEndpoint,
  type WorkerGauges,
  type WorkerSetup,
  type WorkerVerdict,
} from '../worker/messages.ts';
import type { WriteLines } from './output.ts';
import { SharedSessions } from './shared-sessions.ts';
import { Turns } from './turns.ts';
import { type Utilisation, WorkerThread } from './worker-thread.ts';

export interface PoolOptions {
  readonly size: number;
  readonly setup: Omit<WorkerSetup, 'index' | 'meter' | 'nonces' | 'sessions' | 'tickets'>;
  readonly ports: Bound;
  readonly log: Log;
  readonly onLines: WriteLines;
  /** What stages of some worker can't do now has changed. */
  readonly onTroubles: () => void;
  /** Endpoints that a worker sends nothing to: what it says anew. Null: it has ended, and says nothing of any. */
  readonly onBlocked: (worker: number, backends: ReadonlyMap<string, readonly BlockedEndpoint[]> | null) => void;
  /** Something about `listening` changed. */
  readonly onChange: () => void;
  /** Of all backends, for a worker that starts. */
  readonly views: () => ReadonlyMap<string, BackendView>;
  /** What a worker started later must apply before it serves. */
  readonly replay: () => readonly Change[];
  readonly random: () => number;
  readonly limits?: Partial<PoolLimits>;
}

export interface PoolLimits {
  /** A worker that does not apply a change within this is given up. Below the controller's own patience (10 s). */
  readonly applyTimeoutMs: number;
  /** A worker that does not come up within this is given up. */
  readonly startTimeoutMs: number;
  readonly countTimeoutMs: number;
  /** Stages may ask others (an identity provider) to tell; each bounds that for itself. */
  readonly explainTimeoutMs: number;
  /** How often a worker is asked whether it lives, and how long it may take to say so. */
  readonly pingEveryMs: number;
  readonly pingTimeoutMs: number;
  readonly restartBaseMs: number;
  readonly restartCapMs: number;
  /** A worker that lived this long dies without a mark on the next wait. */
  readonly settledMs: number;
}

const POOL_LIMITS: PoolLimits = {
  applyTimeoutMs: 8_000,
  startTimeoutMs: 20_000,
  countTimeoutMs: 1_000,
  explainTimeoutMs: 8_000,
  pingEveryMs: 5_000,
  pingTimeoutMs: 15_000,
  restartBaseMs: 100,
  restartCapMs: 10_000,
  settledMs: 60_000,
};

interface Slot {
  readonly index: number;
  readonly meter: SharedArrayBuffer;
  thread: WorkerThread;
  listening: boolean;
  /** Applies what all the others apply. */
  current: boolean;
  failures: number;
  counted: WorkerCounts | null;
  troubles: readonly Trouble[];
  utilisation: Utilisation | undefined;
}

export interface PoolVerdict {
  readonly accepted: boolean;
  readonly rejected: readonly Rejection[];
  readonly message: string;
}

export interface PoolCounts {
  readonly series: SeriesImage;
  readonly stages: StageCounts;
  readonly gauges: WorkerGauges[];
  /** Of each worker. */
  readonly redis: WorkerCounts['redis'][];
  readonly certificates: WorkerCounts['certificates'];
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #limits: PoolLimits;
  readonly #slots: Slot[] = [];
  readonly #turns = new Turns();
  readonly #watch: NodeJS.Timeout;
  readonly #sessions = new SharedSessions();
  readonly #nonces = new SharedArrayBuffer(NONCES_BYTES);
  readonly #tickets = TicketKeys.random(Date.now());
  /** What workers counted that are no more. */
  #past: SeriesImage = { routes: new Map(), codes: new Map(), grpc: new Map() };
  #pastStages: StageCounts = new Map();
  #bound: Bound | null = null;
  #stopping = false;
  #restarts = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#limits = { ...POOL_LIMITS, ...options.limits };
    for (let index = 0; index < options.size; index++) {
      const meter = new SharedArrayBuffer(METER_BYTES);
      const slot: Slot = {
        index,
        meter,
        thread: undefined as unknown as WorkerThread,
        listening: false,
        current: true,
        failures: 0,
        counted: null,
        troubles: [],
        utilisation: undefined,
      };
      this.#slots.push(slot);
      this.#spawn(slot);
    }
    this.#watch = setInterval(() => this.#ping(), this.#limits.pingEveryMs).unref();
  }

  get size(): number {
    return this.#slots.length;
  }

  /** Workers that serve. */
  get listening(): number {
    return this.#slots.filter((slot) => slot.listening).length;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Where they listen; null before. */
  get bound(): Bound | null {
    return this.#bound;
  }

  /** What running stages can't do at the moment, one line a policy. */
  get troubles(): Trouble[] {
    const all = this.#slots.flatMap((slot) => slot.troubles);
    return [...new Map(all.map((trouble) => [trouble.id, trouble])).values()];
  }

  get meters(): SharedArrayBuffer[] {
    return this.#slots.map((slot) => slot.meter);
  }

  /** Work that must not overlap with a change being applied or a worker being brought up to date. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.take(work);
  }

  /** Only within `exclusively`. Accepted when a worker lives that accepted it; one that disagrees is started again. */
  async apply(changes: readonly Change[]): Promise<PoolVerdict> {
    const packed = changes.map(packChange);
    const asked = this.#slots.filter((slot) => slot.current);
    const answers = await Promise.allSettled(
      asked.map((slot) => slot.thread.apply(packed, this.#limits.applyTimeoutMs)),
    );
    const verdicts: { slot: Slot; verdict: WorkerVerdict }[] = [];
    let failure = 'no worker is up';
    answers.forEach((answer, i) => {
      const slot = asked[i] as Slot;
      if (answer.status === 'fulfilled') verdicts.push({ slot, verdict: answer.value });
      else {
        failure = messageOf(answer.reason);
        this.#giveUp(slot, answer.reason);
      }
    });
    const accepting = verdicts.filter(({ verdict }) => verdict.accepted);
    if (accepting.length === 0)
      return { accepted: false, rejected: [], message: verdicts[0]?.verdict.message ?? failure };
    const rejected = new Map<string, Rejection>();
    for (const { verdict } of accepting) for (const one of verdict.rejected) rejected.set(one.id, one);
    for (const { slot, verdict } of verdicts) {
      if (!verdict.accepted) this.#giveUp(slot, new Error(`it alone did not accept: ${verdict.message}`));
    }
    return { accepted: true, rejected: [...rejected.values()], message: '' };
  }

  /** Opens the ports on every worker that is up to date. Rejects when the first one can't. Only within `exclusively`. */
  async listen(): Promise<Bound> {
    for (const slot of this.#slots) if (slot.current && !slot.listening) await this.#listen(slot);
    if (this.#bound === null) throw new Error('no worker is up');
    return this.#bound;
  }

  /** 0 to 1: the busiest worker's since the last call. */
  eventLoopUtilisation(): number {
    let most = 0;
    for (const slot of this.#slots) {
      if (slot.thread.ended) continue;
      const now = slot.thread.eventLoopUtilisation(undefined);
      const before = slot.utilisation;
      slot.utilisation = now;
      if (before === undefined) continue;
      const active = now.active - before.active;
      const elapsed = active + now.idle - before.idle;
      if (elapsed > 0) most = Math.max(most, active / elapsed);
    }
    return Math.min(1, most);
  }

  /** Labelled counts of all workers, those of dead ones as last heard included. */
  async count(maxRoutes: number): Promise<PoolCounts> {
    await Promise.all(
      this.#slots.map(async (slot) => {
        const thread = slot.thread;
        const counted = await thread.count(this.#limits.countTimeoutMs).catch(() => null);
        if (counted !== null && slot.thread === thread) slot.counted = counted;
      }),
    );
    const images = this.#slots.flatMap((slot) => (slot.counted === null ? [] : [slot.counted.series]));
    return {
      series: addSeries([this.#past, ...images], maxRoutes),
      stages: this.#slots.reduce(
        (sum, slot) => (slot.counted === null ? sum : addStageCounts(sum, slot.counted.stages)),
        this.#pastStages,
      ),
      gauges: this.#slots.flatMap((slot) => (slot.counted === null ? [] : [slot.counted.gauges])),
      // The same in all of them.
      certificates: this.#slots.find((slot) => slot.counted !== null)?.counted?.certificates ?? [],
      redis: this.#slots.flatMap((slot) => (slot.counted === null ? [] : [slot.counted.redis])),
    };
  }

  /** What one worker runs; all run the same. Null where none answers. */
  async describe(): Promise<unknown> {
    const slot = this.#slots.find((candidate) => candidate.current && !candidate.thread.ended);
    return (await slot?.thread.describe(this.#limits.countTimeoutMs).catch(() => null)) ?? null;
  }

  /** The endpoints of each backend as each worker that answers has them. */
  async endpoints(): Promise<ReadonlyMap<string, readonly WorkerEndpoint[]>[]> {
    const asked = this.#slots.filter(({ thread }) => !thread.ended);
    const answers = await Promise.all(
      asked.map(({ thread }) => thread.endpoints(this.#limits.countTimeoutMs).catch(() => null)),
    );
    return answers.filter((answer) => answer !== null);
  }

  /** Rejects with DataplaneError: DP_EXPLAIN where the request is wrong, else DP_WORKER. */
  async explain(request: unknown): Promise<Explanation> {
    const slot = this.#slots.find((candidate) => candidate.current && !candidate.thread.ended);
    if (slot === undefined) throw new DataplaneError('DP_WORKER', 'no worker is up', { retryable: true });
    return slot.thread.explain(request, this.#limits.explainTimeoutMs);
  }

  /** What has changed, for all workers. */
  view(views: ReadonlyMap<string, BackendView>): void {
    for (const { thread } of this.#slots) thread.view(views);
  }

  /** See WorkerThread. */
  reopenLog(): void {
    for (const { thread } of this.#slots) thread.reopenLog();
  }

  /** Drains all, then ends them. */
  async stop(windowMs: number, deadlineMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#watch);
    await Promise.allSettled(
      this.#slots.filter((slot) => !slot.thread.ended).map((slot) => slot.thread.drain(windowMs, deadlineMs)),
    );
    await Promise.allSettled(this.#slots.map((slot) => slot.thread.terminate()));
  }

  /** One that hangs would hold on to the connections the kernel hands it. */
  #ping(): void {
    for (const slot of this.#slots) {
      const { thread } = slot;
      if (!slot.listening) continue;
      thread.ping(this.#limits.pingTimeoutMs).catch((error: unknown) => {
        if (slot.thread === thread && !this.#stopping) this.#giveUp(slot, error);
      });
    }
  }

  #spawn(slot: Slot): void {
    const { setup, log, onLines } = this.#options;
    this.#tickets.advance(Date.now());
    slot.thread = new WorkerThread({
      setup: {
        ...setup,
        index: slot.index,
        meter: slot.meter,
        nonces: this.#nonces,
        sessions: this.#sessions.line(),
        tickets: this.#tickets.current,
      },
      log,
      onLines,
      onTroubles: (troubles) => {
        slot.troubles = troubles;
        this.#options.onTroubles();
      },
      onBlocked: (backends) => this.#options.onBlocked(slot.index, backends),
      onExit: (error) => this.#onExit(slot, error),
    });
    slot.thread.view(this.#options.views());
  }

  async #listen(slot: Slot): Promise<void> {
    const ports = this.#bound ?? this.#options.ports;
    this.#bound = await slot.thread.listen(ports, this.#limits.startTimeoutMs);
    slot.listening = true;
    this.#options.onChange();
  }

  #giveUp(slot: Slot, error: unknown): void {
    slot.current = false;
    if (slot.thread.ended) return;
    this.#options.log.error({ worker: slot.index, error: messageOf(error) }, 'a worker is given up');
    void slot.thread.terminate();
  }

  #onExit(slot: Slot, error: DataplaneError): void {
    const wasListening = slot.listening;
    slot.listening = false;
    slot.current = false;
    if (slot.counted !== null) {
      this.#past = addSeries([this.#past, slot.counted.series], Number.POSITIVE_INFINITY);
      this.#pastStages = addStageCounts(this.#pastStages, slot.counted.stages);
      slot.counted = null;
    }
    slot.utilisation = undefined;
    slot.troubles = [];
    this.#options.onBlocked(slot.index, null);
    if (wasListening) this.#options.onChange();
    if (this.#stopping) return;
    // Its locks, and what it had in flight.
    new LimitTable(this.#options.setup.limits.table, SUPERVISOR).recover(slot.index);
    this.#restarts++;
    if (performance.now() - slot.thread.startedAtMs >= this.#limits.settledMs) slot.failures = 0;
    const waitMs = backoffMs(
      slot.failures++,
      { baseMs: this.#limits.restartBaseMs, capMs: this.#limits.restartCapMs },
      this.#options.random(),
    );
    this.#options.log.error(
      { worker: slot.index, error: messageOf(error), waitMs: Math.round(waitMs) },
      'a worker ended and is started again',
    );
    setTimeout(() => void this.#revive(slot), waitMs);
  }

  async #revive(slot: Slot): Promise<void> {
    if (this.#stopping) return;
    this.#spawn(slot);
    await this.#turns.take(async () => {
      try {
        const changes = this.#options.replay().map(packChange);
        if (changes.length > 0) await slot.thread.apply(changes, this.#limits.startTimeoutMs);
        slot.current = true;
        if (this.#bound !== null) await this.#listen(slot);
      } catch (error) {
        // One that ended by itself is on its way here again already.
        this.#giveUp(slot, error);
      }
    });
  }
}
