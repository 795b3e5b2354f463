/** One HTTP/2 stream as the transport of an exchange. */
import http2 from 'node:http2';
import { allowedTrailers } from '../codec/chunked.ts';
import { GRPC } from '../grpc/call.ts';
import { Timer, type TimerOwner, type TimerWheel } from '../io/wheel.ts';
import { type BodySink, type Downstream, type Exchange, LENGTH_UNKNOWN, type Release } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import type { ListenerTimeouts } from './options.ts';

const { NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_CANCEL } = http2.constants;
/** Fields of an HTTP/1.1 connection, which must not appear in HTTP/2 (RFC 9113 section 8.2.2), and content-length, which we decide. */
const NOT_PASSED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'content-length',
]);

export class H2Downstream implements Downstream, TimerOwner {
  readonly requestLength: number;
  readonly peerAddress: string;
  readonly tls: TlsPeer | null;
  readonly tunnel = null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;
  /** Null for a request that was refused. */
  exchange: Exchange | null = null;
  private readonly stream: http2.ServerHttp2Stream;
  private readonly timeouts: ListenerTimeouts;
  private readonly wheel: TimerWheel;
  private readonly onOver: () => void;
  private readonly method: string;
  private readonly timer: Timer = new Timer(this);
  private sink: BodySink | null = null;
  private trailers: Headers | null = null;
  private bodyDone: boolean;
  private headWritten = false;
  private over = false;
  private bodiless = false;
  /** -1: unknown. */
  private remaining = -1;
  private blocked = false;

  constructor(
    stream: http2.ServerHttp2Stream,
    method: string,
    requestLength: number,
    peerAddress: string,
    tls: TlsPeer | null,
    timeouts: ListenerTimeouts,
    wheel: TimerWheel,
    onOver: () => void,
  ) {
    this.stream = stream;
    this.method = method;
    this.requestLength = requestLength;
    this.peerAddress = peerAddress;
    this.tls = tls;
    this.timeouts = timeouts;
    this.wheel = wheel;
    this.onOver = onOver;
    this.bodyDone = requestLength < LENGTH_UNKNOWN;
    stream.on('error', () => {});
    stream.once('close', () => this.closed());
    stream.on('trailers', (_fields, _flags, raw) => {
      const allowed = allowedTrailers(raw as unknown as string[]);
      this.trailers = allowed === null ? null : new Headers(allowed);
    });
    stream.on('drain', () => {
      this.blocked = false;
      this.watch();
      this.onDrain?.();
    });
  }

  readBody(sink: BodySink): void {
    if (this.bodyDone) {
      sink.onEnd(null);
      return;
    }
    this.sink = sink;
    const { stream } = this;
    stream.on('data', (chunk: Buffer) => {
      this.watch();
      if (this.exchange !== null) this.exchange.bytesIn += chunk.length;
      if (this.sink?.onData(chunk, NOTHING) === false) this.pauseBody();
    });
    stream.once('end', () => {
      this.bodyDone = true;
      this.watch();
      const to = this.sink;
      this.sink = null;
      to?.onEnd(this.trailers);
    });
    this.watch();
  }

  pauseBody(): void {
    if (this.bodyDone) return;
    this.stream.pause();
    this.watch();
  }

  resumeBody(): void {
    if (this.bodyDone) return;
    this.stream.resume();
    this.watch();
  }

  writeInformational(status: number, headers: Headers): void {
    if (this.over || this.headWritten || this.stream.destroyed) return;
    // 100 (Continue) is node's own: it is sent when the request says it expects it.
    if (status !== 100) this.stream.additionalHeaders({ ':status': status, ...fieldObject(headers) });
  }

  writeHead(status: number, headers: Headers, length: number): void {
    if (this.over || this.headWritten || this.stream.destroyed) return;
    this.headWritten = true;
    this.bodiless = this.method === 'HEAD' || status === 204 || status === 304;
    const fields = fieldObject(headers);
    fields[':status'] = String(status);
    if (length >= 0 && status !== 204) fields['content-length'] = String(length);
    if (!this.bodiless) this.remaining = length < LENGTH_UNKNOWN ? 0 : length;
    try {
      this.stream.respond(fields, {
        endStream: this.bodiless || this.remaining === 0,
        waitForTrailers: !this.bodiless && this.remaining < 0,
      });
    } catch {
      // A response that HTTP/2 can't carry (a field twice that may stand once).
      this.abort();
      return;
    }
    if (!this.bodiless && this.remaining < 0) this.stream.once('wantTrailers', () => this.sendTrailers());
  }

  write(chunk: Uint8Array, release: Release): boolean {
    const { stream } = this;
    if (this.over || !this.headWritten || this.bodiless || stream.destroyed || chunk.length === 0) {
      if (release !== null) release();
      return true;
    }
    if (this.remaining >= 0) {
      this.remaining -= chunk.length;
      if (this.remaining < 0) {
        if (release !== null) release();
        this.abort();
        return true;
      }
    }
    if (this.exchange !== null) this.exchange.bytesOut += chunk.length;
    const free = release === null ? stream.write(Buffer.from(chunk)) : stream.write(chunk, release);
    if (!free) this.blocked = true;
    // In a call either side's bytes keep the other from being late.
    if (!free || this.exchange?.grpc === GRPC) this.watch();
    return free;
  }

  end(trailers: Headers | null): void {
    if (this.over) return;
    if (!this.headWritten || this.remaining > 0) {
      this.abort();
      return;
    }
    this.trailersOut = trailers;
    this.finish();
    const { stream } = this;
    if (!stream.destroyed) {
      stream.end();
      // A request body that is still coming is of no use any more (RFC 9113 section 8.1).
      if (!this.bodyDone) {
        stream.resume();
        // With trailers, those are its end.
        if (this.bodiless || this.remaining >= 0) stream.once('finish', () => this.closeLater());
      }
    }
  }

  abort(): void {
    if (this.over) return;
    this.finish();
    this.stream.close(this.headWritten ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
  }

  onTimeout(): void {
    const { sink } = this;
    if (this.blocked || sink === null) {
      this.stream.close(NGHTTP2_CANCEL);
      return;
    }
    this.sink = null;
    this.stream.pause();
    sink.onAbort('body-timeout');
  }

  private trailersOut: Headers | null = null;

  private sendTrailers(): void {
    if (this.stream.destroyed) return;
    this.stream.sendTrailers(this.trailersOut === null ? {} : fieldObject(this.trailersOut));
    if (!this.bodyDone) this.closeLater();
  }

  /** A turn later: a reset on the heels of an answer overtakes its end. */
  private closeLater(): void {
    setImmediate(() => this.stream.close(NGHTTP2_NO_ERROR));
  }

  /** A call may be silent for as long as its rule lets both sides be; null: it is none. */
  private get silenceMs(): number | null {
    const { exchange } = this;
    return exchange === null || exchange.grpc !== GRPC ? null : (exchange.rule?.idleTimeoutMs ?? null);
  }

  /** Waits for a client that must read, or must send; not for one that we have paused. */
  private watch(): void {
    const { timeouts } = this;
    let delayMs = 0;
    if (this.over) delayMs = 0;
    else if (this.blocked) delayMs = timeouts.writeMs;
    else if (this.sink !== null && !this.bodyDone && !this.stream.isPaused())
      delayMs = this.silenceMs ?? timeouts.bodyMs;
    if (delayMs > 0) this.wheel.arm(this.timer, delayMs);
    else this.wheel.disarm(this.timer);
  }

  private finish(): void {
    this.over = true;
    this.sink = null;
    this.wheel.drop(this.timer);
    this.onOver();
  }

  private closed(): void {
    if (this.over) return;
    const { sink } = this;
    this.finish();
    if (sink !== null && !this.bodyDone) sink.onAbort('client-closed');
    this.onClose?.();
  }
}

const NOTHING = (): void => {};

function fieldObject(headers: Headers): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = Object.create(null);
  const { fields } = headers;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    if (NOT_PASSED.has(name)) continue;
    const before = out[name];
    if (before === undefined) out[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else out[name] = [before, value];
  }
  return out;
}
