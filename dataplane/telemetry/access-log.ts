/**
 * The access log: one JSON line an exchange, written byte by byte into the buffer it leaves with, because it is on the hot path: joined
 * strings take three times as long and leave kilobytes a line to the collector. The query is left out unless asked for: it may hold
 * secrets.
 */
import type { CompiledRule } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';

export interface AccessLogOptions {
  readonly query: boolean;
  /** ms since the epoch; asked once a second. */
  readonly epochMs: () => number;
}

/** Room for bytes, one line after the other. */
export interface LineSink {
  /** A buffer with at least `bytes` free from `used` on. */
  reserve(bytes: number): Buffer;
  readonly used: number;
  /** A line ends here. */
  commit(end: number): void;
}

/** `endMs` is on the clock of `exchange.startedAtMs`. */
export type WriteLine = (exchange: Exchange, endMs: number, sink: LineSink) => void;

/** Times with three decimals. A line is ASCII and ends with a newline. */
export function createLineFormat({ query, epochMs }: AccessLogOptions): WriteLine {
  const opening = createOpening(epochMs);
  const origins = new WeakMap<CompiledRule, Buffer>();
  const targets = new Map<string, Target>();
  return (exchange, endMs, sink) => {
    const {
      requestId,
      method,
      authority,
      path,
      protocol,
      clientAddress,
      rule,
      upstreamMs,
      code,
      fallback,
      wouldRefuse,
      downstream: { tls },
    } = exchange;
    const consumer = exchange.identity === null ? '' : exchange.identity.consumer;
    const userAgent = exchange.headers.get('user-agent');
    const asked = query ? exchange.query : undefined;
    const origin = rule === null ? NOTHING : (origins.get(rule) ?? addOrigin(origins, rule));
    const target = exchange.backend === '' ? NOTHING : targetOf(targets, exchange);
    const characters =
      requestId.length +
      method.length +
      authority.length +
      path.length +
      clientAddress.length +
      consumer.length +
      code.length +
      fallback.length +
      wouldRefuse.length +
      (userAgent === undefined ? 0 : userAgent.length) +
      (asked === undefined ? 0 : asked.length) +
      (tls === null ? 0 : tlsCharacters(tls));
    const into = sink.reserve(MAX_FIXED + characters * MAX_ESCAPED + origin.length + target.length);
    let at = putBytes(into, sink.used, opening(endMs));
    at = putText(into, at, requestId);
    at = putBytes(into, at, METHOD);
    at = putText(into, at, method);
    at = putBytes(into, at, HOST);
    at = putText(into, at, authority);
    at = putBytes(into, at, PATH);
    at = putText(into, at, path);
    if (asked !== undefined) {
      at = putBytes(into, at, QUERY);
      at = putText(into, at, asked);
    }
    at = putBytes(into, at, STATUS[protocol]);
    at = putInteger(into, at, exchange.status);
    at = putBytes(into, at, BYTES_IN);
    at = putInteger(into, at, exchange.bytesIn);
    at = putBytes(into, at, BYTES_OUT);
    at = putInteger(into, at, exchange.bytesOut);
    at = putBytes(into, at, DURATION);
    at = putDecimals(into, at, endMs - exchange.startedAtMs);
    if (upstreamMs >= 0) {
      at = putBytes(into, at, UPSTREAM);
      at = putDecimals(into, at, upstreamMs);
    }
    if (exchange.attempts > 1) {
      at = putBytes(into, at, ATTEMPTS);
      at = putInteger(into, at, exchange.attempts);
    }
    if (exchange.grpcStatus >= 0) {
      at = putBytes(into, at, GRPC_STATUS);
      at = putInteger(into, at, exchange.grpcStatus);
    }
    at = putBytes(into, at, origin);
    at = putBytes(into, at, target);
    at = putBytes(into, at, CLIENT);
    at = putText(into, at, clientAddress);
    if (tls !== null) at = putTls(into, at, tls);
    if (consumer !== '') {
      at = putBytes(into, at, CONSUMER);
      at = putText(into, at, consumer);
    }
    if (code !== '') {
      at = putBytes(into, at, CODE);
      at = putText(into, at, code);
    }
    if (fallback !== '') {
      at = putBytes(into, at, FALLBACK);
      at = putText(into, at, fallback);
    }
    if (wouldRefuse !== '') {
      at = putBytes(into, at, WOULD_REFUSE);
      at = putText(into, at, wouldRefuse);
    }
    if (userAgent !== undefined) {
      at = putBytes(into, at, USER_AGENT);
      at = putText(into, at, userAgent);
    }
    sink.commit(putBytes(into, at, CLOSING));
  };
}

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
const NOTHING = ascii('');
const METHOD = ascii('","method":"');
const HOST = ascii('","host":"');
const PATH = ascii('","path":"');
const QUERY = ascii('","query":"');
const STATUS = {
  'HTTP/1.0': ascii('","protocol":"HTTP/1.0","status":'),
  'HTTP/1.1': ascii('","protocol":"HTTP/1.1","status":'),
  'HTTP/2': ascii('","protocol":"HTTP/2","status":'),
} satisfies Record<Exchange['protocol'], Buffer>;
const BYTES_IN = ascii(',"bytesIn":');
const BYTES_OUT = ascii(',"bytesOut":');
const DURATION = ascii(',"durationMs":');
const UPSTREAM = ascii(',"upstreamMs":');
const ATTEMPTS = ascii(',"attempts":');
const GRPC_STATUS = ascii(',"grpcStatus":');
const CLIENT = ascii(',"client":"');
const TLS_VERSION = ascii('","tlsVersion":"');
const SERVER_NAME = ascii('","serverName":"');
const CLIENT_SUBJECT = ascii('","clientSubject":"');
const CLIENT_SPIFFE_ID = ascii('","clientSpiffeId":"');
const CLIENT_FINGERPRINT = ascii('","clientFingerprint":"');
const CONSUMER = ascii('","consumer":"');
const CODE = ascii('","code":"');
const FALLBACK = ascii('","fallback":"');
const WOULD_REFUSE = ascii('","wouldRefuse":"');
const USER_AGENT = ascii('","userAgent":"');
const CLOSING = ascii('"}\n');

/** More than all of the above with time and numbers (of at most 25 characters). */
const MAX_FIXED = 640;
/** Characters of one character escaped. */
const MAX_ESCAPED = 6;

function addOrigin(origins: WeakMap<CompiledRule, Buffer>, rule: CompiledRule): Buffer {
  const { namespace, route, rule: name } = rule.resource;
  const text = ascii(`,"route":"${escaped(`${namespace}/${route}`)}","rule":"${escaped(name)}"`);
  origins.set(rule, text);
  return text;
}

/** Of a client's distinguished name or URI, which it chose, no more than so many characters. */
const MAX_NAME = 512;

function tlsCharacters({ serverName, version, certificate }: TlsPeer): number {
  const own = serverName.length + version.length;
  return certificate === null ? own : own + 2 * MAX_NAME + certificate.fingerprint.length;
}

/** A certificate is in the line wherever one was verified, whether or not a policy asks who it is. */
function putTls(into: Buffer, from: number, { serverName, version, certificate }: TlsPeer): number {
  let at = putText(into, putBytes(into, from, TLS_VERSION), version);
  if (serverName !== '') at = putText(into, putBytes(into, at, SERVER_NAME), serverName);
  if (certificate === null) return at;
  const { subject, spiffeId, fingerprint } = certificate;
  if (subject !== '') at = putText(into, putBytes(into, at, CLIENT_SUBJECT), subject.slice(0, MAX_NAME));
  if (spiffeId !== '') at = putText(into, putBytes(into, at, CLIENT_SPIFFE_ID), spiffeId.slice(0, MAX_NAME));
  return putText(into, putBytes(into, at, CLIENT_FINGERPRINT), fingerprint);
}

interface Target {
  readonly backend: string;
  readonly text: Buffer;
}
/** Endpoints whose text is remembered; when there are more it starts anew. */
const MAX_TARGETS = 4096;

function targetOf(targets: Map<string, Target>, { backend, endpoint }: Exchange): Buffer {
  const known = targets.get(endpoint);
  if (known !== undefined && known.backend === backend) return known.text;
  if (targets.size >= MAX_TARGETS) targets.clear();
  const text = ascii(`,"backend":"${escaped(backend)}","endpoint":"${escaped(endpoint)}"`);
  targets.set(endpoint, { backend, text });
  return text;
}

function putBytes(into: Buffer, at: number, bytes: Buffer): number {
  into.set(bytes, at);
  return at + bytes.length;
}

/** 1: printable ASCII without quote and backslash. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, code) => Number(/[ !#-[\]-~]/.test(String.fromCharCode(code))));

/** Between quotes. */
function putText(into: Buffer, at: number, text: string): number {
  const length = text.length;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || PLAIN[code] === 0) {
      const instead = escaped(text);
      return at + into.write(instead, at, 'latin1');
    }
    into[at + i] = code;
  }
  return at + length;
}

/** JSON in ASCII: a reader needs to know no encoding, and no separator of lines is left in it. */
function escaped(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const ZERO = 48;

/** Anything but a natural number below 2^31 as JavaScript writes it. */
function putInteger(into: Buffer, at: number, value: number): number {
  const whole = value | 0;
  if (whole !== value || whole < 0) return putText(into, at, String(value));
  let end = at + 1;
  for (let rest = whole; rest > 9; rest = (rest / 10) | 0) end++;
  for (let i = end - 1, rest = whole; i >= at; i--) {
    const tens = (rest / 10) | 0;
    into[i] = ZERO + rest - tens * 10;
    rest = tens;
  }
  return end;
}

/** A duration with three decimals. */
function putDecimals(into: Buffer, at: number, ms: number): number {
  const us = Math.round(ms * 1000);
  if (!(us >= 0 && us < 2 ** 31)) return putText(into, at, ms.toFixed(3));
  const whole = (us / 1000) | 0;
  const end = putInteger(into, at, whole);
  into[end] = POINT;
  putThousandths(into, end + 1, us - whole * 1000);
  return end + 4;
}
const POINT = 46;

/** `value`: below 1000. */
function putThousandths(into: Buffer, at: number, value: number): void {
  const hundreds = (value / 100) | 0;
  const tens = (value / 10) | 0;
  into[at] = ZERO + hundreds;
  into[at + 1] = ZERO + tens - hundreds * 10;
  into[at + 2] = ZERO + value - tens * 10;
}

/** Up to the request's id, with the time: monotonic ms to ISO 8601 in UTC with ms. The wall clock is asked once a second. */
function createOpening(epochMs: () => number): (monotonicMs: number) => Buffer {
  const opening = ascii('{"time":"YYYY-MM-DDTHH:MM:SS.mmmZ","requestId":"');
  const timeAt = opening.indexOf('YYYY');
  const msAt = opening.indexOf('mmm');
  let startMs = Number.NaN;
  let writtenMs = -1;
  return (monotonicMs) => {
    let elapsed = monotonicMs - startMs;
    if (!(elapsed >= 0 && elapsed < 1000)) {
      const epoch = epochMs();
      const second = Math.floor(epoch / 1000) * 1000;
      opening.write(new Date(second).toISOString().slice(0, 19), timeAt, 'latin1');
      elapsed = epoch - second;
      startMs = monotonicMs - elapsed;
    }
    const ms = elapsed | 0;
    if (ms !== writtenMs) {
      putThousandths(opening, msAt, ms);
      writtenMs = ms;
    }
    return opening;
  };
}
