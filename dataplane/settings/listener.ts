/** Where the gateway listens, and what clients may take of it. */
import {
  FLAG,
  flag,
  integer,
  MILLISECONDS,
  milliseconds,
  PORT,
  port,
  type Setting,
  setting,
  text,
  word,
} from '../setting.ts';

export const listenerSettings = {
  TIDEGATE_HOST: setting(text(1), '0.0.0.0', 'an address', 'address the gateway listens on'),
  TIDEGATE_HTTP_PORT: setting(port, '8080', PORT, 'port for HTTP/1.1; 0: any free port'),
  TIDEGATE_HTTPS_PORT: setting(port, '0', PORT, 'port for TLS: HTTP/1.1, HTTP/2 and what is passed through; 0: none'),
  TIDEGATE_H2C_PORT: setting(port, '0', PORT, 'port for HTTP/2 without TLS; 0: none'),
  TIDEGATE_FORWARDED: setting(
    flag,
    'false',
    FLAG,
    'write Forwarded (RFC 7239) beside X-Forwarded-*, and believe that of trusted hops, which have to write or remove it; false: it is dropped',
  ),
  TIDEGATE_VIA: setting(
    word(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{0,64}$/),
    '',
    'at most 64 letters, digits and -._~',
    'name for the Via field of requests and responses that pass; empty: none is written',
  ),
  TIDEGATE_MAX_REQUESTS: setting(
    integer(1, 1_000_000),
    '50000',
    '1 to 1000000',
    'requests in flight a worker holds, upgraded connections included; more are answered 503 at once',
  ),
  TIDEGATE_MAX_CONNECTIONS: setting(
    integer(1, 1_000_000),
    '50000',
    '1 to 1000000',
    'connections of clients a worker holds on each port; more are answered 503 and closed',
  ),
  TIDEGATE_TRUSTED_HOPS: setting(
    integer(0, 100),
    '0',
    '0 to 100',
    'proxies in front whose x-forwarded-for entry is believed',
  ),
  TIDEGATE_MAX_CONNECTIONS_PER_ADDRESS: setting(
    integer(0, 1_000_000),
    '0',
    '0 to 1000000',
    'connections a worker holds on each port from one client address; more are answered 503 and closed; 0: any number. Each worker counts its own',
  ),
  TIDEGATE_MAX_REQUESTS_PER_CONNECTION: setting(
    integer(0, 1_000_000_000),
    '0',
    '0 to 1000000000',
    'requests served over one HTTP/1.1 connection of a client, which then closes; 0: any number',
  ),
  TIDEGATE_REQUEST_LINE_BYTES: setting(
    integer(256, 65_536),
    '8192',
    '256 to 65536',
    'bytes of an HTTP/1.1 request line; more: 414',
  ),
  TIDEGATE_HEADER_BYTES: setting(
    integer(1024, 1_048_576),
    '32768',
    '1024 to 1048576',
    'bytes of the header fields of a request; more: 431',
  ),
  TIDEGATE_HEADER_COUNT: setting(integer(8, 1000), '100', '8 to 1000', 'header fields of a request; more: 431'),
  TIDEGATE_BODY_BYTES: setting(
    integer(0, 1_000_000_000_000),
    '0',
    '0 to 1000000000000',
    'bytes of a request body, whatever a policy allows; more: 413; 0: any number',
  ),
  TIDEGATE_HEADER_TIMEOUT_MS: setting(
    milliseconds,
    '10000',
    MILLISECONDS,
    'how long the head of a request may take, from its first byte (or the accept) to its end; then 408; 0: any time',
  ),
  TIDEGATE_IDLE_TIMEOUT_MS: setting(
    milliseconds,
    '75000',
    MILLISECONDS,
    'how long a connection of a client is kept between requests; 0: any time',
  ),
  TIDEGATE_BODY_TIMEOUT_MS: setting(
    milliseconds,
    '30000',
    MILLISECONDS,
    'how long a request body that is waited for may stop; then 408; 0: any time',
  ),
  TIDEGATE_BODY_BYTES_PER_SECOND: setting(
    integer(0, 1_000_000),
    '0',
    '0 to 1000000',
    'bytes a second that a request body has to bring over 10 s; then 408; 0: any, as long as it does not stop',
  ),
};

type Values = {
  readonly [K in keyof typeof listenerSettings]: (typeof listenerSettings)[K] extends Setting<infer T> ? T : never;
};

/** What the operator says of every listener; see ListenerLimits and ListenerTimeouts (listener/options.ts). */
export interface ListenerConfig {
  /** Of each port of a worker. */
  readonly maxConnections: number;
  /** Of each port of a worker; 0: any number. */
  readonly maxConnectionsPerAddress: number;
  /** 0: any number. */
  readonly maxRequestsPerConnection: number;
  readonly requestLineBytes: number;
  readonly headerBytes: number;
  readonly headerCount: number;
  /** 0: any number. */
  readonly bodyBytes: number;
  /** In ms, like the next two; 0: off. */
  readonly headerMs: number;
  readonly idleMs: number;
  readonly bodyMs: number;
  /** 0: any. */
  readonly bodyBytesPerSecond: number;
  readonly forwarded: boolean;
}

export function listenerConfigOf(values: Values): ListenerConfig {
  return {
    maxConnections: values.TIDEGATE_MAX_CONNECTIONS,
    maxConnectionsPerAddress: values.TIDEGATE_MAX_CONNECTIONS_PER_ADDRESS,
    maxRequestsPerConnection: values.TIDEGATE_MAX_REQUESTS_PER_CONNECTION,
    requestLineBytes: values.TIDEGATE_REQUEST_LINE_BYTES,
    headerBytes: values.TIDEGATE_HEADER_BYTES,
    headerCount: values.TIDEGATE_HEADER_COUNT,
    bodyBytes: values.TIDEGATE_BODY_BYTES,
    headerMs: values.TIDEGATE_HEADER_TIMEOUT_MS,
    idleMs: values.TIDEGATE_IDLE_TIMEOUT_MS,
    bodyMs: values.TIDEGATE_BODY_TIMEOUT_MS,
    bodyBytesPerSecond: values.TIDEGATE_BODY_BYTES_PER_SECOND,
    forwarded: values.TIDEGATE_FORWARDED,
  };
}
