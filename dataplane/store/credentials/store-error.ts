/** What can go wrong with a credential store. Messages name the store without its password, and quote no credential. */
export type StoreErrorCode =
  /** It can't be reached, or failed; the same may succeed later. */
  | 'STORE_UNAVAILABLE'
  /** No answer in time; as above. */
  | 'STORE_TIMEOUT'
  /** Its schema is newer than this program. */
  | 'STORE_TOO_NEW'
  /** There is no such consumer, key or password. */
  | 'STORE_NOT_FOUND'
  /** It is there already. */
  | 'STORE_EXISTS'
  /** What was to be written is not allowed. */
  | 'STORE_INVALID';

export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly retryable: boolean;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
    this.retryable = code === 'STORE_UNAVAILABLE' || code === 'STORE_TIMEOUT';
  }
}
