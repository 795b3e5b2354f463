/** All HTTP/2 sessions of a listener: counts and bounds them, makes exchanges of their requests, and drains them. */
import type { Socket } from 'node:net';
import * as h2 from '../codec/http2/frames.ts';
import { BODY_TOO_LARGE, type Refusal, refusalOf } from '../codec/refusals.ts';
import type { ConnectionBounds } from '../http2/connection.ts';
import { STREAM_WINDOW } from '../http2/stream.ts';
import type { TimerWheel } from '../io/wheel.ts';
import type { ReadMode } from '../io/wire.ts';
import { Exchange } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import { AddressCounts } from './address-counts.ts';
import { originOf, plainAddress } from './client-address.ts';
import type { Http2Sessions, Http2SessionsOptions } from './h2.ts';
import type { H2Request } from './h2-request.ts';
import { clientBounds, H2Session, MAX_STREAMS } from './h2-session.ts';
import type { H2Stream } from './h2-stream.ts';
import { addHandshake } from './h2-websocket.ts';
import {
  DEFAULT_LISTENER_LIMITS,
  DEFAULT_LISTENER_TIMEOUTS,
  type ListenerLimits,
  type ListenerStats,
  type ListenerTimeouts,
} from './options.ts';

/** What a client sends until the first GOAWAY has reached it is answered too: section 6.8 asks for a round trip before the last one. As long as Go waits. */
const LAST_WORD_MS = 1_000;
const BODY_TIMEOUT: Refusal = { status: 408, code: 'request-timeout', detail: 'The request did not arrive in time.' };

export class FramedHttp2Sessions implements Http2Sessions {
  readonly limits: ListenerLimits;
  readonly timeouts: ListenerTimeouts;
  readonly wheel: TimerWheel;
  readonly readMode: ReadMode;
  readonly epochMs: () => number;
  /** The payload of the first SETTINGS frame. */
  readonly settings: Uint8Array;
  readonly bounds: ConnectionBounds;
  draining = false;
  /** Streams that begin from here on are refused. */
  private lastWordSaid = false;
  private readonly options: Http2SessionsOptions;
  private readonly trustedHops: number;
  private readonly sessions = new Set<H2Session>();
  private readonly addresses: AddressCounts;
  private inFlight = 0;
  private requests = 0;
  private refused = 0;
  private overflow = 0;
  private onEmpty: (() => void) | null = null;

  constructor(options: Http2SessionsOptions) {
    this.options = options;
    this.limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.timeouts = { ...DEFAULT_LISTENER_TIMEOUTS, ...options.timeouts };
    this.addresses = new AddressCounts(this.limits.maxConnectionsPerAddress);
    this.wheel = options.wheel;
    this.readMode = options.readMode ?? 'onread';
    this.trustedHops = options.trustedHops ?? 0;
    this.epochMs = options.epochMs ?? Date.now;
    this.bounds = clientBounds(this.limits);
    this.settings = h2.settingsPayload([
      [h2.SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS],
      [h2.SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW],
      [h2.SETTINGS_MAX_HEADER_LIST_SIZE, this.bounds.listBytes],
      [h2.SETTINGS_ENABLE_CONNECT_PROTOCOL, 1],
    ]);
  }

  get stats(): ListenerStats {
    const { inFlight, requests, refused, overflow } = this;
    return { connections: this.sessions.size, inFlight, requests, refused, overflow };
  }

  accept(socket: Socket, tls: TlsPeer | null): void {
    const address =
      this.sessions.size >= this.limits.maxConnections
        ? null
        : this.addresses.enter(plainAddress(socket.remoteAddress));
    if (address === null) {
      this.overflow++;
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const session = new H2Session(this, socket, tls);
    this.sessions.add(session);
    if (address !== '') session.wire.socket.once('close', () => this.addresses.leave(address));
    if (this.draining) session.sayGoodbye();
    if (this.lastWordSaid) session.close();
  }

  beginDrain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const session of this.sessions) session.sayGoodbye();
  }

  async close(graceMs: number): Promise<void> {
    this.beginDrain();
    const lastWord = setTimeout(() => this.sayLastWord(), Math.min(LAST_WORD_MS, graceMs / 2));
    if (this.sessions.size > 0) {
      await new Promise<void>((resolve) => {
        const deadline = setTimeout(() => {
          for (const session of this.sessions) session.wire.destroy();
        }, graceMs);
        this.onEmpty = () => {
          clearTimeout(deadline);
          resolve();
        };
      });
    }
    clearTimeout(lastWord);
    this.lastWordSaid = true;
  }

  private sayLastWord(): void {
    this.lastWordSaid = true;
    for (const session of this.sessions) session.close();
  }

  // For sessions and streams.

  misdirected(tls: TlsPeer, host: string): boolean {
    return this.options.misdirected?.(tls, host) === true;
  }

  requestCame(): void {
    this.requests++;
  }

  sessionRefused(): void {
    this.refused++;
  }

  exchangeEnded(): void {
    this.inFlight--;
  }

  closed(session: H2Session): void {
    this.sessions.delete(session);
    if (this.sessions.size === 0) this.onEmpty?.();
  }

  handle(stream: H2Stream, request: H2Request): void {
    const { trustedHops } = this;
    const headers = new Headers(request.fields);
    if (request.websocket) addHandshake(headers, stream.websocketKey);
    let client = stream.peerAddress;
    let scheme: 'http' | 'https' = stream.tls === null ? 'http' : 'https';
    if (trustedHops > 0) {
      const forwarded = this.options.forwarded === true;
      ({ address: client, scheme } = originOf(headers, client, scheme, trustedHops, forwarded));
    }
    const exchange = new Exchange(
      request.method,
      request.path,
      request.query,
      request.host,
      request.authority,
      scheme,
      'HTTP/2',
      headers,
      client,
      stream,
      this.wheel.now(),
    );
    stream.exchange = exchange;
    this.inFlight++;
    try {
      this.options.handler(exchange);
    } catch (error) {
      this.options.onError?.(error);
      stream.abort();
    }
  }

  /** Answers a request that never became an exchange. */
  refuseStream(stream: H2Stream, code: number): void {
    this.answer(stream, refusalOf(code));
  }

  /** Answers in place of an exchange that has read nothing of its body. */
  refuseBody(stream: H2Stream, reason: 'body-timeout' | 'body-too-large'): void {
    this.answer(stream, reason === 'body-timeout' ? BODY_TIMEOUT : refusalOf(BODY_TOO_LARGE));
  }

  private answer(stream: H2Stream, refusal: Refusal): void {
    this.refused++;
    const answer = this.options.refuse(refusal);
    const body = typeof answer.body === 'string' ? Buffer.from(answer.body) : (answer.body ?? new Uint8Array());
    stream.writeHead(answer.status, answer.headers, body.length);
    stream.write(body, null);
    stream.end(null);
  }
}
