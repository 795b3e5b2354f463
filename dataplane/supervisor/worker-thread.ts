/** One worker thread: questions with answers, and its end. */
import { Worker } from 'node:worker_threads';
import { DataplaneError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { BackendView } from '../snapshot/backend/view.ts';
import type { Explanation } from '../snapshot/explain.ts';
import { BATCH_BYTES } from '../telemetry/line-batch.ts';
import type { Trouble } from '../telemetry/trouble.ts';
import type {
  BlockedEndpoint,
  Bound,
  FromWorker,
  PackedChange,
  ToWorker,
  WorkerCounts,
  WorkerEndpoint,
  WorkerSetup,
  WorkerVerdict,
} from '../worker/messages.ts';
import type { WriteLines } from './output.ts';

type Question = ToWorker extends infer Message
  ? Message extends { readonly sequence: number }
    ? Omit<Message, 'sequence'>
    : never
  : never;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout | null;
}

export interface WorkerThreadOptions {
  readonly setup: WorkerSetup;
  readonly log: Log;
  readonly onLines: WriteLines;
  readonly onTroubles: (troubles: readonly Trouble[]) => void;
  /** See FromWorker `blocked`. */
  readonly onBlocked: (backends: ReadonlyMap<string, readonly BlockedEndpoint[]>) => void;
  /** Once, when the thread has ended, for whatever reason. */
  readonly onExit: (error: DataplaneError) => void;
}

/** The entry beside this file: source in development, compiled when shipped. */
const ENTRY = new URL(`../worker/main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

export class WorkerThread {
  readonly startedAtMs = performance.now();
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #sequence = 0;
  #error: Error | null = null;
  #ended = false;

  constructor({ setup, log, onLines, onTroubles, onBlocked, onExit }: WorkerThreadOptions) {
    // Without stdout and stderr of its own nothing is piped through this thread.
    this.#worker = new Worker(ENTRY, {
      workerData: setup,
      name: `worker-${setup.index}`,
      transferList: [setup.sessions],
    });
    this.#worker.on('message', (message: FromWorker) => {
      switch (message.type) {
        case 'lines':
          onLines(message.lines, () => this.#giveBack(message.lines.buffer));
          break;
        case 'log':
          log[message.level]({ worker: setup.index, ...message.fields }, message.message);
          break;
        case 'troubles':
          onTroubles(message.troubles);
          break;
        case 'blocked':
          onBlocked(message.backends);
          break;
        case 'answer':
          this.#take(message.sequence)?.resolve(message.value);
          break;
        case 'failure':
          this.#take(message.sequence)?.reject(
            message.code === 'DP_EXPLAIN'
              ? new DataplaneError('DP_EXPLAIN', message.message, { retryable: false })
              : new DataplaneError('DP_WORKER', message.message, { retryable: true, cause: message.code || undefined }),
          );
          break;
      }
    });
    this.#worker.on('error', (error: Error) => {
      this.#error = error;
    });
    this.#worker.on('exit', (code) => {
      this.#ended = true;
      const why = this.#error ?? `it exited with code ${code}`;
      const error = new DataplaneError('DP_WORKER', `worker ${setup.index} ended`, { cause: why, retryable: true });
      for (const sequence of [...this.#waiting.keys()]) this.#take(sequence)?.reject(error);
      onExit(error);
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** 0 to 1 since the last call. */
  eventLoopUtilisation(since: Utilisation | undefined): Utilisation {
    return this.#worker.performance.eventLoopUtilization(since);
  }

  /** In one go; the verdict is that of the last one. */
  apply(changes: readonly PackedChange[], timeoutMs: number): Promise<WorkerVerdict> {
    return this.#ask({ type: 'apply', changes }, timeoutMs) as Promise<WorkerVerdict>;
  }

  listen(ports: Bound, timeoutMs: number): Promise<Bound> {
    return this.#ask({ type: 'listen', ...ports }, timeoutMs) as Promise<Bound>;
  }

  count(timeoutMs: number): Promise<WorkerCounts> {
    return this.#ask({ type: 'count' }, timeoutMs) as Promise<WorkerCounts>;
  }

  describe(timeoutMs: number): Promise<unknown> {
    return this.#ask({ type: 'describe' }, timeoutMs);
  }

  endpoints(timeoutMs: number): Promise<ReadonlyMap<string, readonly WorkerEndpoint[]>> {
    return this.#ask({ type: 'endpoints' }, timeoutMs) as Promise<ReadonlyMap<string, readonly WorkerEndpoint[]>>;
  }

  explain(request: unknown, timeoutMs: number): Promise<Explanation> {
    return this.#ask({ type: 'explain', request }, timeoutMs) as Promise<Explanation>;
  }

  /** Rejects when it does not answer: it hangs. */
  async ping(timeoutMs: number): Promise<void> {
    await this.#ask({ type: 'ping' }, timeoutMs);
  }

  async drain(windowMs: number, deadlineMs: number): Promise<void> {
    await this.#ask({ type: 'drain', windowMs, deadlineMs }, 0);
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  /** See LineFile; nothing where the lines come here. */
  reopenLog(): void {
    if (!this.#ended) this.#worker.postMessage({ type: 'reopen' } satisfies ToWorker);
  }

  /** Seen before whatever is asked after it. */
  view(views: ReadonlyMap<string, BackendView>): void {
    if (!this.#ended && views.size > 0) this.#worker.postMessage({ type: 'views', views } satisfies ToWorker);
  }

  /** A worker that makes many lines goes through its buffers faster than the collector of this thread looks for them. */
  #giveBack(buffer: ArrayBuffer): void {
    if (this.#ended || buffer.byteLength < BATCH_BYTES) return;
    this.#worker.postMessage({ type: 'spare', buffer } satisfies ToWorker, [buffer]);
  }

  /** `timeoutMs` 0: for ever. */
  #ask(question: Question, timeoutMs: number): Promise<unknown> {
    if (this.#ended) {
      return Promise.reject(new DataplaneError('DP_WORKER', 'the worker has ended', { retryable: true }));
    }
    const sequence = ++this.#sequence;
    return new Promise((resolve, reject) => {
      const timer =
        timeoutMs === 0
          ? null
          : setTimeout(() => {
              const error = `no answer to ${question.type} within ${timeoutMs} ms`;
              this.#take(sequence)?.reject(new DataplaneError('DP_WORKER', error, { retryable: true }));
            }, timeoutMs);
      this.#waiting.set(sequence, { resolve, reject, timer });
      this.#worker.postMessage({ ...question, sequence } as ToWorker);
    });
  }

  #take(sequence: number): Waiting | undefined {
    const waiting = this.#waiting.get(sequence);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(sequence);
    if (waiting.timer !== null) clearTimeout(waiting.timer);
    return waiting;
  }
}

export type Utilisation = ReturnType<Worker['performance']['eventLoopUtilization']>;
