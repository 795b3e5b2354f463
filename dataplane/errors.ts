/**
 * The data plane's I/O failures. A mistake of the operator is a list of messages (config.ts), one of the configuration's author a
 * rejected resource (snapshot/decode.ts), and a mistake of ours throws plainly.
 */

export type ErrorCode =
  /** A certificate, key or CA file can't be read. */
  | 'DP_TLS_FILES'
  /** No stream to the controller could be opened, or it broke. */
  | 'DP_CONTROLLER_UNREACHABLE'
  /** The controller refused this data plane, e.g. for its schema version. */
  | 'DP_CONTROLLER_REFUSED'
  /** The controller sent what the protocol does not allow. */
  | 'DP_PROTOCOL'
  /** The last good snapshot can't be read or written. */
  | 'DP_LAST_GOOD'
  /** A port can't be listened on. */
  | 'DP_LISTEN'
  /** The access log can't be opened. */
  | 'DP_LOG'
  /** A worker thread ended. */
  | 'DP_WORKER'
  /** What was asked to be explained is no request. */
  | 'DP_EXPLAIN';

/** `retryable`: the same attempt may succeed later without anybody changing anything. */
export class DataplaneError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryable: boolean }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DataplaneError';
    this.code = code;
    this.retryable = options.retryable;
  }
}

/** One line for a log or a status: the message of an error and of what caused it. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause === undefined) return error.message;
  const cause = messageOf(error.cause);
  return error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
