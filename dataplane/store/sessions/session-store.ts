/** Where sessions are kept: one interface, the same tests for every implementation (conformance.ts). */
export interface SessionStore {
  /** Null: there is none, or its time is over. */
  get(id: string): Promise<string | null>;
  /** `ttlMs` is 1 or more. */
  set(id: string, value: string, ttlMs: number): Promise<void>;
  delete(id: string): Promise<void>;
  /** True for the first who asks within `ttlMs`: so that one of many does what must be done once. */
  claim(id: string, ttlMs: number): Promise<boolean>;
}
