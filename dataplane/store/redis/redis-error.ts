/** A command that brought no answer, or an error for one. */
export type RedisErrorCode =
  /** No answer within the time it was given. It may have been carried out all the same. */
  | 'timeout'
  /** No connection, or one that broke. */
  | 'unreachable'
  /** Redis failed a moment ago: it was not asked. */
  | 'circuit-open'
  /** MAX_IN_FLIGHT commands wait already: it was not asked. */
  | 'overloaded'
  /** Redis answered with an error (no rights, out of memory, read only). */
  | 'refused';

/** Messages name the server by host, port and database, never a user, a password or an argument of a command. */
export class RedisError extends Error {
  readonly code: RedisErrorCode;
  readonly retryable = true;

  constructor(code: RedisErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RedisError';
    this.code = code;
  }
}
