/** A request to another server that brought no answer. */
export type OutboundErrorCode =
  /** The answer was not complete within the request's time-out, or no connection within CONNECT_TIMEOUT_MS. */
  | 'timeout'
  /** No connection, a broken one, or bytes that are no HTTP. */
  | 'unreachable'
  /** The answer is longer than `maxBytes`, or its head than 16 KiB. */
  | 'too-large'
  /** The server failed a moment ago: it was not asked. */
  | 'circuit-open'
  /** MAX_IN_FLIGHT requests to this server wait already: it was not asked. */
  | 'overloaded';

/** Messages name method, origin and path; never a query, a user name or what the server sent. */
export class OutboundError extends Error {
  readonly code: OutboundErrorCode;
  /** The same request may succeed later without anybody changing anything. */
  readonly retryable: boolean;

  constructor(code: OutboundErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'OutboundError';
    this.code = code;
    this.retryable = code !== 'too-large';
  }
}

/** The server was not asked, so there is nothing new to say of it. */
export function isOldNews(error: unknown): boolean {
  return error instanceof OutboundError && error.code === 'circuit-open';
}
