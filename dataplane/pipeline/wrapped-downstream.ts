/** A listener's side of an exchange behind another one that changes how the request body is read; the response goes straight through. */
import type { BodySink, ConnectionAddresses, Downstream, Release, TunnelEnd } from './exchange.ts';
import type { Headers } from './headers.ts';
import type { TlsPeer } from './tls-peer.ts';

export abstract class WrappedDownstream implements Downstream {
  protected readonly inner: Downstream;

  constructor(inner: Downstream) {
    this.inner = inner;
  }

  abstract get requestLength(): number;
  abstract readBody(sink: BodySink): void;
  abstract pauseBody(): void;
  abstract resumeBody(): void;

  get tunnel(): ((status: number, headers: Headers, peer: TunnelEnd) => TunnelEnd) | null {
    return this.inner.tunnel;
  }
  get tls(): TlsPeer | null {
    return this.inner.tls;
  }
  get peerAddress(): string {
    return this.inner.peerAddress;
  }
  get addresses(): ConnectionAddresses | null {
    return this.inner.addresses ?? null;
  }
  get onDrain(): (() => void) | null {
    return this.inner.onDrain;
  }
  set onDrain(handler: (() => void) | null) {
    this.inner.onDrain = handler;
  }
  get onClose(): (() => void) | null {
    return this.inner.onClose;
  }
  set onClose(handler: (() => void) | null) {
    this.inner.onClose = handler;
  }
  writeInformational(status: number, headers: Headers): void {
    this.inner.writeInformational(status, headers);
  }
  writeHead(status: number, headers: Headers, length: number): void {
    this.inner.writeHead(status, headers, length);
  }
  write(chunk: Uint8Array, release: Release): boolean {
    return this.inner.write(chunk, release);
  }
  end(trailers: Headers | null): void {
    this.inner.end(trailers);
  }
  abort(): void {
    this.inner.abort();
  }
}
