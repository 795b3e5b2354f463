/**
 * bcrypt in a thread of its own: Node has none, the library is plain JavaScript (one binary a platform less to trust and to ship), and a
 * verification takes tens of milliseconds. The thread is there only while it is used.
 */
import { Worker } from 'node:worker_threads';

/** After this long without a question the thread ends, and its 10 MB with it. */
const IDLE_MS = 30_000;

const ENTRY = new URL(`./bcrypt-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

interface Waiting {
  readonly resolve: (right: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class BcryptThread {
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | undefined;
  #sequence = 0;
  readonly #waiting = new Map<number, Waiting>();

  verify(password: string, hash: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      clearTimeout(this.#idle);
      this.#worker ??= this.#start();
      const sequence = this.#sequence++;
      this.#waiting.set(sequence, { resolve, reject });
      this.#worker.postMessage({ sequence, password, hash });
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(ENTRY, { name: 'bcrypt' });
    worker.unref();
    worker.on('message', ({ sequence, right }: { sequence: number; right: boolean }) => {
      this.#waiting.get(sequence)?.resolve(right);
      this.#waiting.delete(sequence);
      if (this.#waiting.size === 0) this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref();
    });
    const gone = (error: unknown): void => {
      if (this.#worker === worker) this.#worker = null;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    worker.on('error', gone);
    worker.on('exit', () => gone(new Error('the bcrypt thread ended')));
    return worker;
  }
}
