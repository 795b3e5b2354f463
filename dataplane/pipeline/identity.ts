/** Who calls, as authentication found out; what authorization, rate limits, the backend and the log go by. */
export interface Identity {
  /** Name of the consumer; never empty. */
  readonly consumer: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** Of a token; empty where there is none. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Name of the method that vouches for it. */
  readonly method: string;
}

export const NO_CLAIMS: Readonly<Record<string, unknown>> = Object.freeze({});
