/** A request body on its way to the backend, over the connection of the running attempt. Made only for requests that have one. */
import { chunkHead, lastChunk } from '../codec/chunked.ts';
import { type BodySink, type Exchange, LENGTH_UNKNOWN, type Release } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { UpstreamConnection } from './connection.ts';

/** Who sends the request that the body belongs to. */
export interface Uploader {
  /** The whole body is written. */
  onUploaded(connection: UpstreamConnection): void;
  /** The client's body broke off: `client-closed`, `body-timeout` or malformed. */
  onUploadBroken(reason: string): void;
}

export class Upload implements BodySink {
  /** The body waits for the backend's 100 (Continue). */
  expecting: boolean;
  /** The client's body was asked for. */
  reading = false;
  private readonly exchange: Exchange;
  private readonly uploader: Uploader;
  private readonly chunked: boolean;
  private connection: UpstreamConnection | null = null;
  private progress = -1;

  constructor(exchange: Exchange, uploader: Uploader) {
    this.exchange = exchange;
    this.uploader = uploader;
    this.chunked = exchange.downstream.requestLength === LENGTH_UNKNOWN;
    this.expecting = exchange.headers.has('expect');
  }

  /** The request head was written to `connection`: the body goes there, once `read` is called. */
  begin(connection: UpstreamConnection): void {
    this.connection = connection;
  }

  read(): void {
    this.expecting = false;
    if (this.reading) return;
    this.reading = true;
    this.exchange.downstream.readBody(this);
  }

  /** The backend has answered. Where it refuses, the rest of the body is not sent. */
  answered({ requestDone }: UpstreamConnection, status: number): void {
    this.expecting = false;
    if (!requestDone && status >= 400) this.stop();
  }

  /** What is still to come is thrown away. */
  stop(): void {
    this.connection = null;
  }

  /** Whether the backend has taken bytes since the last call, or has none to take. */
  moves({ wire }: UpstreamConnection): boolean {
    const { progress } = wire;
    const moving = progress !== this.progress || wire.unsent === 0;
    this.progress = progress;
    return moving;
  }

  onData(chunk: Uint8Array, release: Release): boolean {
    const { connection } = this;
    if (connection === null || connection.requestDone) {
      if (release !== null) release();
      return true;
    }
    const { wire } = connection;
    if (this.chunked) {
      wire.write(chunkHead(chunk.length));
      wire.writeBytes(chunk, release);
      wire.write('\r\n');
    } else wire.writeBytes(chunk, release);
    return !wire.blocked;
  }

  onEnd(trailers: Headers | null): void {
    const { connection } = this;
    if (connection === null) return;
    if (this.chunked) connection.wire.write(lastChunk(trailers === null ? null : trailers.fields));
    connection.wire.flush();
    connection.requestDone = true;
    this.uploader.onUploaded(connection);
  }

  onAbort(reason: string): void {
    this.uploader.onUploadBroken(reason);
  }
}
