/** Sessions on node:http2. What nghttp2 checks itself (field syntax, framing, content-length against data, flow control) is left to it. */
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import { hostOf } from '../codec/authority.ts';
import { normalisePath } from '../codec/path.ts';
import {
  BAD_HOST,
  BAD_PATH,
  BAD_TARGET,
  HEADERS_TOO_LARGE,
  MISDIRECTED,
  refusalOf,
  UNSUPPORTED_METHOD,
} from '../codec/refusals.ts';
import { Exchange, LENGTH_UNKNOWN, NO_BODY } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { clientAddress, plainAddress } from './client-address.ts';
import type { Http2Sessions, Http2SessionsOptions } from './h2.ts';
import { H2Downstream } from './h2-downstream.ts';
import {
  DEFAULT_LISTENER_LIMITS,
  DEFAULT_LISTENER_TIMEOUTS,
  type ListenerLimits,
  type ListenerStats,
  type ListenerTimeouts,
} from './options.ts';

/** Streams of one connection at a time; more are refused and may be tried again. */
const MAX_STREAMS = 250;
const FLAG_END_STREAM = 1;
/** The first GOAWAY names the highest id: nothing is refused by it, the client is only told to go elsewhere (RFC 9113 section 6.8). */
const EVERY_STREAM = 2 ** 31 - 1;

export class NodeHttp2Sessions implements Http2Sessions {
  private readonly options: Http2SessionsOptions;
  private readonly limits: ListenerLimits;
  private readonly timeouts: ListenerTimeouts;
  private readonly trustedHops: number;
  private readonly settings: http2.ServerOptions;
  private readonly sessions = new Map<http2.ServerHttp2Session, Socket>();
  private draining = false;
  private stopping = false;
  private inFlight = 0;
  private requests = 0;
  private refused = 0;
  private overflow = 0;
  private onEmpty: (() => void) | null = null;

  constructor(options: Http2SessionsOptions) {
    this.options = options;
    this.limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.timeouts = { ...DEFAULT_LISTENER_TIMEOUTS, ...options.timeouts };
    this.trustedHops = options.trustedHops ?? 0;
    const { head } = this.limits;
    this.settings = {
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: head.requestLineBytes + head.headerBytes },
      // Pseudo-fields count as well; one more than allowed still arrives, to be answered 431.
      maxHeaderListPairs: head.headerCount + 6,
      // Rapid reset (CVE-2023-44487): a client that opens and resets streams faster than this is cut off.
      streamResetBurst: 1000,
      streamResetRate: 100,
    } as http2.ServerOptions;
  }

  get stats(): ListenerStats {
    const { inFlight, requests, refused, overflow } = this;
    return { connections: this.sessions.size, inFlight, requests, refused, overflow };
  }

  accept(socket: Socket, tls: TlsPeer | null): void {
    if (this.sessions.size >= this.limits.maxConnections) {
      this.overflow++;
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const peer = plainAddress(socket.remoteAddress);
    // A socket that was accepted paused does not begin to read by itself.
    // One with bytes in hand does: they would be lost between two readers.
    if (socket.readableLength === 0) socket.resume();
    const session = http2.performServerHandshake(socket, this.settings);
    this.sessions.set(session, socket);
    session.once('close', () => {
      this.sessions.delete(session);
      if (this.sessions.size === 0) this.onEmpty?.();
    });
    session.on('error', () => {});
    session.on('stream', (stream, _headers, flags, raw) =>
      this.onStream(stream, flags, raw as unknown as string[], peer, tls),
    );
    if (this.timeouts.idleMs > 0) {
      session.setTimeout(this.timeouts.idleMs, () => {
        if (!session.destroyed) session.close();
      });
    }
    if (this.stopping) session.close();
  }

  beginDrain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const session of this.sessions.keys()) sayGoodbye(session);
  }

  async close(graceMs: number): Promise<void> {
    this.beginDrain();
    this.stopping = true;
    for (const session of this.sessions.keys()) session.close();
    if (this.sessions.size === 0) return;
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const [session, socket] of this.sessions) {
          session.destroy();
          // A session that was closed would wait for the client to close as well.
          socket.destroy();
        }
      }, graceMs);
      this.onEmpty = () => {
        clearTimeout(deadline);
        resolve();
      };
    });
  }

  private onStream(
    stream: http2.ServerHttp2Stream,
    flags: number,
    raw: string[],
    peer: string,
    tls: TlsPeer | null,
  ): void {
    this.requests++;
    const startedAtMs = this.options.wheel.now();
    const fields: string[] = [];
    let method = '';
    let target = '';
    let authority: string | undefined;
    let hostField: string | undefined;
    let cookie = -1;
    let length = LENGTH_UNKNOWN;
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i] as string;
      const value = raw[i + 1] as string;
      if (name === ':method') method = value;
      else if (name === ':path') target = value;
      else if (name === ':authority') authority = value;
      else if (name.startsWith(':')) continue;
      else if (name === 'cookie' && cookie >= 0) {
        // Crumbs become one field again (RFC 9113 section 8.2.3).
        fields[cookie] = `${fields[cookie]}; ${value}`;
      } else {
        if (name === 'cookie') cookie = fields.length + 1;
        else if (name === 'host') hostField = value;
        else if (name === 'content-length') length = Number(value);
        fields.push(name, value);
      }
    }
    if ((flags & FLAG_END_STREAM) !== 0) length = NO_BODY;
    const session = stream.session;
    const downstream = new H2Downstream(stream, method, length, peer, tls, this.timeouts, this.options.wheel, () => {
      this.inFlight--;
    });
    this.inFlight++;
    if (this.draining && session !== undefined) sayGoodbye(session);

    const mark = target.indexOf('?');
    const rawPath = mark < 0 ? target : target.slice(0, mark);
    const host = hostOf(authority ?? hostField ?? '');
    const sameHost = authority === undefined || hostField === undefined || hostField === authority;
    let path: string | null = rawPath;
    if (!(rawPath === '*' && method === 'OPTIONS')) path = normalisePath(rawPath, this.limits.head.mergeSlashes);
    let refusal = 0;
    if (method === 'CONNECT') refusal = UNSUPPORTED_METHOD;
    else if (fields.length / 2 > this.limits.head.headerCount) refusal = HEADERS_TOO_LARGE;
    else if (host === null || !sameHost) refusal = BAD_HOST;
    else if (path === null) refusal = BAD_PATH;
    else if (!TARGET.test(target)) refusal = BAD_TARGET;
    else if (tls !== null && this.options.misdirected?.(tls, host) === true) refusal = MISDIRECTED;
    if (refusal !== 0 || host === null || path === null) {
      this.refuse(downstream, refusal);
      return;
    }
    const headers = new Headers(fields);
    const { trustedHops } = this;
    let scheme: 'http' | 'https' = tls === null ? 'http' : 'https';
    if (trustedHops > 0) {
      const proto = headers.get('x-forwarded-proto');
      if (proto === 'https' || proto === 'http') scheme = proto;
    }
    const exchange = new Exchange(
      method,
      path,
      mark < 0 ? undefined : target.slice(mark + 1),
      host,
      authority ?? hostField ?? '',
      scheme,
      'HTTP/2',
      headers,
      clientAddress(peer, trustedHops > 0 ? headers.getCombined('x-forwarded-for') : undefined, trustedHops),
      downstream,
      startedAtMs,
    );
    downstream.exchange = exchange;
    try {
      this.options.handler(exchange);
    } catch (error) {
      this.options.onError?.(error);
      downstream.abort();
    }
  }

  private refuse(downstream: H2Downstream, code: number): void {
    this.refused++;
    const answer = this.options.refuse(refusalOf(code));
    const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : (answer.body ?? new Uint8Array());
    downstream.writeHead(answer.status, answer.headers, body.length);
    downstream.write(body, null);
    downstream.end(null);
  }
}

/** Visible ASCII without a fragment and, in the path, without a backslash: as in HTTP/1.1. */
const TARGET = /^[!"$->@-[\]-~]*(?:\?[!"$-~]*)?$/;

function sayGoodbye(session: http2.Http2Session): void {
  if (!session.destroyed && !session.closed) session.goaway(http2.constants.NGHTTP2_NO_ERROR, EVERY_STREAM);
}
