/** gRPC status codes (github.com/grpc/grpc doc/statuscodes.md), and what an answer of the gateway's own is among them. */

export const CANCELLED = 1;
export const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
export const PERMISSION_DENIED = 7;
export const RESOURCE_EXHAUSTED = 8;
export const UNIMPLEMENTED = 12;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;
export const UNAUTHENTICATED = 16;
/** The highest there is. */
export const MAX_STATUS = 16;
/** What an exchange has until a status is known. */
export const NO_STATUS = -1;

/**
 * Of an answer of ours by its HTTP status. As doc/http-grpc-status-mapping.md, but for what we know better than a client that sees no
 * more than the status: a limit (413, 429, 431) is RESOURCE_EXHAUSTED, so that a client's retries leave it alone, a time-out
 * DEADLINE_EXCEEDED, and 500 is ours.
 */
export function statusOfAnswer(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
    case 500:
      return INTERNAL;
    case 401:
      return UNAUTHENTICATED;
    case 403:
      return PERMISSION_DENIED;
    case 404:
    case 405:
    case 415:
    case 501:
      return UNIMPLEMENTED;
    case 408:
    case 504:
      return DEADLINE_EXCEEDED;
    case 413:
    case 414:
    case 429:
    case 431:
      return RESOURCE_EXHAUSTED;
    case 499:
      return CANCELLED;
    case 502:
    case 503:
      return UNAVAILABLE;
    default:
      return UNKNOWN;
  }
}

/** Of a response that breaks off after its head, by the code in the access log. */
export function statusOfBreak(code: string): number {
  if (code === 'request-timeout') return DEADLINE_EXCEEDED;
  return code === 'upstream-protocol' || code === 'bad-request' ? INTERNAL : UNAVAILABLE;
}

/** Of name, value, …: 0 to 16; what is no number of these is UNKNOWN, as clients read it. NO_STATUS: the field is not there. */
export function readStatus(fields: readonly string[]): number {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== 'grpc-status') continue;
    const value = fields[i + 1] as string;
    const status = /^\d{1,3}$/.test(value) ? Number(value) : UNKNOWN;
    return status <= MAX_STATUS ? status : UNKNOWN;
  }
  return NO_STATUS;
}

/** Percent-encoded as the protocol asks of grpc-message: UTF-8, everything but printable ASCII, and the percent sign. */
export function encodeMessage(message: string): string {
  return message.replace(/[^ -$&-~]+/gu, encodeBytes);
}

function encodeBytes(text: string): string {
  let out = '';
  for (const byte of Buffer.from(text)) out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return out;
}
