/** Our listener's connection on a socket without a network: what it makes of bytes, synchronously. */
import { Socket } from 'node:net';
import { refusalOf } from '../codec/refusals.ts';
import { TimerWheel } from '../io/wheel.ts';
import { createHttp1Listener, type Http1Listener } from '../listener/http1.ts';
import { Http1Connection } from '../listener/http1-connection.ts';
import { type Exchange, LENGTH_UNKNOWN, NO_BODY } from '../pipeline/exchange.ts';
import { Headers } from '../pipeline/headers.ts';
import { emptyReading, type Message, type Reading } from './reading.ts';

/** A request as it reached the handler. */
export interface OurMessage extends Message {
  /** Normalised, with its query. */
  readonly path: string;
  readonly host: string;
}

export interface OurReading extends Reading {
  readonly messages: OurMessage[];
  /** What the client was sent. */
  sent: string;
}

/** Takes what is written and never brings anything by itself. */
class SilentSocket extends Socket {
  readonly #onSent: (text: string) => void;

  constructor(onSent: (text: string) => void) {
    super({ allowHalfOpen: true });
    this.#onSent = onSent;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#onSent(chunk.toString('latin1'));
    done();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    for (const { chunk } of chunks) this.#onSent(chunk.toString('latin1'));
    done();
  }

  override _final(done: () => void): void {
    done();
  }

  override setNoDelay(): this {
    return this;
  }
}

const OFF = { headerMs: 0, idleMs: 0, bodyMs: 0, writeMs: 0, halfCloseMs: 0 };

export interface HowToAnswer {
  /** Answers only once all input was given, in the order of the requests. */
  readonly late?: boolean;
}

let reading: OurReading;
let waiting: (() => void)[] = [];
let late = false;

const wheel = new TimerWheel({ now: () => 0, automatic: false });
const listener = createHttp1Listener({
  host: '127.0.0.1',
  port: 0,
  readMode: 'data',
  wheel,
  timeouts: OFF,
  epochMs: () => 0,
  handler: take,
  refuse: ({ status, code }) => {
    reading.refused = code;
    return { status, code, headers: new Headers(), body: null };
  },
  onError: (error) => {
    throw error;
  },
}) as Http1Listener;

function take(exchange: Exchange): void {
  const { method, path, query, headers, host } = exchange;
  const target = query === undefined ? path : `${path}?${query}`;
  const message: OurMessage = {
    method,
    target,
    path: target,
    host,
    status: 0,
    minor: exchange.protocol === 'HTTP/1.0' ? 0 : 1,
    fields: headers.fields,
    body: '',
    trailers: [],
    complete: false,
  };
  reading.messages.push(message);
  if (late) waiting.push(() => readBody(exchange, message));
  else readBody(exchange, message);
}

function readBody({ downstream }: Exchange, message: OurMessage): void {
  downstream.readBody({
    onData: (chunk, release) => {
      message.body += Buffer.from(chunk).toString('latin1');
      if (release !== null) release();
      return true;
    },
    onEnd: (trailers) => {
      message.trailers = trailers === null ? [] : [...trailers.fields];
      message.complete = true;
      downstream.writeHead(204, new Headers(), NO_BODY);
      downstream.end(null);
    },
    onAbort: (reason) => {
      reading.refused = reason === 'bad-request' ? 'bad-chunk' : reason;
      downstream.writeHead(400, new Headers(), LENGTH_UNKNOWN);
      downstream.end(null);
    },
  });
}

/** After it the event loop has to turn now and then, or sockets that are closed pile up. */
export function readOurs(pieces: readonly Buffer[], how: HowToAnswer = {}): OurReading {
  const mine: OurReading = { ...emptyReading(), messages: [], sent: '' };
  reading = mine;
  waiting = [];
  late = how.late === true;
  const connection = new Http1Connection(
    listener,
    new SilentSocket((text) => {
      mine.sent += text;
    }),
  );
  const { wire } = connection;
  for (const piece of pieces) wire.turn(() => connection.onBytes(Buffer.from(piece), piece.length, null));
  late = false;
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) wire.turn(next);
  mine.closed = wire.socket.writableEnded && mine.refused === null;
  // No code: what is not HTTP at all.
  if (mine.refused === '') mine.refused = refusalOf(-1).code;
  wire.destroy();
  return mine;
}
