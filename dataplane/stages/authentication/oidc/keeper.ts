/** Where sessions are kept: all in the cookie, or in a store that a random number in the cookie leads to. */
import { hash, randomBytes } from 'node:crypto';
import type { SessionStore } from '../../../store/sessions/session-store.ts';
import type { Sealer } from './sealer.ts';
import { isSession, type Session } from './session.ts';

/** All reject where the store can't be reached. `cookie` is the value of the session's cookie. */
export interface SessionKeeper {
  /** How long what was read holds: others may have ended the session meanwhile. */
  readonly believeMs: number;
  /** Null: there is no such session. */
  read(cookie: string): Promise<Session | null>;
  /** The cookie of a new session. */
  begin(session: Session): Promise<string>;
  /** After a refresh: the cookie from now on, the same one where nothing needs to be sent. */
  renew(cookie: string, session: Session): Promise<string>;
  end(cookie: string): Promise<void>;
  /** True for the one who is to do that. */
  claim(what: string, forMs: number): Promise<boolean>;
}

export class CookieKeeper implements SessionKeeper {
  readonly believeMs = Number.POSITIVE_INFINITY;
  readonly #sealer: Sealer;

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  async read(cookie: string): Promise<Session | null> {
    const session = await this.#sealer.open(cookie);
    return isSession(session) ? session : null;
  }

  begin(session: Session): Promise<string> {
    return this.#sealer.seal(session, session.endsAtMs);
  }

  renew(_cookie: string, session: Session): Promise<string> {
    return this.begin(session);
  }

  /** Nothing remembers it but the browser. */
  async end(): Promise<void> {}

  async claim(): Promise<boolean> {
    return true;
  }
}

/** A logout elsewhere is noticed within this. */
const BELIEVE_MS = 1_000;
const ID_LENGTH = 43;

export class StoreKeeper implements SessionKeeper {
  readonly believeMs = BELIEVE_MS;
  readonly #store: SessionStore;
  readonly #sealer: Sealer;
  readonly #epochMs: () => number;

  /** The store sees neither cookies nor sessions: the one hashed, the other sealed. */
  constructor(store: SessionStore, sealer: Sealer, epochMs: () => number) {
    this.#store = store;
    this.#sealer = sealer;
    this.#epochMs = epochMs;
  }

  async read(cookie: string): Promise<Session | null> {
    if (cookie.length !== ID_LENGTH) return null;
    const sealed = await this.#store.get(nameOf(cookie));
    const session = sealed === null ? null : await this.#sealer.open(sealed);
    return isSession(session) ? session : null;
  }

  async begin(session: Session): Promise<string> {
    return this.renew(randomBytes(32).toString('base64url'), session);
  }

  async renew(cookie: string, session: Session): Promise<string> {
    const { endsAtMs } = session;
    const sealed = await this.#sealer.seal(session, endsAtMs);
    await this.#store.set(nameOf(cookie), sealed, Math.max(1, endsAtMs - this.#epochMs()));
    return cookie;
  }

  async end(cookie: string): Promise<void> {
    if (cookie.length === ID_LENGTH) await this.#store.delete(nameOf(cookie));
  }

  claim(what: string, forMs: number): Promise<boolean> {
    return this.#store.claim(nameOf(what), forMs);
  }
}

function nameOf(cookie: string): string {
  return hash('sha256', cookie, 'base64url');
}
