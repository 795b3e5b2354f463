/** The response half of one HTTP/1.x exchange. After its end every call on it does nothing. */
import { chunkHead, lastChunk } from '../codec/chunked.ts';
import { dateField, statusLine } from '../codec/head-writer.ts';
import {
  type BodySink,
  type ConnectionAddresses,
  type Downstream,
  type Exchange,
  LENGTH_UNKNOWN,
  type Release,
  type TunnelEnd,
} from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { TlsPeer } from '../pipeline/tls-peer.ts';
import type { Http1Connection } from './http1-connection.ts';

const NOT_BEGUN = 0;
/** No body may follow: HEAD, 204, 304. */
const NONE = 1;
const LENGTH = 2;
const CHUNKED = 3;
/** HTTP/1.0 without a length: the close is the end. */
const UNTIL_CLOSE = 4;

export class Http1Downstream implements Downstream {
  readonly requestLength: number;
  readonly tunnel: ((status: number, headers: Headers, peer: TunnelEnd) => TunnelEnd) | null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;
  exchange!: Exchange;
  private connection: Http1Connection | null;
  readonly peerAddress: string;
  readonly tls: TlsPeer | null;
  private readonly method: string;
  private readonly minor: number;
  private keepAlive: boolean;
  private framing = NOT_BEGUN;
  private remaining = 0;

  constructor(
    connection: Http1Connection,
    method: string,
    minor: number,
    requestLength: number,
    keepAlive: boolean,
    upgrade: boolean,
  ) {
    this.connection = connection;
    this.method = method;
    this.minor = minor;
    this.requestLength = requestLength;
    this.keepAlive = keepAlive;
    this.peerAddress = connection.peerAddress;
    this.tls = connection.tls;
    this.tunnel = upgrade ? (status, headers, peer) => this.openTunnel(status, headers, peer) : null;
  }

  get addresses(): ConnectionAddresses | null {
    return this.connection?.addresses ?? null;
  }

  /** From the connection: the exchange is over, in whichever way. */
  detach(): void {
    this.connection = null;
  }

  readBody(sink: BodySink): void {
    this.connection?.readBody(sink);
  }

  pauseBody(): void {
    this.connection?.pauseBody();
  }

  resumeBody(): void {
    this.connection?.resumeBody();
  }

  writeInformational(status: number, headers: Headers): void {
    const { connection } = this;
    if (connection === null || this.framing !== NOT_BEGUN || this.minor === 0) return;
    if (status === 100) {
      if (!connection.expecting) return;
      connection.expecting = false;
    }
    connection.wire.write(`${statusLine(status)}${fieldLines(headers)}\r\n`);
  }

  writeHead(status: number, headers: Headers, length: number): void {
    const { connection } = this;
    if (connection === null || this.framing !== NOT_BEGUN) return;
    const bodiless = this.method === 'HEAD' || status === 204 || status === 304;
    let keepAlive = this.keepAlive && connection.reusable();
    let text = statusLine(status) + fieldLines(headers);
    if (!headers.has('date')) text += dateField(connection.listener.epochMs());
    if (length === LENGTH_UNKNOWN) {
      if (bodiless) this.framing = NONE;
      else if (this.minor === 1) {
        this.framing = CHUNKED;
        text += 'transfer-encoding: chunked\r\n';
      } else {
        this.framing = UNTIL_CLOSE;
        keepAlive = false;
      }
    } else {
      this.remaining = Math.max(length, 0);
      this.framing = bodiless ? NONE : LENGTH;
      if (status !== 204 && (length >= 0 || !bodiless)) text += `content-length: ${this.remaining}\r\n`;
    }
    if (!keepAlive) text += 'connection: close\r\n';
    else if (this.minor === 0) text += 'connection: keep-alive\r\n';
    this.keepAlive = keepAlive;
    connection.wire.write(`${text}\r\n`);
  }

  write(chunk: Uint8Array, release: Release): boolean {
    const { connection } = this;
    const { length } = chunk;
    if (connection === null || this.framing <= NONE || length === 0) {
      if (release !== null) release();
      return true;
    }
    const { wire } = connection;
    if (this.framing === LENGTH) {
      this.remaining -= length;
      if (this.remaining < 0) {
        if (release !== null) release();
        this.abort();
        return true;
      }
      wire.writeBytes(chunk, release);
    } else if (this.framing === CHUNKED) {
      wire.write(chunkHead(length));
      wire.writeBytes(chunk, release);
      wire.write('\r\n');
    } else wire.writeBytes(chunk, release);
    this.exchange.bytesOut += length;
    if (!wire.blocked) return true;
    connection.watchWrite();
    return false;
  }

  writeText(text: string): void {
    const { connection, framing } = this;
    const { length } = text;
    if (connection === null || framing <= NONE || length === 0) return;
    const { wire } = connection;
    if (framing === LENGTH) {
      this.remaining -= length;
      if (this.remaining < 0) {
        this.abort();
        return;
      }
    }
    if (framing === CHUNKED) {
      wire.write(chunkHead(length));
      wire.write(text);
      wire.write('\r\n');
    } else wire.write(text);
    this.exchange.bytesOut += length;
  }

  end(trailers: Headers | null): void {
    const { connection, framing } = this;
    if (connection === null) return;
    if (framing === NOT_BEGUN || (framing === LENGTH && this.remaining > 0)) {
      this.abort();
      return;
    }
    if (framing === CHUNKED) connection.wire.write(lastChunk(trailers === null ? null : trailers.fields));
    connection.responseEnded(this, this.keepAlive);
  }

  abort(): void {
    this.connection?.abort(this, this.framing === UNTIL_CLOSE);
  }

  private openTunnel(status: number, headers: Headers, peer: TunnelEnd): TunnelEnd {
    const { connection } = this;
    if (connection === null || this.framing !== NOT_BEGUN) {
      peer.destroy();
      return CLOSED_END;
    }
    this.framing = UNTIL_CLOSE;
    connection.wire.write(`${statusLine(status)}${fieldLines(headers)}connection: Upgrade\r\n\r\n`);
    connection.openTunnel(peer);
    const { wire } = connection;
    return {
      write: (chunk, release) => {
        this.exchange.bytesOut += chunk.length;
        wire.writeBytes(chunk, release);
        if (!wire.blocked) return true;
        connection.watchWrite();
        return false;
      },
      end: () => wire.finish(),
      destroy: () => wire.destroy(),
      resume: () => wire.resume(),
    };
  }
}

const CLOSED_END: TunnelEnd = {
  write: (_chunk, release) => {
    if (release !== null) release();
    return true;
  },
  end: () => {},
  destroy: () => {},
  resume: () => {},
};

/** All fields but those the connection itself decides. */
function fieldLines(headers: Headers): string {
  const { fields } = headers;
  let text = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    switch (name.length) {
      case 10:
        if (name === 'connection' || name === 'keep-alive') continue;
        break;
      case 14:
        if (name === 'content-length') continue;
        break;
      case 17:
        if (name === 'transfer-encoding') continue;
        break;
    }
    // biome-ignore lint/style/useTemplate: a template has each part converted to a string, by a call
    text = text + name + ': ' + (fields[i + 1] as string) + '\r\n';
  }
  return text;
}
