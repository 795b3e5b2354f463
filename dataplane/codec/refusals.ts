/**
 * Why a message is refused. A parser returns a negative number; its refusal is `refusalOf(number)`. All of them end the connection:
 * after a message whose framing is in doubt nothing on that connection can be trusted (RFC 9112 section 11.2).
 */
export interface Refusal {
  readonly status: number;
  /** Stable code for log and metric. */
  readonly code: string;
  /** One sentence for the client. */
  readonly detail: string;
}

const list: Refusal[] = [];

function refusal(status: number, code: string, detail: string): number {
  list.push({ status, code, detail });
  return -list.length;
}

export const BAD_REQUEST_LINE = refusal(400, 'bad-request-line', 'The request line is malformed.');
export const BAD_TARGET = refusal(400, 'bad-target', 'The request target is malformed.');
export const BAD_PATH = refusal(400, 'bad-path', 'The path is malformed or leads above the root.');
export const BAD_LINE_END = refusal(400, 'bad-line-end', 'Lines must end in CRLF.');
export const BAD_FIELD_NAME = refusal(400, 'bad-header', 'A header field has an invalid name, or a line is folded.');
export const BAD_FIELD_VALUE = refusal(400, 'bad-header', 'A header field has an invalid character in its value.');
export const BAD_HOST = refusal(400, 'bad-host', 'Exactly one valid Host field is required.');
export const BAD_CONTENT_LENGTH = refusal(400, 'bad-framing', 'Content-Length must be one decimal number.');
export const BAD_TRANSFER_ENCODING = refusal(
  400,
  'bad-framing',
  'Transfer-Encoding must be "chunked", once, in HTTP/1.1, without Content-Length.',
);
export const BAD_CHUNK = refusal(400, 'bad-chunk', 'The chunked body is malformed.');
export const UNSUPPORTED_VERSION = refusal(505, 'unsupported-version', 'HTTP/1.1 and HTTP/1.0 are spoken here.');
export const UNSUPPORTED_METHOD = refusal(405, 'connect-refused', 'CONNECT is not offered here.');
export const UNSUPPORTED_PROTOCOL = refusal(
  501,
  'protocol-refused',
  'Only "websocket" is offered by extended CONNECT.',
);
export const BAD_EXPECT = refusal(417, 'bad-expect', 'Only "100-continue" can be expected.');
export const URI_TOO_LONG = refusal(414, 'uri-too-long', 'The request line is too long.');
export const BODY_TOO_LARGE = refusal(413, 'body-too-large', 'The request body is too large.');
export const HEADERS_TOO_LARGE = refusal(431, 'headers-too-large', 'The header fields are too large or too many.');
export const MISDIRECTED = refusal(421, 'misdirected', 'This host is not served over this connection.');
/** Of a response: the backend's fault, 502 for the client. */
export const BAD_STATUS_LINE = refusal(502, 'bad-status-line', 'The response line is malformed.');

export function refusalOf(code: number): Refusal {
  return list[-code - 1] as Refusal;
}
