/**
 * Verifies Basic credentials for all stages of a worker, and remembers the outcome: that a credential matches a hash is true for ever, so
 * nothing has to be forgotten when users change: whoever asks compares the remembered hash with the user's of now.
 *
 * Credentials are remembered under a hash keyed with random bytes of this process, so that neither the memory nor a dump of it holds a
 * password or something to guess it by elsewhere. The key stands before the credential; HMAC's second round would only protect tags that
 * somebody sees, and costs 1 µs a request.
 *
 * One verification at a time a worker: the workers are as many as the CPUs, and Node's thread pool has four threads for the whole process,
 * which DNS and files need too. What waits is bounded in number and time, so that guessing stalls nobody who was here before.
 */
import { hash as digest, randomBytes } from 'node:crypto';
import type { BcryptThread } from './bcrypt-thread.ts';
import { Remembered } from './remembered.ts';

/** The user a credential names, and the hash it matches. */
export interface Pair {
  readonly user: string;
  readonly hash: string;
}

export type Verdict = 'right' | 'wrong' | 'busy';

export interface CheckerLimits {
  /** Credentials remembered as right. */
  readonly maxRight: number;
  /** Credentials remembered as wrong: a client with a stale password asks often. */
  readonly maxWrong: number;
  /** A right one is verified again after this long. */
  readonly rememberMs: number;
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

export const CHECKER_LIMITS: CheckerLimits = {
  maxRight: 20_000,
  maxWrong: 2_000,
  rememberMs: 3_600_000,
  concurrency: 1,
  maxWaiting: 64,
  maxWaitMs: 5_000,
};

interface Right {
  readonly pair: Pair;
  readonly untilMs: number;
}

interface Waiter {
  readonly start: () => void;
  readonly timer: NodeJS.Timeout;
}

export class PasswordChecker {
  readonly #limits: CheckerLimits;
  readonly #now: () => number;
  readonly #key = randomBytes(32).toString('base64');
  readonly #right: Remembered<Right>;
  /** The hash it does not match. */
  readonly #wrong: Remembered<string>;
  readonly #running = new Map<string, Promise<Verdict>>();
  readonly #waiting = new Set<Waiter>();
  #active = 0;
  #bcrypt: BcryptThread | null = null;

  /** `now`: ms, monotonic. */
  constructor(limits: Partial<CheckerLimits> = {}, now: () => number = () => performance.now()) {
    this.#limits = { ...CHECKER_LIMITS, ...limits };
    this.#now = now;
    this.#right = new Remembered(this.#limits.maxRight);
    this.#wrong = new Remembered(this.#limits.maxWrong);
  }

  /** `credential` as it stands in the request. On the hot path: one SHA-256. */
  remembered(credential: string): Pair | undefined {
    const tag = this.#tagOf(credential);
    const found = this.#right.get(tag);
    if (found === undefined) return undefined;
    if (found.untilMs > this.#now()) return found.pair;
    this.#right.delete(tag);
    return undefined;
  }

  /** Never rejects. The same credential is verified once, however many ask. */
  check(credential: string, password: string, { user, hash }: Pair): Promise<Verdict> {
    const tag = this.#tagOf(credential);
    if (this.#wrong.get(tag) === hash) return Promise.resolve('wrong');
    const name = `${tag} ${hash}`;
    let running = this.#running.get(name);
    if (running === undefined) {
      running = this.#verify(tag, password, { user, hash }).finally(() => this.#running.delete(name));
      this.#running.set(name, running);
    }
    return running;
  }

  /** Some entry of 0 to n-1 for a user nobody knows: the same each time, and for outsiders any. */
  pick(user: string, n: number): number {
    return Number.parseInt(digest('sha256', this.#key + user).slice(0, 8), 16) % n;
  }

  async close(): Promise<void> {
    await this.#bcrypt?.close();
  }

  async #verify(tag: string, password: string, pair: Pair): Promise<Verdict> {
    if (this.#active < this.#limits.concurrency) this.#active++;
    else if (!(await this.#turn())) return 'busy';
    try {
      // Loaded with the first password: argon2 came to Node 24 late (24.7), and nothing else here needs it.
      const { verifyPassword, startBcrypt } = await import('./verify.ts');
      const right = await verifyPassword(password, pair.hash, () => {
        this.#bcrypt ??= startBcrypt();
        return this.#bcrypt;
      });
      if (right) this.#right.set(tag, { pair, untilMs: this.#now() + this.#limits.rememberMs });
      else this.#wrong.set(tag, pair.hash);
      return right ? 'right' : 'wrong';
    } catch {
      // Out of memory or threads: not known, so not let in.
      return 'busy';
    } finally {
      // The next one gets the place itself: nobody slips in between.
      const [next] = this.#waiting;
      if (next === undefined) this.#active--;
      else next.start();
    }
  }

  /** False where there is no place, or it takes too long. */
  #turn(): Promise<boolean> {
    const { maxWaiting, maxWaitMs } = this.#limits;
    if (this.#waiting.size >= maxWaiting) return Promise.resolve(false);
    return new Promise((resolve) => {
      const settle = (mayStart: boolean) => () => {
        clearTimeout(waiter.timer);
        this.#waiting.delete(waiter);
        resolve(mayStart);
      };
      const waiter: Waiter = { start: settle(true), timer: setTimeout(settle(false), maxWaitMs) };
      this.#waiting.add(waiter);
    });
  }

  #tagOf(credential: string): string {
    return digest('sha256', this.#key + credential, 'base64');
  }
}
