/** One endpoint under watch: probed again and again, never twice at a time, until it is closed. */
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import {
  codeOf,
  type openProbe,
  type Probe,
  type ProbeOutcome,
  type ProbeTarget,
  type ProbeTransport,
} from './probe.ts';
import type { ProbeSlots } from './probe-slots.ts';
import { judge, type ProbedState, UNPROBED, waitMs } from './verdict.ts';

export interface ProbingDeps {
  readonly slots: ProbeSlots;
  readonly open: typeof openProbe;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Returns what cancels it. */
  readonly setTimer: (run: () => void, delayMs: number) => () => void;
}

export class ProbedEndpoint {
  readonly name: string;
  readonly #endpoint: ProbeTarget;
  #transport: ProbeTransport;
  readonly #deps: ProbingDeps;
  readonly #onOutcome: (endpoint: ProbedEndpoint, outcome: ProbeOutcome, changed: boolean) => void;
  #settings: ActiveHealth;
  #state = UNPROBED;
  #last: ProbeOutcome | null = null;
  /** Kept from one probe to the next; null: opened by the next one. */
  #probe: Probe | null = null;
  #abort: AbortController | null = null;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(
    name: string,
    endpoint: ProbeTarget,
    settings: ActiveHealth,
    transport: ProbeTransport,
    deps: ProbingDeps,
    onOutcome: (endpoint: ProbedEndpoint, outcome: ProbeOutcome, changed: boolean) => void,
  ) {
    this.name = name;
    this.#endpoint = endpoint;
    this.#settings = settings;
    this.#transport = transport;
    this.#deps = deps;
    this.#onOutcome = onOutcome;
  }

  get state(): ProbedState {
    return this.#state;
  }

  /** The outcome of the last probe; null before the first. */
  get last(): ProbeOutcome | null {
    return this.#last;
  }

  start(delayMs: number): void {
    this.#schedule(delayMs);
  }

  /** Goes by other settings from now on, and probes by them at `delayMs`. The state stays until they contradict it often enough. */
  configure(settings: ActiveHealth, transport: ProbeTransport, delayMs: number): void {
    // A copy, so that what is under way by the ones before is known by it.
    this.#settings = { ...settings };
    this.#transport = transport;
    this.#state = { ...this.#state, streak: 0 };
    this.#stop();
    this.#schedule(delayMs);
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  #stop(): void {
    this.#cancel();
    this.#abort?.abort();
    this.#abort = null;
    this.#probe?.close();
    this.#probe = null;
  }

  #schedule(delayMs: number): void {
    const settings = this.#settings;
    this.#cancel = this.#deps.setTimer(() => {
      this.#deps.slots.take(() => {
        if (this.#closed || this.#settings !== settings) return false;
        void this.#run(settings);
        return true;
      });
    }, delayMs);
  }

  async #run(settings: ActiveHealth): Promise<void> {
    const { slots, setTimer, random } = this.#deps;
    const abort = new AbortController();
    this.#abort = abort;
    let timedOut = false;
    const cancelTimeout = setTimer(() => {
      // Where this thread was busy, what has arrived meanwhile is read first.
      setImmediate(() => {
        timedOut = true;
        abort.abort();
      });
    }, settings.timeoutMs);
    const outcome = await this.#ask(settings, abort);
    cancelTimeout();
    slots.release();
    if (this.#closed || this.#settings !== settings) return;
    this.#abort = null;
    const late: ProbeOutcome = { result: 'timeout', detail: `nothing within ${settings.timeoutMs} ms` };
    this.#take(timedOut && outcome.result !== 'success' ? late : outcome);
    this.#schedule(waitMs(settings.intervalMs, settings.jitterPercent, random()));
  }

  async #ask(settings: ActiveHealth, abort: AbortController): Promise<ProbeOutcome> {
    const target = { ...this.#endpoint, port: settings.port ?? this.#endpoint.port };
    try {
      const probe = this.#probe ?? (await this.#deps.open(settings.probe, target, this.#transport));
      // Closed, or configured anew, meanwhile.
      if (this.#abort === abort) this.#probe = probe;
      else {
        probe.close();
        return { result: 'timeout', detail: 'aborted' };
      }
      return await probe.run(abort.signal);
    } catch (error) {
      return { result: 'protocol', detail: codeOf(error) };
    }
  }

  #take(outcome: ProbeOutcome): void {
    const before = this.#state;
    this.#last = outcome;
    this.#state = judge(before, outcome.result === 'success', this.#settings);
    this.#onOutcome(this, outcome, before.healthy !== this.#state.healthy);
  }
}
