/** A load at a fixed rate that goes on whatever happens (an open loop), and what became of every request of it. */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** The status of a whole answer; else why there was none. `reset`: the connection broke, before or within the answer. */
export type Outcome = number | 'reset' | 'timeout';

export interface Sample {
  /** When it was due, ms since the epoch. */
  readonly atMs: number;
  /** From when it was due to the last byte, so that a generator that lags hides nothing. */
  readonly ms: number;
  readonly outcome: Outcome;
}

export interface OpenLoopOptions {
  /** The n-th request goes to `url/n`. */
  readonly url: string;
  /** Requests a second. */
  readonly rate: number;
  /** A request without a whole answer by then has failed. */
  readonly timeoutMs: number;
}

/** How often it is looked which requests are due. */
const TICK_MS = 2;
/** Of a generator that lags, at most so many are sent at a time. */
const BURST = 64;

export class OpenLoop {
  samples: Sample[] = [];
  readonly #options: OpenLoopOptions;
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #timer: NodeJS.Timeout;
  /** When the requests under way were due. */
  readonly #underWay = new Set<{ readonly atMs: number }>();
  readonly #startedAtMs = now();
  #sent = 0;
  #tickedAtMs = now();
  /** The longest this process did not get to look, ms: what a machine that stands still does to every process. */
  longestGapMs = 0;

  /** Sends GETs on kept connections until it is stopped. */
  constructor(options: OpenLoopOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#send(), TICK_MS);
  }

  /** Resolves when every request that was due before `atMs` has ended. */
  async settled(atMs: number): Promise<void> {
    while ([...this.#underWay].some((request) => request.atMs < atMs)) await sleep(TICK_MS);
  }

  /** No further request; resolves when those under way have ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.settled(Number.POSITIVE_INFINITY);
    this.#agent.destroy();
  }

  /** Drops the samples that were due before `atMs`, and the longest gap. */
  forget(atMs: number): void {
    this.longestGapMs = 0;
    this.samples = this.samples.filter((sample) => sample.atMs >= atMs);
  }

  /** When the n-th request was due, from 0. */
  dueMs(n: number): number {
    return this.#startedAtMs + (n * 1000) / this.#options.rate;
  }

  #send(): void {
    const { rate } = this.#options;
    const atMs = now();
    this.longestGapMs = Math.max(this.longestGapMs, atMs - this.#tickedAtMs);
    this.#tickedAtMs = atMs;
    const due = Math.min(Math.floor(((atMs - this.#startedAtMs) * rate) / 1000), this.#sent + BURST);
    for (; this.#sent < due; this.#sent++) this.#one(this.#sent);
  }

  #one(n: number): void {
    const { url, timeoutMs } = this.#options;
    const atMs = this.dueMs(n);
    const entry = { atMs };
    this.#underWay.add(entry);
    let over = false;
    const end = (outcome: Outcome): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      this.#underWay.delete(entry);
      this.samples.push({ atMs, ms: now() - atMs, outcome });
    };
    const request = http.get(`${url}/${n}`, { agent: this.#agent }, (response) => {
      response.on('error', () => end('reset'));
      response.on('end', () => end(response.complete ? (response.statusCode ?? 'reset') : 'reset'));
      response.resume();
    });
    request.on('error', () => end('reset'));
    const timer = setTimeout(() => {
      end('timeout');
      request.destroy();
    }, timeoutMs);
  }
}

/** ms since the epoch with fractions, the same in all processes of a machine. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
