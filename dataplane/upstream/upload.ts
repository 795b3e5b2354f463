/** A request body on its way to the backend, over the connection of the running attempt. Made only for requests that have one. */
import type { BodySink, Exchange, Release } from '../pipeline/exchange.ts';
import type { Headers } from '../pipeline/headers.ts';
import type { Channel } from './channel.ts';
import { BodyCopy } from './retry/body-copy.ts';

/** Who sends the request that the body belongs to. */
export interface Uploader {
  /** The whole body is written. */
  onUploaded(channel: Channel): void;
  /** The client's body broke off: `client-closed`, `body-timeout`, `body-too-large` or malformed. */
  onUploadBroken(reason: string): void;
}

export class Upload implements BodySink {
  /** The body waits for the backend's 100 (Continue). */
  expecting: boolean;
  /** The client's body was asked for. */
  private reading = false;
  private readonly exchange: Exchange;
  private readonly uploader: Uploader;
  private channel: Channel | null = null;
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
    // In HTTP/1.0 it means nothing (RFC 9110 section 10.1.1).
    this.expecting = exchange.protocol !== 'HTTP/1.0' && exchange.headers.has('expect');
    if (keepBytes > 0) this.kept = new BodyCopy(keepBytes, exchange.downstream.requestLength);
  }

  /** The request head was written to `connection`: the body goes there, once `read` is called. */
  begin(channel: Channel): void {
    this.channel = channel;
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
    this.channel = null;
  }

  private repeat(): void {
    const { channel, kept } = this;
    if (channel === null || kept === null) return;
    // Sent whatever its size: the client's bytes are nowhere else. But not a third time.
    if (kept.over) this.kept = null;
    const { bytes } = kept;
    if (bytes.length > 0) channel.sendBody(bytes, NOTHING);
    if (this.ended) this.finish(channel);
    else if (!channel.blocked) this.exchange.downstream.resumeBody();
  }

  /** The backend has answered. Where it refuses, the rest of the body is not sent; else it may wait for what it said no 100 to. */
  answered({ requestDone }: Channel, status: number): void {
    const { expecting } = this;
    this.expecting = false;
    this.kept = null;
    if (requestDone) return;
    if (status >= 400) this.stop();
    else if (expecting) this.read();
  }

  /** What is still to come is thrown away. */
  stop(): void {
    this.kept = null;
    this.channel = null;
  }

  /** Whether the backend has taken bytes since the last call, or has none to take. */
  moves({ progress, unsent }: Channel): boolean {
    const moving = progress !== this.progress || unsent === 0;
    this.progress = progress;
    return moving;
  }

  onData(chunk: Uint8Array, release: Release): boolean {
    const { channel, kept } = this;
    if (kept !== null) {
      kept.add(chunk);
      if (kept.over && channel !== null) this.kept = null;
    }
    if (channel === null || channel.requestDone) {
      if (release !== null) release();
      return kept === null;
    }
    return channel.sendBody(chunk, release);
  }

  onEnd(trailers: Headers | null): void {
    this.ended = true;
    this.trailers = trailers;
    if (this.channel !== null) this.finish(this.channel);
  }

  private finish(channel: Channel): void {
    channel.sendEnd(this.trailers);
    this.uploader.onUploaded(channel);
  }

  onAbort(reason: string): void {
    this.uploader.onUploadBroken(reason);
  }
}

const NOTHING = (): void => {};
