/** Sessions of the supervisor, asked for by messages. */
import type { MessagePort } from 'node:worker_threads';
import type { SessionAnswer, SessionQuestion } from './messages.ts';
import type { SessionStore } from './session-store.ts';

interface Waiting {
  resolve(answer: SessionAnswer): void;
  readonly timer: NodeJS.Timeout;
}

/** The supervisor does nothing that takes long: later than this it is in trouble itself. */
const TIMEOUT_MS = 1_000;

export class AskedSessions implements SessionStore {
  readonly #ask: (sequence: number, question: SessionQuestion) => void;
  readonly #waiting = new Map<number, Waiting>();
  #sequence = 0;

  constructor(ask: (sequence: number, question: SessionQuestion) => void) {
    this.#ask = ask;
  }

  /** `port` answers `[sequence, question]` with `[sequence, answer]`. */
  static over(port: MessagePort): AskedSessions {
    const store = new AskedSessions((sequence, question) => port.postMessage([sequence, question]));
    port.on('message', ([sequence, answer]: readonly [number, SessionAnswer]) => store.answered(sequence, answer));
    port.unref();
    return store;
  }

  /** To be called with what comes back. */
  answered(sequence: number, answer: SessionAnswer): void {
    const waiting = this.#waiting.get(sequence);
    if (waiting === undefined) return;
    this.#waiting.delete(sequence);
    clearTimeout(waiting.timer);
    waiting.resolve(answer);
  }

  async get(id: string): Promise<string | null> {
    const answer = await this.#question({ op: 'get', id });
    return typeof answer === 'string' ? answer : null;
  }

  async set(id: string, value: string, ttlMs: number): Promise<void> {
    await this.#question({ op: 'set', id, value, ttlMs });
  }

  async delete(id: string): Promise<void> {
    await this.#question({ op: 'delete', id });
  }

  async claim(id: string, ttlMs: number): Promise<boolean> {
    return (await this.#question({ op: 'claim', id, ttlMs })) === true;
  }

  #question(question: SessionQuestion): Promise<SessionAnswer> {
    const sequence = ++this.#sequence;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(sequence);
        reject(new Error(`the supervisor does not answer within ${TIMEOUT_MS} ms`));
      }, TIMEOUT_MS);
      this.#waiting.set(sequence, { resolve, timer });
      this.#ask(sequence, question);
    });
  }
}
