/** All sessions of this replica and the snapshot they are brought to. Knows no network: the server hands it streams. */
import type { Hello, Rejected } from '@tidegate/dataplane/snapshot/protocol';
import type { Clock } from '../clock.ts';
import { DeltaCache, type EncodedDelta } from './delta.ts';
import { History, type Step } from './history.ts';
import { DEFAULT_SESSION_TIMES, Session, type SessionEvent, type SessionTimes } from './session.ts';

export interface PublisherOptions {
  readonly clock: Clock;
  readonly times?: SessionTimes;
}

/** What happened to a session, for status, metrics, peers and the log. */
export type PublisherEvent =
  | SessionEvent
  | { readonly type: 'connected' }
  | { readonly type: 'disconnected' }
  /** The same node opened another stream; this one is over. */
  | { readonly type: 'replaced' };

export type PublisherListener = (session: Session, event: PublisherEvent) => void;

interface Waiter {
  readonly done: () => boolean;
  readonly resolve: (reached: boolean) => void;
  readonly cancel: () => void;
}

export class Publisher {
  readonly history = new History();
  readonly #cache = new DeltaCache();
  readonly #sessions = new Map<string, { session: Session; end: (reason: string) => void }>();
  readonly #listeners = new Set<PublisherListener>();
  readonly #waiters = new Set<Waiter>();
  readonly #clock: Clock;
  readonly #times: SessionTimes;

  constructor(options: PublisherOptions) {
    this.#clock = options.clock;
    this.#times = options.times ?? DEFAULT_SESSION_TIMES;
  }

  /** The sessions of this replica, in the order they connected. */
  *sessions(): IterableIterator<Session> {
    for (const { session } of this.#sessions.values()) yield session;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  onEvent(listener: PublisherListener): void {
    this.#listeners.add(listener);
  }

  /** Takes a step over and sends it to every session that is not waiting for a verdict. False when it changed nothing. */
  publish(step: Step): boolean {
    if (!this.history.append(step)) return false;
    for (const { session } of this.#sessions.values()) session.pump();
    this.#wake();
    return true;
  }

  /** Takes a data plane in; `end` closes its stream. A session of the same node before it is ended. */
  connect(hello: Hello, send: (delta: EncodedDelta) => void, end: (reason: string) => void): Session {
    const older = this.#sessions.get(hello.node);
    if (older !== undefined) {
      this.#drop(older.session, { type: 'replaced' });
      older.end('the same node opened another stream');
    }
    const session = new Session(hello, {
      history: this.history,
      cache: this.#cache,
      clock: this.#clock,
      times: this.#times,
      send,
      onEvent: (from, event) => this.#emit(from, event),
    });
    this.#sessions.set(hello.node, { session, end });
    this.#emit(session, { type: 'connected' });
    session.pump();
    return session;
  }

  disconnect(session: Session): void {
    if (this.#sessions.get(session.node)?.session === session) this.#drop(session, { type: 'disconnected' });
  }

  /** Ends every stream; data planes go to another replica. */
  endAll(reason: string): void {
    for (const { session, end } of [...this.#sessions.values()]) {
      this.disconnect(session);
      end(reason);
    }
  }

  /**
   * Resolves true when no session waits for a verdict any more, false after `maxMs`: a slow data plane does not hold up the
   * others for longer.
   */
  settled(maxMs: number): Promise<boolean> {
    return this.#until(() => [...this.#sessions.values()].every(({ session }) => !session.busy), maxMs);
  }

  /** Resolves true when every ready session holds `sequence` or a later step, false after `maxMs`. */
  acknowledged(sequence: number, maxMs: number): Promise<boolean> {
    return this.#until(
      () =>
        [...this.#sessions.values()].every(
          ({ session }) => !session.ready || (session.sequence !== undefined && session.sequence >= sequence),
        ),
      maxMs,
    );
  }

  /** What data planes of this replica refused, by resource id. */
  rejected(): Map<string, Rejected> {
    const all = new Map<string, Rejected>();
    for (const session of this.sessions()) for (const one of session.rejected) all.set(one.id, one);
    return all;
  }

  #until(done: () => boolean, maxMs: number): Promise<boolean> {
    if (done()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        done,
        resolve,
        cancel: this.#clock.after(maxMs, () => {
          this.#waiters.delete(waiter);
          resolve(false);
        }),
      };
      this.#waiters.add(waiter);
    });
  }

  #drop(session: Session, event: PublisherEvent): void {
    this.#sessions.delete(session.node);
    session.close();
    this.#emit(session, event);
  }

  #emit(session: Session, event: PublisherEvent): void {
    for (const listener of this.#listeners) listener(session, event);
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      if (!waiter.done()) continue;
      this.#waiters.delete(waiter);
      waiter.cancel();
      waiter.resolve(true);
    }
  }
}
