/** One way of saying who calls. A method knows nothing of the others; stage.ts composes them. */
import type { Answer, Exchange } from '../../pipeline/exchange.ts';
import type { Identity } from '../../pipeline/identity.ts';

/** Vouches for the caller. Made once a credential and remembered where that is possible: nothing is made anew a request. */
export interface Vouched {
  readonly kind: 'vouched';
  readonly identity: Identity;
  /** Fields for the backend: name, value, … They replace what the client sent under these names. */
  readonly fields: readonly string[];
  /** All that a stage writes for it, made by that stage at its first request. */
  written?: Written;
}

export interface Written {
  readonly by: object;
  readonly fields: readonly string[];
}

export type Finding =
  | Vouched
  /** The request holds no credential of this kind. `answer`: what to say then instead of 401, such as a redirect to a login page. */
  | { readonly kind: 'absent'; readonly answer?: Answer }
  /** 401, or 403 for a credential that is good but not for this. `detail` is for the client: it quotes nothing of the credential. */
  | {
      readonly kind: 'refused';
      readonly status: 401 | 403;
      readonly code: string;
      readonly detail: string;
      /** More parameters of the challenge: `error="invalid_token"` (RFC 6750 section 3). */
      readonly challenge?: string;
      /** What to answer instead, where another server has said it. */
      readonly answer?: Answer;
    }
  /** What is needed to tell is out of reach: 503. */
  | { readonly kind: 'unavailable'; readonly code: string; readonly detail: string }
  /** The method answers itself (the callback of a login). Nothing else is asked. */
  | { readonly kind: 'answer'; readonly answer: Answer };

export interface Method {
  readonly name: string;
  /** Synchronous where nothing waits. Bounds its wait, and never rejects for what a client or a server did. */
  readonly find: (exchange: Exchange) => Finding | Promise<Finding>;
  /** `WWW-Authenticate` without the parameters of a refusal: scheme and realm (RFC 9110 section 11.6.1). Empty: it has no scheme. */
  readonly challenge: string;
  /** Takes the credential out of what the backend gets. Null: it stays. */
  readonly strip: ((exchange: Exchange) => void) | null;
  /** Fields it may write to the backend's request: dropped from every client's request, so that nobody can pretend. */
  readonly writes: readonly string[];
  readonly onResponse?: (exchange: Exchange) => void | Promise<void>;
  readonly close?: () => void;
}

/** In `exchange.locals` of a request that is only explained: what can be used once stays unused. */
export const EXPLAINED = 'explained';

export const ABSENT: Finding = { kind: 'absent' };
