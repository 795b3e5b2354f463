/**
 * One connected data plane: what it holds, what is on its way, what it refused. Advances on verdicts only, and never has two
 * deltas in flight.
 */
import type {
  BackendHealth,
  HealthReport,
  Hello,
  LoadReport,
  Rejected,
  Share,
  Verdict,
} from '@tidegate/dataplane/snapshot/protocol';
import { backoffMs, type Clock } from '../clock.ts';
import { type DeltaCache, type EncodedDelta, encodeDelta, encodeShare } from './delta.ts';
import type { Difference, History } from './history.ts';

export interface SessionTimes {
  /** A delta without a verdict for this long is sent again. */
  readonly verdictTimeoutMs: number;
  /** Bounds of the wait after a refused delta. */
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
  /**
   * A data plane that comes from another replica may hold something newer than what this one has been told so far: this long it
   * is waited for. Until then the data plane serves what it has; without, it would be set back for a moment.
   */
  readonly unknownRevisionMs: number;
}

export const DEFAULT_SESSION_TIMES: SessionTimes = {
  verdictTimeoutMs: 10_000,
  retryBaseMs: 500,
  retryMaxMs: 30_000,
  unknownRevisionMs: 250,
};

export type SessionEvent =
  | { readonly type: 'sent'; readonly full: boolean; readonly resent: boolean; readonly bytes: number }
  /** What it holds or rejects was stated, by a verdict or because it had it already. */
  | {
      readonly type: 'acknowledged';
      readonly rejected: readonly Rejected[];
      /** From sending to the verdict; null where nothing had to be sent. */
      readonly tookMs: number | null;
    }
  | { readonly type: 'refused'; readonly revision: string; readonly message: string }
  | { readonly type: 'load'; readonly readyChanged: boolean }
  /** What it says of endpoints has changed. */
  | { readonly type: 'health' };

export interface SessionDeps {
  readonly history: History;
  readonly cache: DeltaCache;
  readonly clock: Clock;
  readonly times: SessionTimes;
  readonly send: (messages: EncodedDelta) => void;
  readonly onEvent: (session: Session, event: SessionEvent) => void;
}

/** What the data plane is known to hold. */
type Holding =
  | { readonly kind: 'nothing' }
  /** As told in its hello. */
  | { readonly kind: 'told'; readonly revision: string; readonly held: ReadonlyMap<string, string> }
  | { readonly kind: 'acknowledged'; readonly revision: string; readonly sequence: number };

interface InFlight {
  readonly revision: string;
  readonly sequence: number;
  readonly full: boolean;
  readonly sentAtMs: number;
}

const MAX_UNANSWERED = 8;

export class Session {
  readonly node: string;
  readonly zone: string;
  readonly programVersion: string;
  readonly connectedAtMs: number;
  /** Among how many data planes its hello said it shares global limits; 0 where it was never told. */
  readonly toldDataPlanes: number;
  readonly #deps: SessionDeps;
  #holding: Holding;
  #inFlight: InFlight | null = null;
  /** Sent, timed out, and perhaps still answered. */
  #unanswered: InFlight[] = [];
  #failures = 0;
  #fullNext = false;
  #cancelTimer: (() => void) | null = null;
  #waited = false;
  #cancelWait: (() => void) | null = null;
  /** When the waiting retry runs (ms of the clock), null when none waits. */
  #retryAtMs: number | null = null;
  #refusedSequence = 0;
  #rejected: readonly Rejected[] = [];
  #load: LoadReport | null = null;
  #loadAtMs: number;
  #message = '';
  #share: Share | null = null;
  readonly #health = new Map<string, BackendHealth>();
  #closed = false;

  constructor(hello: Hello, deps: SessionDeps) {
    this.node = hello.node;
    this.zone = hello.zone;
    this.programVersion = hello.programVersion;
    this.toldDataPlanes = hello.share?.dataPlanes ?? 0;
    this.#deps = deps;
    this.connectedAtMs = deps.clock.now();
    this.#loadAtMs = this.connectedAtMs;
    this.#holding =
      hello.revision === ''
        ? { kind: 'nothing' }
        : { kind: 'told', revision: hello.revision, held: new Map(hello.held.map(({ id, hash }) => [id, hash])) };
  }

  /** The revision it acknowledged last, or told in its hello; empty when it holds nothing. */
  get revision(): string {
    return this.#holding.kind === 'nothing' ? '' : this.#holding.revision;
  }

  /** Undefined until it holds a step that this replica knows. */
  get sequence(): number | undefined {
    return this.#holding.kind === 'acknowledged' ? this.#holding.sequence : undefined;
  }

  /** What it could not build of the revision it holds; stays until another hash of it is acknowledged: each verdict names all. */
  get rejected(): readonly Rejected[] {
    return this.#rejected;
  }

  get load(): LoadReport | null {
    return this.#load;
  }

  /** Backends whose endpoints it has something to tell of. */
  get health(): Iterable<BackendHealth> {
    return this.#health.values();
  }

  get loadAtMs(): number {
    return this.#loadAtMs;
  }

  /** Why it refused the last delta as a whole; empty when it did not. */
  get message(): string {
    return this.#message;
  }

  get ready(): boolean {
    return this.#load?.ready === true && !this.#load.draining;
  }

  get busy(): boolean {
    return this.#inFlight !== null;
  }

  /** Sends what is missing unless something is in flight. A retry that waits is brought forward by news, but not to at once. */
  pump(): void {
    if (this.#closed || this.#inFlight !== null || this.#waitsForHistory()) return;
    if (this.#retryAtMs === null) this.#send(false);
    else if (this.#refusedSequence !== this.#deps.history.sequence) this.#retryIn(this.#deps.times.retryBaseMs);
  }

  /** Its part of global limits; sent where it is another one than before, at once: beside deltas, not among them. */
  tell(share: Share): void {
    if (this.#closed) return;
    if (this.#share?.place === share.place && this.#share.dataPlanes === share.dataPlanes) return;
    this.#share = share;
    this.#deps.send(encodeShare(share));
  }

  onVerdict(verdict: Verdict): void {
    if (this.#closed) return;
    const sent = this.#take(verdict.revision);
    if (sent === null) {
      // Unasked: what it makes of what its hello said it holds, so that a new controller learns of rejections too.
      if (verdict.accepted && verdict.revision === this.revision) this.#reject(verdict.rejected, null);
      return;
    }
    if (verdict.accepted) this.#accepted(sent, verdict);
    else this.#refused(sent, verdict);
  }

  onLoad(load: LoadReport): void {
    if (this.#closed) return;
    const wasReady = this.ready;
    const first = this.#load === null;
    this.#load = saneLoad(load);
    this.#loadAtMs = this.#deps.clock.now();
    this.#deps.onEvent(this, { type: 'load', readyChanged: first || wasReady !== this.ready });
  }

  onHealth(report: HealthReport): void {
    if (this.#closed) return;
    if (report.whole) this.#health.clear();
    for (const one of report.backends) {
      this.#health.delete(one.backend);
      if (one.blocked.length === 0 && one.endpoints === 0) continue;
      if (this.#health.size < MAX_HEALTH_BACKENDS && one.backend.length <= MAX_MESSAGE) {
        this.#health.set(one.backend, saneHealth(one));
      }
    }
    this.#deps.onEvent(this, { type: 'health' });
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#cancelWait?.();
    this.#inFlight = null;
  }

  /** Whether what it holds may become known here in a moment. */
  #waitsForHistory(): boolean {
    const { history, clock, times } = this.#deps;
    if (this.#waited || this.#holding.kind !== 'told') return false;
    if (times.unknownRevisionMs > 0 && history.sequenceOf(this.#holding.revision) === undefined) {
      this.#cancelWait ??= clock.after(times.unknownRevisionMs, () => {
        this.#waited = true;
        this.pump();
      });
      return true;
    }
    this.#waited = true;
    this.#cancelWait?.();
    return false;
  }

  #send(resent: boolean): void {
    const { history, cache, clock, times } = this.#deps;
    if (history.sequence === 0) return;
    const target = { revision: history.revision, sequence: history.sequence };
    if (this.sequence === target.sequence && !this.#fullNext) return;
    const step = this.#step();
    if (!step.full && nothing(step.difference) && step.base === target.revision) {
      this.#hold(target, this.#rejected, null);
      return;
    }
    const delta = step.shared
      ? cache.get(step.base, target.revision, () => step.difference)
      : encodeDelta(step.base, target.revision, step.difference);
    this.#inFlight = { ...target, full: step.full, sentAtMs: clock.now() };
    this.#cancelTimer = clock.after(times.verdictTimeoutMs, () => this.#timedOut());
    this.#deps.send(delta);
    const bytes = delta.reduce((sum, part) => sum + part.byteLength, 0);
    this.#deps.onEvent(this, { type: 'sent', full: step.full, resent, bytes });
  }

  /** What to send: `shared` when other sessions at the same base need the very same bytes. */
  #step(): { base: string; difference: Difference; full: boolean; shared: boolean } {
    const { history } = this.#deps;
    const holding = this.#holding;
    if (!this.#fullNext && holding.kind === 'acknowledged') {
      const difference = history.since(holding.sequence);
      if (difference !== undefined) return { base: holding.revision, difference, full: false, shared: true };
    }
    if (!this.#fullNext && holding.kind === 'told') {
      const difference = history.against(holding.held);
      return { base: holding.revision, difference, full: false, shared: false };
    }
    return { base: '', difference: history.against(new Map()), full: true, shared: true };
  }

  #timedOut(): void {
    const lost = this.#inFlight;
    if (lost === null) return;
    this.#inFlight = null;
    this.#unanswered.push(lost);
    if (this.#unanswered.length > MAX_UNANSWERED) this.#unanswered.shift();
    this.#send(true);
  }

  #take(revision: string): InFlight | null {
    const current = this.#inFlight;
    if (current?.revision === revision) {
      this.#cancelTimer?.();
      this.#cancelTimer = null;
      this.#inFlight = null;
      // Sent again and answered once: an answer to the first sending is one to the second.
      this.#unanswered = this.#unanswered.filter((sent) => sent.revision !== revision);
      return current;
    }
    const late = this.#unanswered.find((sent) => sent.revision === revision);
    if (late === undefined) return null;
    this.#unanswered = this.#unanswered.filter((sent) => sent !== late);
    return late;
  }

  #accepted(sent: InFlight, verdict: Verdict): void {
    if (this.sequence !== undefined && sent.sequence < this.sequence) return;
    this.#failures = 0;
    this.#fullNext = false;
    this.#message = '';
    this.#rejected = [];
    this.#hold(sent, verdict.rejected, this.#deps.clock.now() - sent.sentAtMs);
    this.pump();
  }

  #refused(sent: InFlight, verdict: Verdict): void {
    const { clock, times } = this.#deps;
    this.#message = verdict.message === '' ? 'refused without a reason' : verdict.message;
    this.#deps.onEvent(this, { type: 'refused', revision: sent.revision, message: this.#message });
    if (this.#inFlight !== null) return;
    this.#fullNext = true;
    // A step that does not fit what it holds is answered with everything at once; everything refused is worth a wait.
    if (!sent.full && this.#failures === 0) {
      this.#failures = 1;
      this.#send(true);
      return;
    }
    this.#refusedSequence = sent.sequence;
    this.#retryIn(backoffMs(this.#failures, times.retryBaseMs, times.retryMaxMs, clock.random()));
    this.#failures += 1;
  }

  /** Never puts a retry off that waits already. */
  #retryIn(delayMs: number): void {
    const { clock } = this.#deps;
    const atMs = clock.now() + delayMs;
    if (this.#retryAtMs !== null && this.#retryAtMs <= atMs) return;
    this.#retryAtMs = atMs;
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(delayMs, () => {
      this.#retryAtMs = null;
      this.#send(true);
    });
  }

  #hold(at: { revision: string; sequence: number }, rejected: readonly Rejected[], tookMs: number | null): void {
    this.#holding = { kind: 'acknowledged', revision: at.revision, sequence: at.sequence };
    this.#reject(rejected, tookMs);
  }

  #reject(rejected: readonly Rejected[], tookMs: number | null): void {
    this.#rejected = rejected
      .slice(0, MAX_REJECTED)
      .map((one) => ({ ...one, message: one.message.slice(0, MAX_MESSAGE) }));
    this.#deps.onEvent(this, { type: 'acknowledged', rejected: this.#rejected, tookMs });
  }
}

const MAX_REJECTED = 10_000;
const MAX_MESSAGE = 1024;
const MAX_HEALTH_BACKENDS = 10_000;
const MAX_BLOCKED = 1_000;
/** `[address]:port`, or a name of 253 characters with its port. */
const MAX_ENDPOINT_NAME = 259;

function nothing(difference: Difference): boolean {
  return difference.upsert.length === 0 && difference.removed.length === 0;
}

function saneHealth({ backend, blocked, endpoints }: BackendHealth): BackendHealth {
  return {
    backend,
    blocked: blocked.filter((name) => name.length <= MAX_ENDPOINT_NAME).slice(0, MAX_BLOCKED),
    endpoints,
  };
}

/** A report crosses a network and ends in metrics: only finite, non-negative figures get there. */
function saneLoad(load: LoadReport): LoadReport {
  const sane = (value: number): number => (Number.isFinite(value) && value > 0 ? value : 0);
  return {
    ...load,
    inFlight: sane(load.inFlight),
    requestsTotal: sane(load.requestsTotal),
    requestsPerSecond: sane(load.requestsPerSecond),
    eventLoopUtilisation: Math.min(1, sane(load.eventLoopUtilisation)),
    p99Ms: sane(load.p99Ms),
    workers: sane(load.workers),
  };
}
