/** What is known of somebody who has logged in. */
import type { Claims } from '../tokens/claims.ts';

export interface Session {
  /** Of the ID token. */
  readonly claims: Claims;
  /** Absent: none was issued, so that the session ends with its tokens. */
  readonly refreshToken?: string;
  /** Only where the backend gets it. */
  readonly accessToken?: string;
  /** For the logout at the provider; left out where a cookie would get too long. */
  readonly idToken?: string;
  /** ms since the epoch: when the tokens were issued, when they end, and when the session ends whatever happens. */
  readonly issuedAtMs: number;
  readonly tokensUntilMs: number;
  readonly endsAtMs: number;
}

/** Tokens are renewed when a fifth of their life is left, a minute at most. */
const MARGIN = { part: 0.2, maxMs: 60_000 };

/** When to renew the tokens; where they can't be, when they end. */
export function refreshAtMs({ refreshToken, issuedAtMs, tokensUntilMs }: Session): number {
  if (refreshToken === undefined) return tokensUntilMs;
  return tokensUntilMs - Math.min(MARGIN.maxMs, (tokensUntilMs - issuedAtMs) * MARGIN.part);
}

/** Of what was unsealed: it is ours, so only its form from another version can differ. */
export function isSession(value: unknown): value is Session {
  if (typeof value !== 'object' || value === null) return false;
  const { claims, issuedAtMs, tokensUntilMs, endsAtMs } = value as Partial<Record<keyof Session, unknown>>;
  const times = [issuedAtMs, tokensUntilMs, endsAtMs];
  return typeof claims === 'object' && claims !== null && times.every((time) => typeof time === 'number');
}
