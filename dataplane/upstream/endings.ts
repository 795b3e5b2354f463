/** What a client is told where there is no response to pass on, and which attempts without one may be repeated. */
import type { RetryReason } from './retry/options.ts';
import type { ForwardCode } from './seam.ts';
import type { AttemptFailure } from './watcher.ts';

export interface Ending {
  readonly status: number;
  readonly code: ForwardCode;
  readonly detail: string;
  /** As what it is retried. */
  readonly reason: RetryReason;
}

export const ENDINGS: { readonly [F in AttemptFailure]: Ending } = {
  connect: {
    status: 503,
    code: 'upstream-connect-failed',
    detail: 'The backend could not be reached.',
    reason: 'connect',
  },
  'connect-timeout': {
    status: 504,
    code: 'upstream-connect-timeout',
    detail: 'Connecting to the backend took too long.',
    reason: 'connect',
  },
  refused: {
    status: 503,
    code: 'upstream-overflow',
    detail: 'The backend takes no more requests now.',
    reason: 'connect',
  },
  timeout: {
    status: 504,
    code: 'upstream-timeout',
    detail: 'The backend did not answer in time.',
    reason: 'timeout',
  },
  reset: {
    status: 502,
    code: 'upstream-reset',
    detail: 'The backend closed the connection before its response.',
    reason: 'reset',
  },
  protocol: {
    status: 502,
    code: 'upstream-protocol',
    detail: 'The backend did not send an acceptable HTTP response.',
    reason: 'reset',
  },
};

/** Where no endpoint may be asked. */
export const REFUSALS: { readonly [C in ForwardCode]?: string } = {
  'no-endpoint': 'The backend has no endpoint.',
  'breaker-open': 'The backend has failed too often; it is tried again later.',
  'upstream-overflow': 'The backend has too many requests under way.',
};
