/**
 * Asks an authorization server about tokens, each at most once at a time, and remembers for a while what it says. While the server does not
 * answer, what is remembered holds and everything else is refused; a question of the gateway's own finds out when it is back.
 */
import { hash } from 'node:crypto';
import { messageOf } from '../../../errors.ts';
import type { Outbound } from '../../../outbound/outbound.ts';
import { isOldNews } from '../../../outbound/outbound-error.ts';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import type { Secret } from '../../secret.ts';
import type { Finding } from '../method.ts';
import { MAX_CREDENTIAL } from '../places.ts';
import { TokenCache } from './cache.ts';
import { type Claims, createClaimReader, type ReadClaims } from './claims.ts';
import { formRequest } from './oauth-client.ts';
import { REFUSED, UNAVAILABLE } from './refusals.ts';
import type { Voices } from './voices.ts';

export interface IntrospectorDeps {
  readonly http: Outbound;
  readonly secret: Secret;
  readonly epochMs: () => number;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly voices: Voices;
}

/** By the hashes of the tokens. */
const ACTIVE = { maxEntries: 20_000, maxChars: 1_000_000 };
const INACTIVE = { maxEntries: 5_000, maxChars: 250_000 };
const MAX_BYTES = 65_536;
const MAX_WAITING = 1_024;
/** Failures in a row after which the policy's status says so: one that was lost is none of an operator's business. */
const TELL_AFTER = 3;
const PROBE_MS = 2_000;
/** RFC 6750 section 2.1. */
const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

export class Introspector {
  readonly #config: MethodConfig<'introspection'>;
  readonly #deps: IntrospectorDeps;
  readonly #active = new TokenCache<Finding>(ACTIVE);
  readonly #inactive = new TokenCache<Finding>(INACTIVE);
  readonly #underWay = new Map<string, Promise<Finding>>();
  readonly #readClaims: ReadClaims;
  #failures = 0;
  #probe: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(config: MethodConfig<'introspection'>, deps: IntrospectorDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#readClaims = createClaimReader(config, config.name);
  }

  /** Never throws or rejects; waits for one time-out at most. */
  check(token: string): Finding | Promise<Finding> {
    if (token.length > MAX_CREDENTIAL || !B64TOKEN.test(token)) return REFUSED.malformed;
    const digest = hash('sha256', token, 'base64url');
    const nowMs = this.#deps.epochMs();
    const known = this.#active.get(digest, nowMs) ?? this.#inactive.get(digest, nowMs) ?? this.#underWay.get(digest);
    if (known !== undefined) return known;
    if (this.#underWay.size >= MAX_WAITING) return UNAVAILABLE.busy;
    const finding = this.#ask(token)
      .then(
        (claims) => this.#judge(digest, claims),
        (error: unknown) => this.#fail(error),
      )
      .finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, finding);
    return finding;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#probe);
  }

  /** The answer's claims; null: not active. */
  async #ask(token: string): Promise<Claims | null> {
    const { url, client, timeoutMs } = this.#config;
    const request = formRequest(url, { token, token_type_hint: 'access_token' }, client, this.#deps.secret);
    const answer = await this.#deps.http.request({ ...request, timeoutMs, maxBytes: MAX_BYTES, repeatable: true });
    if (answer.status !== 200) throw new Error(`the server answers ${answer.status}`);
    const claims = readAnswer(answer.body.toString());
    this.#failures = 0;
    this.#deps.voices.say(null);
    return claims;
  }

  #judge(digest: string, claims: Claims | null): Finding {
    const nowMs = this.#deps.epochMs();
    const untilMs = timeOf(claims?.exp) ?? Number.POSITIVE_INFINITY;
    const refused = claims === null ? REFUSED.inactive : this.#refusalOf(claims, nowMs, untilMs);
    const vouched = claims === null || refused !== null ? null : this.#readClaims(claims);
    if (vouched !== null) {
      this.#active.set(digest, vouched, Math.min(untilMs, nowMs + this.#config.cacheMs));
      return vouched;
    }
    const finding = refused ?? REFUSED.claim;
    this.#inactive.set(digest, finding, nowMs + this.#config.inactiveCacheMs);
    return finding;
  }

  /** What the server may leave to whoever asks (RFC 7662 section 2.2). */
  #refusalOf(claims: Claims, nowMs: number, untilMs: number): Finding | null {
    const { issuers, audiences } = this.#config;
    if (untilMs <= nowMs) return REFUSED.expired;
    if ((timeOf(claims.nbf) ?? 0) > nowMs) return REFUSED.early;
    if (issuers.length > 0 && !issuers.some((issuer) => issuer === claims.iss)) return REFUSED.issuer;
    const audience: unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    return audiences.length > 0 && !audiences.some((one) => audience.includes(one)) ? REFUSED.audience : null;
  }

  #fail(error: unknown): Finding {
    this.#failures++;
    if (this.#failures >= TELL_AFTER) {
      const { voices } = this.#deps;
      const { origin, pathname } = new URL(this.#config.url);
      if (voices.silent || !isOldNews(error))
        voices.say(`tokens can not be introspected at ${origin}${pathname}: ${messageOf(error)}`);
      this.#probeLater();
    }
    return UNAVAILABLE.introspection;
  }

  /** About a token that nobody has: any answer will do. */
  #probeLater(): void {
    if (this.#closed) return;
    clearTimeout(this.#probe);
    this.#probe = setTimeout(
      () => this.#ask('probe').catch((error: unknown) => this.#fail(error)),
      PROBE_MS * (0.5 + this.#deps.random()),
    );
    this.#probe.unref();
  }
}

/** Throws where the answer is none (RFC 7662 section 2.2). */
function readAnswer(text: string): Claims | null {
  let answer: unknown = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // Said below: the parser's own message would quote the answer.
  }
  if (typeof answer !== 'object' || answer === null || !('active' in answer) || typeof answer.active !== 'boolean')
    throw new Error('the answer does not say whether the token is active');
  return answer.active ? (answer as Claims) : null;
}

/** ms since the epoch; null: it is not there. */
function timeOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value * 1000 : null;
}
