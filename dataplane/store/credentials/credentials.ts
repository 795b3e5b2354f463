/**
 * Look-ups in the credential store for one worker. What was read is kept, and dropped when the store's log says that it changed: the log is
 * asked every second, so that a revocation counts within `pollMs` + `timeoutMs`, under 2 s. When the store is away, what is known counts for
 * `staleForMs` more; for everything else, and then for all, the answer is AWAY: nobody is let in that can't be looked up.
 *
 * Why nothing stale is kept: a read that began before a change may end after the log told of it. So a read is kept only when no news came
 * while it was under way; news that come later drop it, as they name it.
 */
import type { Counter } from '../../telemetry/stage-counters.ts';
import { GuardedStore, type GuardLimits } from './guarded-store.ts';
import { RecordCache } from './record-cache.ts';
import type { Consumer, CredentialReader, CredentialStore, PasswordRecord } from './store.ts';

export const AWAY = Symbol('the credential store is away');
export type Found<R> = R | null | typeof AWAY;

export interface CredentialLimits extends GuardLimits {
  /** How often the log is asked. */
  readonly pollMs: number;
  /** How long what is known counts when the store is away. */
  readonly staleForMs: number;
  /** How long what is not there is not looked for again; a key that is added counts after a poll already. */
  readonly unknownMs: number;
  /** Records of each kind. */
  readonly maxKnown: number;
  readonly maxUnknown: number;
}

export const CREDENTIAL_LIMITS: CredentialLimits = {
  pollMs: 1_000,
  timeoutMs: 900,
  maxInFlight: 256,
  restMs: 500,
  staleForMs: 300_000,
  unknownMs: 5_000,
  maxKnown: 100_000,
  maxUnknown: 10_000,
};

export interface CredentialsOptions {
  /** Where it is, without its password. */
  readonly address: string;
  readonly open: () => Promise<CredentialStore>;
  readonly counter: (name: string, labels: Readonly<Record<string, string>>) => Counter;
  readonly limits?: Partial<CredentialLimits>;
  /** ms, monotonic. */
  readonly now?: () => number;
}

/** Null: all is well. Otherwise what to say in the status of policies. */
type Watcher = (trouble: string | null) => void;
type State = 'well' | 'stale' | 'shut';

export class Credentials {
  readonly address: string;
  readonly #limits: CredentialLimits;
  readonly #now: () => number;
  readonly #store: GuardedStore;
  readonly #keys: RecordCache<Consumer>;
  readonly #passwords: RecordCache<PasswordRecord>;
  /** Reads under way, so that many requests with one new credential ask once. */
  readonly #reading = new Map<string, Promise<Found<Consumer>>>();
  readonly #watchers = new Set<Watcher>();
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | null = null;
  /** Of the last poll that was answered. */
  #epoch = '';
  #sequence = -1;
  #confirmedAtMs = Number.NEGATIVE_INFINITY;
  /** How often something was dropped. */
  #news = 0;
  #trouble: string | null = null;
  #state: State = 'well';
  #closed = false;

  constructor({ address, open, counter, limits, now = () => performance.now() }: CredentialsOptions) {
    this.address = address;
    this.#limits = { ...CREDENTIAL_LIMITS, ...limits };
    this.#now = now;
    this.#store = new GuardedStore({ open, counter, limits: this.#limits });
    this.#keys = new RecordCache(this.#limits);
    this.#passwords = new RecordCache(this.#limits);
  }

  /** Follows the log as long as somebody watches: until what it returns is called. `watcher` hears of the state now and when it changes. */
  watch(watcher: Watcher): () => void {
    // While nobody watched nobody heard of changes.
    if (this.#watchers.size === 0) this.#confirmedAtMs = Number.NEGATIVE_INFINITY;
    this.#watchers.add(watcher);
    watcher(this.#trouble);
    if (this.#timer === undefined && this.#polling === null) this.#poll();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  /** `hash`: SHA-256 of the key, hex. On the hot path for keys that are known. */
  key(hash: string): Found<Consumer> | Promise<Found<Consumer>> {
    const nowMs = this.#now();
    const known = this.#keys.known(hash);
    if (known !== undefined && this.#counts(nowMs)) return known;
    if (this.#keys.isUnknown(hash, nowMs)) return null;
    return this.#read(`key ${hash}`, this.#keys, hash, (store) => store.findKey(hash));
  }

  password(consumer: string): Found<PasswordRecord> | Promise<Found<PasswordRecord>> {
    const nowMs = this.#now();
    const known = this.#passwords.known(consumer);
    if (known !== undefined && this.#counts(nowMs)) return known;
    if (this.#passwords.isUnknown(consumer, nowMs)) return null;
    return this.#read(`password ${consumer}`, this.#passwords, consumer, (store) => store.findPassword(consumer));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#store.close();
  }

  #counts(nowMs: number): boolean {
    return nowMs - this.#confirmedAtMs <= this.#limits.staleForMs;
  }

  #read<R extends Consumer>(
    id: string,
    cache: RecordCache<R>,
    name: string,
    find: (store: CredentialReader) => Promise<R | null>,
  ): Promise<Found<R>> {
    let reading = this.#reading.get(id) as Promise<Found<R>> | undefined;
    if (reading === undefined) {
      reading = this.#load(cache, name, find).finally(() => this.#reading.delete(id));
      this.#reading.set(id, reading);
    }
    return reading;
  }

  async #load<R extends Consumer>(
    cache: RecordCache<R>,
    name: string,
    find: (store: CredentialReader) => Promise<R | null>,
  ): Promise<Found<R>> {
    const news = this.#news;
    try {
      const record = await this.#store.ask(find);
      // Before the first poll nobody would hear of changes.
      if (news === this.#news && this.#sequence >= 0) cache.set(name, record, this.#now());
      return record;
    } catch {
      return AWAY;
    }
  }

  #poll(): void {
    const startedAtMs = this.#now();
    this.#polling = this.#followLog().finally(() => {
      this.#polling = null;
      if (this.#closed || this.#watchers.size === 0) return;
      const waitMs = Math.max(0, this.#limits.pollMs - (this.#now() - startedAtMs));
      this.#timer = setTimeout(() => this.#poll(), waitMs).unref();
    });
  }

  async #followLog(): Promise<void> {
    const { pollMs, staleForMs } = this.#limits;
    const askedAtMs = this.#now();
    try {
      const { epoch, sequence, changes } = await this.#store.ask((store) => store.changesAfter(this.#sequence));
      if (changes === null || epoch !== this.#epoch) this.#forgetAll();
      else for (const change of changes) this.#forget(change.kind, change.subject);
      this.#epoch = epoch;
      this.#sequence = sequence;
      // From when it was asked: the answer may have been on its way for long.
      this.#confirmedAtMs = askedAtMs;
      this.#say(null, 'well');
    } catch (error) {
      const nowMs = this.#now();
      // One poll that is late breaks no promise.
      if (nowMs - this.#confirmedAtMs <= 2 * pollMs) return;
      const what = `the credential store ${this.address} does not answer (${(error as Error).message})`;
      // The words stay the same while it is away: a status is written when they change.
      if (!this.#counts(nowMs)) this.#say(`${what}: nobody with credentials of it is let in`, 'shut');
      else this.#say(`${what}: who is known counts for ${staleForMs / 1_000} s, others get 503`, 'stale');
    }
  }

  #forget(kind: 'key' | 'consumer', subject: string): void {
    this.#news++;
    if (kind === 'key') {
      this.#keys.forget(subject);
      return;
    }
    this.#keys.forgetConsumer(subject);
    this.#passwords.forgetConsumer(subject);
  }

  #forgetAll(): void {
    this.#news++;
    this.#keys.clear();
    this.#passwords.clear();
  }

  #say(trouble: string | null, state: State): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#trouble = trouble;
    for (const watcher of this.#watchers) watcher(trouble);
  }
}
