/** A request body on its way to the backend, over the connection of the running attempt. Made only for requests that have one. */
import { chunkHead, lastChunk } from '../codec/chunked.ts';
import { type BodySink, type Exchange, LENGTH_UNKNOWN, type Release } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { UpstreamConnection } from './connection.ts';
import { BodyCopy } from './retry/body-copy.ts';

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
  private reading = false;
  private readonly exchange: Exchange;
  private readonly uploader: Uploader;
  private readonly chunked: boolean;
  private connection: UpstreamConnection | null = null;
  private progress = -1;
  /** What was read so far, for a repeat; null: there can be none. */
  private kept: BodyCopy | null = null;
  /** The client's body is here to its end. */
  private ended = false;
  private trailers: Headers | null = null;

  /** `keepBytes`: how much may be kept for a repeat. */
  constructor(exchange: Exchange, uploader: Uploader, keepBytes: number) {
    this.exchange = exchange;
    this.uploader = uploader;
    this.chunked = exchange.downstream.requestLength === LENGTH_UNKNOWN;
    this.expecting = exchange.headers.has('expect');
    if (keepBytes > 0) this.kept = new BodyCopy(keepBytes, exchange.downstream.requestLength);
  }

  /** The request head was written to `connection`: the body goes there, once `read` is called. */
  begin(connection: UpstreamConnection): void {
    this.connection = connection;
  }

  read(): void {
    this.expecting = false;
    if (this.reading) {
      this.repeat();
      return;
    }
    this.reading = true;
    this.exchange.downstream.readBody(this);
  }

  /** Whether it can be sent once more, from its start. */
  get repeatable(): boolean {
    return !this.reading || this.kept !== null;
  }

  /** The attempt is over. What comes until the next one begins is kept, and no more of it asked for. */
  pause(): void {
    this.connection = null;
  }

  private repeat(): void {
    const { connection, kept } = this;
    if (connection === null || kept === null) return;
    // Sent whatever its size: the client's bytes are nowhere else. But not a third time.
    if (kept.over) this.kept = null;
    const { bytes } = kept;
    if (bytes.length > 0) this.write(connection, bytes, NOTHING);
    if (this.ended) this.finish(connection);
    else if (!connection.wire.blocked) this.exchange.downstream.resumeBody();
  }

  /** The backend has answered. Where it refuses, the rest of the body is not sent. */
  answered({ requestDone }: UpstreamConnection, status: number): void {
    this.expecting = false;
    this.kept = null;
    if (!requestDone && status >= 400) this.stop();
  }

  /** What is still to come is thrown away. */
  stop(): void {
    this.kept = null;
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
    const { connection, kept } = this;
    if (kept !== null) {
      kept.add(chunk);
      if (kept.over && connection !== null) this.kept = null;
    }
    if (connection === null || connection.requestDone) {
      if (release !== null) release();
      return kept === null;
    }
    this.write(connection, chunk, release);
    return !connection.wire.blocked;
  }

  onEnd(trailers: Headers | null): void {
    this.ended = true;
    this.trailers = trailers;
    if (this.connection !== null) this.finish(this.connection);
  }

  private write({ wire }: UpstreamConnection, bytes: Uint8Array, release: Release): void {
    if (this.chunked) {
      wire.write(chunkHead(bytes.length));
      wire.writeBytes(bytes, release);
      wire.write('\r\n');
    } else wire.writeBytes(bytes, release);
  }

  private finish(connection: UpstreamConnection): void {
    if (this.chunked) connection.wire.write(lastChunk(this.trailers === null ? null : this.trailers.fields));
    connection.wire.flush();
    connection.requestDone = true;
    this.uploader.onUploaded(connection);
  }

  onAbort(reason: string): void {
    this.uploader.onUploadBroken(reason);
  }
}

const NOTHING = (): void => {};
