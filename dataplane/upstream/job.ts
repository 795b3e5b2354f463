/** What a connection works for. */
import type { ResponseHead } from '../codec/response-head.ts';
import type { Exchange, Release } from '../pipeline/exchange.ts';
import type { Channel } from './channel.ts';

/** What a connection tells the exchange it works for. */
export interface Job {
  /** What it works for; null: it never asks for a connection. */
  readonly exchange: Exchange | null;
  /** The connection is there and free: send the request. */
  onReady(channel: Channel): void;
  onInformational(head: ResponseHead): void;
  /** The final head (101 included). `channel.proceed()` must follow, now or later. */
  onHead(head: ResponseHead): void;
  /** A part of the response body; as BodySink.onData. */
  onBody(bytes: Uint8Array, release: Release): boolean;
  /** Instead of `onBody`, where it is all that was missing and small: of `bytes`, valid during this call only. False: not taken. */
  onLast?(bytes: Buffer, from: number, to: number): boolean;
  /** The response is complete; the connection has been given back. */
  onComplete(trailers: string[] | null): void;
  /** Can take more of the request body. */
  onWritable(): void;
  /** The endpoint has left the backend before the job had a connection: nothing was sent, and it is waited for no longer. */
  onGone(): void;
  /** The connection it waited for carries fewer exchanges at a time than was thought: it waits for none any more, and may ask again. */
  onCrowded(): void;
  /** The connection is of no use any more. */
  onFailure(failure: Failure): void;
  /** The timer that the job armed through the channel. */
  onDeadline(): void;
}

export type Failure =
  /** No connection was had. */
  | 'connect'
  | 'connect-timeout'
  /** Broken before the first byte of a response, on a connection that had served before: the other side may just have closed it as idle. */
  | 'stale'
  /** HTTP/2: the endpoint says that it has done nothing with the request (RFC 9113 section 8.7). */
  | 'refused'
  /** HTTP/2: an upgrade was asked for, and the endpoint takes none (RFC 8441). Nothing was sent. */
  | 'no-upgrade'
  /** Broken before the end of a response. */
  | 'reset'
  /** Not an HTTP response that could be passed on. */
  | 'protocol';
