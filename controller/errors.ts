/** Failures of the controller's surroundings. A user's mistake is a Problem (api/problem.ts), a programming error just throws. */

export type ErrorCode =
  /** The configuration of the process itself; `problems` in the message, one a line. */
  | 'CTL_CONFIG'
  /** A listening address could not be had. */
  | 'CTL_LISTEN'
  /** Certificate files that can't be read or don't fit together. */
  | 'CTL_CERTIFICATES'
  /** The Kubernetes API server could not be reached, or broke off. */
  | 'CTL_API_UNREACHABLE'
  /** It answered with an error status. */
  | 'CTL_API_STATUS'
  /** It answered with something that is no Kubernetes object. */
  | 'CTL_API_CONTENT';

export class ControllerError extends Error {
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without anyone changing anything. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ControllerError';
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** What to log of anything thrown: the message, with that of its cause. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  return cause === undefined || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
