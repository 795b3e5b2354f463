/**
 * A gRPC-Web client's side of an exchange (github.com/grpc/grpc doc/PROTOCOL-WEB.md), as a gRPC one: bodies are framed alike, so that they
 * flow through; trailers become the last frame of the body, and text mode is base64 of either.
 */
import {
  type BodySink,
  type Downstream,
  type Exchange,
  LENGTH_UNKNOWN,
  NO_BODY,
  type Release,
} from '../../pipeline/exchange.ts';
import type { Headers } from '../../pipeline/headers.ts';
import { WrappedDownstream } from '../../pipeline/wrapped-downstream.ts';
import { type CallKind, callKindOf, GRPC, WEB, WEB_TEXT } from '../call.ts';
import { contentTypeOf } from '../trailers-only.ts';
import { Base64Decoder } from './base64.ts';

/** From now on whoever forwards the exchange sees a gRPC call. */
export function translateWeb(exchange: Exchange): void {
  const { headers } = exchange;
  const type = headers.get('content-type') as string;
  // A fallback comes by here a second time.
  if (callKindOf(type) < WEB) return;
  const accept = headers.get('accept');
  const text =
    accept === undefined || !accept.includes('application/grpc-web')
      ? exchange.grpc === WEB_TEXT
      : accept.includes('-text');
  exchange.downstream = new WebDownstream(exchange.downstream, exchange.grpc === WEB_TEXT, text ? WEB_TEXT : WEB);
  headers.set('content-type', type.replace(/-web(-text)?/, ''));
  headers.set('te', 'trailers');
  for (const name of ['accept', 'x-grpc-web', 'content-length']) headers.remove(name);
}

class WebDownstream extends WrappedDownstream implements BodySink {
  readonly #decoder: Base64Decoder | null;
  readonly #answer: CallKind;
  #sink: BodySink | null = null;
  /** The response is one of gRPC: its trailers become a frame. */
  #framed = false;

  constructor(inner: Downstream, text: boolean, answer: CallKind) {
    super(inner);
    this.#decoder = text ? new Base64Decoder() : null;
    this.#answer = answer;
  }

  get requestLength(): number {
    const { requestLength } = this.inner;
    return this.#decoder === null || requestLength <= 0 ? requestLength : LENGTH_UNKNOWN;
  }

  readBody(sink: BodySink): void {
    this.#sink = sink;
    this.inner.readBody(this.#decoder === null ? sink : this);
  }

  pauseBody(): void {
    this.inner.pauseBody();
  }

  resumeBody(): void {
    this.inner.resumeBody();
  }

  onData(chunk: Uint8Array, release: Release): boolean {
    const sink = this.#sink;
    const bytes = sink === null ? null : (this.#decoder as Base64Decoder).decode(chunk);
    if (release !== null) release();
    if (sink === null) return true;
    if (bytes === null) {
      this.#break();
      return true;
    }
    return bytes.length === 0 || sink.onData(bytes, NOTHING);
  }

  onEnd(trailers: Headers | null): void {
    if (this.#decoder?.whole === false) this.#break();
    else this.#sink?.onEnd(trailers);
  }

  onAbort(reason: string): void {
    this.#sink?.onAbort(reason);
  }

  #break(): void {
    const sink = this.#sink;
    this.#sink = null;
    sink?.onAbort('malformed');
  }

  override writeHead(status: number, headers: Headers, length: number): void {
    const type = headers.get('content-type');
    this.#framed = length !== NO_BODY && isGrpc(type);
    if (isGrpc(type)) headers.set('content-type', contentTypeOf(this.#answer));
    // A status in the head is all there is, and may stay there.
    this.inner.writeHead(status, headers, this.#framed ? LENGTH_UNKNOWN : length === NO_BODY ? 0 : length);
  }

  override write(chunk: Uint8Array, release: Release): boolean {
    if (!this.#framed || this.#answer !== WEB_TEXT) return this.inner.write(chunk, release);
    const text = encode(chunk);
    if (release !== null) release();
    return this.inner.write(text, NOTHING);
  }

  override end(trailers: Headers | null): void {
    if (this.#framed && trailers !== null) {
      const frame = trailerFrame(trailers);
      this.inner.write(this.#answer === WEB_TEXT ? encode(frame) : frame, NOTHING);
      this.inner.end(null);
    } else this.inner.end(this.#framed ? null : trailers);
  }
}

function isGrpc(contentType: string | undefined): boolean {
  return callKindOf(contentType) === GRPC;
}

/** `0x80`, the length in four bytes, and the fields as of HTTP/1.1. */
function trailerFrame({ fields }: Headers): Buffer {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}:${fields[i + 1]}\r\n`;
  const frame = Buffer.allocUnsafe(5 + text.length);
  frame[0] = 0x80;
  frame.writeUInt32BE(text.length, 1);
  frame.write(text, 5, 'latin1');
  return frame;
}

/** Padded, so that nothing of a message waits for what comes after it. */
function encode(bytes: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'), 'latin1');
}

const NOTHING = (): void => {};
