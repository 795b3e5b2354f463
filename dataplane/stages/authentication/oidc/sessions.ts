/**
 * Sessions as requests meet them: one that is known needs no promise; one that is not is read once for all who wait; tokens are renewed
 * before they end, by one request at a time, while the session still holds.
 */
import { setTimeout as after } from 'node:timers/promises';
import type { Vouched } from '../method.ts';
import { TokenCache } from '../tokens/cache.ts';
import type { SessionKeeper } from './keeper.ts';
import { LoginError } from './login-error.ts';
import type { Provider, Tokens } from './provider.ts';
import { refreshAtMs, type Session } from './session.ts';

/** `cookie`: to be sent from now on, where it is another than came. */
export type Settled =
  | { readonly kind: 'in'; readonly vouched: Vouched; readonly session: Session; readonly cookie?: string }
  | { readonly kind: 'over' }
  | { readonly kind: 'unavailable' };

interface Known {
  readonly settled: Extract<Settled, { kind: 'in' }>;
  /** From then on the tokens are to be renewed. */
  readonly renewAtMs: number;
}

export interface SessionsDeps {
  readonly keeper: SessionKeeper;
  readonly provider: Provider;
  /** Null: nothing of it says who it is. */
  readonly vouch: (session: Session) => Vouched | null;
  readonly epochMs: () => number;
  readonly timeoutMs: number;
  /** See the contract. */
  readonly maxAgeMs: number;
  readonly keepAccessToken: boolean;
}

const KNOWN = { maxEntries: 10_000, maxChars: 33_554_432 };
const MAX_WAITING = 1_024;
/** After the provider failed, tokens that still hold are not tried to renew again before. */
const RETRY_MS = 5_000;
/** How often one who waits for another's renewal looks whether it is there. */
const LOOK_MS = 100;

export class Sessions {
  readonly #deps: SessionsDeps;
  readonly #known = new TokenCache<Known>(KNOWN);
  readonly #underWay = new Map<string, Promise<Settled>>();
  /** By cookie, for as long as a renewal may be under way. */
  readonly #ended = new TokenCache<true>(KNOWN);

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
  }

  /** Synchronous where it is known. */
  find(cookie: string): Settled | Promise<Settled> {
    const nowMs = this.#deps.epochMs();
    const known = this.#known.get(cookie, nowMs);
    if (known !== undefined && nowMs < known.renewAtMs) return known.settled;
    const underWay = this.#underWay.get(cookie);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= MAX_WAITING) return { kind: 'unavailable' };
    const settling = this.#settle(cookie)
      .catch((): Settled => ({ kind: 'unavailable' }))
      .finally(() => this.#underWay.delete(cookie));
    this.#underWay.set(cookie, settling);
    return settling;
  }

  /** As `find`, with nothing renewed or remembered: for who only explains. Never rejects. */
  async peek(cookie: string): Promise<Settled> {
    const { keeper, vouch, epochMs } = this.#deps;
    try {
      const session = await keeper.read(cookie);
      const nowMs = epochMs();
      if (session === null || session.endsAtMs <= nowMs) return { kind: 'over' };
      if (session.tokensUntilMs <= nowMs && session.refreshToken === undefined) return { kind: 'over' };
      const vouched = vouch(session);
      return vouched === null ? { kind: 'over' } : { kind: 'in', vouched, session };
    } catch {
      return { kind: 'unavailable' };
    }
  }

  /** Rejects where the store can't be reached, or with LoginError `refused` where nobody is named. */
  async begin(tokens: Tokens): Promise<{ readonly cookie: string; readonly session: Session }> {
    const nowMs = this.#deps.epochMs();
    const session = this.#sessionOf(tokens, tokens.claims ?? {}, nowMs, nowMs + this.#deps.maxAgeMs);
    if (this.#deps.vouch(session) === null)
      throw new LoginError('refused', 'a claim of the ID token is missing or is not what is needed here');
    return { cookie: await this.#deps.keeper.begin(session), session };
  }

  /** The same session without what only a logout needs. */
  beginShorter({ idToken: _, ...session }: Session): Promise<string> {
    return this.#deps.keeper.begin(session);
  }

  /** Null: there was none. Rejects where the store can't be reached. */
  async end(cookie: string): Promise<Session | null> {
    const { epochMs, timeoutMs } = this.#deps;
    this.#known.delete(cookie);
    this.#ended.set(cookie, true, epochMs() + 4 * timeoutMs);
    const session = await this.#deps.keeper.read(cookie);
    await this.#deps.keeper.end(cookie);
    return session;
  }

  async #settle(cookie: string): Promise<Settled> {
    const { keeper, provider, epochMs, timeoutMs } = this.#deps;
    const session = await keeper.read(cookie);
    const nowMs = epochMs();
    if (session === null || session.endsAtMs <= nowMs) return { kind: 'over' };
    if (nowMs < refreshAtMs(session)) return this.#remember(cookie, session, refreshAtMs(session));
    const { refreshToken, tokensUntilMs } = session;
    const holds = nowMs < tokensUntilMs;
    if (refreshToken === undefined) return { kind: 'over' };
    const soon = (waitMs: number) => this.#remember(cookie, session, Math.min(nowMs + waitMs, tokensUntilMs));
    // Of these tokens: those that come with the renewal are claimed anew.
    if (!(await keeper.claim(`${cookie} ${session.issuedAtMs}`, timeoutMs * 2)))
      return holds ? soon(LOOK_MS) : this.#awaitOther(cookie, session);
    try {
      const tokens = await provider.refresh(refreshToken);
      return await this.#renew(cookie, session, tokens);
    } catch (error) {
      const refused = error instanceof LoginError && error.kind === 'refused';
      if (refused) {
        await keeper.end(cookie);
        return { kind: 'over' };
      }
      return holds ? soon(RETRY_MS) : { kind: 'unavailable' };
    }
  }

  async #renew(cookie: string, before: Session, tokens: Tokens): Promise<Settled> {
    const { keeper, epochMs } = this.#deps;
    // OpenID Connect Core 1.0 section 12.2: it is the same person.
    if (tokens.claims !== null && tokens.claims.sub !== before.claims.sub)
      throw new LoginError('refused', 'the renewed ID token is of somebody else');
    // A logout meanwhile, here or elsewhere, must not be undone.
    if (this.#ended.get(cookie, epochMs()) !== undefined || (await keeper.read(cookie)) === null)
      throw new LoginError('refused', 'the session was ended meanwhile');
    const renewed = { ...tokens, refreshToken: tokens.refreshToken ?? before.refreshToken };
    const idToken = tokens.idToken ?? before.idToken;
    const claims = tokens.claims ?? before.claims;
    const session = this.#sessionOf({ ...renewed, idToken }, claims, epochMs(), before.endsAtMs);
    const next = await keeper.renew(cookie, before.idToken === undefined ? without(session) : session);
    const settled = this.#remember(next, session, refreshAtMs(session));
    // Requests with the cookie from before are on their way, and its refresh token is spent.
    if (next !== cookie && settled.kind === 'in') {
      const changed = { ...settled, cookie: next };
      this.#known.set(cookie, { settled: changed, renewAtMs: refreshAtMs(session) }, epochMs() + 60_000);
      return changed;
    }
    return settled;
  }

  /** Its tokens are over, and another request or data plane renews them. */
  async #awaitOther(cookie: string, before: Session): Promise<Settled> {
    const { keeper, epochMs, timeoutMs } = this.#deps;
    for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += LOOK_MS) {
      await after(LOOK_MS);
      const session = await keeper.read(cookie);
      if (session === null) return { kind: 'over' };
      if (session.issuedAtMs !== before.issuedAtMs && epochMs() < session.tokensUntilMs)
        return this.#remember(cookie, session, refreshAtMs(session));
    }
    return { kind: 'unavailable' };
  }

  #remember(cookie: string, session: Session, renewAtMs: number): Settled {
    const { vouch, keeper, epochMs } = this.#deps;
    const vouched = vouch(session);
    if (vouched === null) return { kind: 'over' };
    const settled = { kind: 'in' as const, vouched, session };
    const untilMs = Math.min(session.endsAtMs, epochMs() + keeper.believeMs);
    this.#known.set(cookie, { settled, renewAtMs }, untilMs);
    return settled;
  }

  #sessionOf(tokens: Tokens, claims: Session['claims'], nowMs: number, endsAtMs: number): Session {
    const { refreshToken, accessToken, idToken, untilMs } = tokens;
    return {
      claims,
      ...(refreshToken !== undefined && { refreshToken }),
      ...(this.#deps.keepAccessToken && { accessToken }),
      ...(idToken !== undefined && { idToken }),
      issuedAtMs: nowMs,
      tokensUntilMs: untilMs,
      endsAtMs,
    };
  }
}

function without({ idToken: _, ...session }: Session): Session {
  return session;
}
