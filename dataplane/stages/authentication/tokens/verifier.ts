/**
 * Says who a token speaks for. What it found is remembered until the token expires, so that a token's further requests cost one look-up and
 * wait for nothing. New tokens are verified off the event loop, a few at a time: a storm of them leaves other requests served.
 */
import { errors, type JWTVerifyOptions, jwtVerify } from 'jose';
import type { TokenAlgorithm } from '../../../snapshot/sections/authentication/jwt.ts';
import type { MethodConfig } from '../../../snapshot/sections/authentication.ts';
import type { Finding, Vouched } from '../method.ts';
import { MAX_CREDENTIAL } from '../places.ts';
import { TokenCache } from './cache.ts';
import { createClaimReader, type ReadClaims } from './claims.ts';
import { Gate } from './gate.ts';
import { readHeader, type TokenHeader } from './header.ts';
import type { KeySet, VerificationKey } from './key-set.ts';
import type { KeySource } from './key-source.ts';
import { REFUSED, UNAVAILABLE } from './refusals.ts';

export interface VerifierDeps {
  readonly keys: KeySource;
  /** ms since the epoch. */
  readonly epochMs: () => number;
  /** Ends the key source. */
  readonly onClose: () => void;
}

interface Good {
  readonly vouched: Vouched;
  readonly key: VerificationKey;
}

const GOOD = { maxEntries: 10_000, maxChars: 16_777_216 };
const BAD = { maxEntries: 1_000, maxChars: 1_048_576 };
/** A wrong token is refused from memory for this long: its sender will repeat it. */
const BAD_MS = 30_000;
/** For tokens without `exp`. */
const MAX_REMEMBERED_MS = 3_600_000;
/** Verifications under way at a time, and new tokens that may wait for theirs. */
const WIDTH = 8;
const MAX_WAITING = 2_048;

export class TokenVerifier {
  readonly #config: MethodConfig<'jwt'>;
  readonly #deps: VerifierDeps;
  readonly #good = new TokenCache<Good>(GOOD);
  readonly #bad = new TokenCache<Finding>(BAD);
  readonly #underWay = new Map<string, Promise<Finding>>();
  readonly #gate = new Gate(WIDTH, MAX_WAITING);
  readonly #readClaims: ReadClaims;
  readonly #options: JWTVerifyOptions;
  readonly #stopListening: () => void;

  constructor(config: MethodConfig<'jwt'>, deps: VerifierDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#readClaims = createClaimReader(config, config.name);
    this.#options = {
      algorithms: config.algorithms,
      clockTolerance: config.clockSkewMs / 1000,
      ...(config.issuers.length > 0 && { issuer: config.issuers }),
      ...(config.audiences.length > 0 && { audience: config.audiences }),
      ...(config.typ !== '' && { typ: config.typ }),
      ...(config.requireExpiry && { requiredClaims: ['exp'] }),
    };
    this.#stopListening = deps.keys.onChange((keys) => {
      this.#good.keep(({ key }) => keys.has(key));
      this.#bad.clear();
    });
  }

  /** Never throws or rejects. */
  check(token: string): Finding | Promise<Finding> {
    const nowMs = this.#deps.epochMs();
    const good = this.#good.get(token, nowMs);
    return good === undefined ? this.#checkNew(token, nowMs) : good.vouched;
  }

  close(): void {
    this.#stopListening();
    this.#deps.onClose();
  }

  #checkNew(token: string, nowMs: number): Finding | Promise<Finding> {
    if (token.length > MAX_CREDENTIAL) return REFUSED.malformed;
    const bad = this.#bad.get(token, nowMs);
    if (bad !== undefined) return bad;
    const header = readHeader(token);
    if (header === null) return REFUSED.malformed;
    const algorithm = this.#config.algorithms.find((allowed) => allowed === header.alg);
    if (algorithm === undefined) return REFUSED.algorithm;
    const underWay = this.#underWay.get(token);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= MAX_WAITING) return UNAVAILABLE.busy;
    const finding = this.#verify(token, header, algorithm)
      .catch(() => UNAVAILABLE.broken)
      .finally(() => this.#underWay.delete(token));
    this.#underWay.set(token, finding);
    return finding;
  }

  async #verify(token: string, header: TokenHeader, algorithm: TokenAlgorithm): Promise<Finding> {
    const { keys } = this.#deps;
    let set = keys.current() ?? (await keys.first());
    for (let round = 0; ; round++) {
      if (set === null) return UNAVAILABLE.keys;
      const finding = await this.#tryKeys(token, algorithm, set.candidates(header.kid, algorithm));
      const latest = keys.current();
      // Keys that changed meanwhile: what was found with those before does not count.
      if (latest !== set && round < 2) {
        set = latest;
        continue;
      }
      const mayBeNewer = finding === REFUSED.key || (finding === REFUSED.signature && header.kid === undefined);
      if (!mayBeNewer || round > 0) return finding;
      const fetched: KeySet | null = await keys.again();
      if (fetched === set) return finding;
      set = fetched;
    }
  }

  async #tryKeys(token: string, algorithm: TokenAlgorithm, candidates: VerificationKey[]): Promise<Finding> {
    let finding: Finding = REFUSED.key;
    for (const key of candidates) {
      finding = await (this.#gate.run(() => this.#tryKey(token, algorithm, key)) ?? UNAVAILABLE.busy);
      if (finding !== REFUSED.signature) break;
    }
    return finding;
  }

  async #tryKey(token: string, algorithm: TokenAlgorithm, key: VerificationKey): Promise<Finding> {
    const imported = await key.imported(algorithm).catch(() => null);
    if (imported === null) return REFUSED.key;
    const nowMs = this.#deps.epochMs();
    try {
      const { payload } = await jwtVerify(token, imported, { ...this.#options, currentDate: new Date(nowMs) });
      const vouched = this.#readClaims(payload);
      if (vouched === null) return this.#remember(token, REFUSED.claim, nowMs);
      const untilMs = payload.exp === undefined ? Number.POSITIVE_INFINITY : payload.exp * 1000;
      this.#good.set(token, { vouched, key }, Math.min(untilMs + this.#config.clockSkewMs, nowMs + MAX_REMEMBERED_MS));
      return vouched;
    } catch (error) {
      const refused = refusalOf(error);
      // It becomes valid; an unknown key may come.
      return refused === REFUSED.early ? refused : this.#remember(token, refused, nowMs);
    }
  }

  #remember(token: string, refused: Finding, nowMs: number): Finding {
    this.#bad.set(token, refused, nowMs + BAD_MS);
    return refused;
  }
}

/** Rethrows what is no fault of the token. */
function refusalOf(error: unknown): Finding {
  if (error instanceof errors.JWTExpired) return REFUSED.expired;
  if (error instanceof errors.JWSSignatureVerificationFailed) return REFUSED.signature;
  if (error instanceof errors.JWTClaimValidationFailed) {
    switch (error.claim) {
      case 'iss':
        return REFUSED.issuer;
      case 'aud':
        return REFUSED.audience;
      case 'nbf':
        return REFUSED.early;
      case 'typ':
        return REFUSED.type;
      default:
        return REFUSED.claim;
    }
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return REFUSED.algorithm;
  if (error instanceof errors.JOSEError) return REFUSED.malformed;
  throw error;
}
