/** A listener's side of an exchange in memory, for tests and benchmarks: keeps what is written, has no request body. */

import { type BodySink, type Downstream, Exchange, NO_BODY, type Release } from './exchange.ts';
import { Headers } from './headers.ts';
import type { TlsPeer } from './tls-peer.ts';

export class MemoryDownstream implements Downstream {
  readonly requestLength: number = NO_BODY;
  readonly peerAddress = '192.0.2.1';
  tls: TlsPeer | null = null;
  readonly tunnel = null;
  onDrain: (() => void) | null = null;
  onClose: (() => void) | null = null;
  status = 0;
  headers: Headers | null = null;
  length = 0;
  body = '';
  heads = 0;
  ended = 0;
  aborted = 0;

  readBody(sink: BodySink): void {
    sink.onEnd(null);
  }
  pauseBody(): void {}
  resumeBody(): void {}
  writeInformational(_status: number, _headers: Headers): void {}

  writeHead(status: number, headers: Headers, length: number): void {
    this.heads++;
    this.status = status;
    this.headers = headers;
    this.length = length;
  }

  write(chunk: Uint8Array, release: Release): boolean {
    this.body += Buffer.from(chunk).toString();
    release?.();
    return true;
  }

  end(): void {
    this.ended++;
  }

  abort(): void {
    this.aborted++;
  }
}

export interface MemoryRequest {
  readonly fields?: string[];
  readonly authority?: string;
  readonly scheme?: 'http' | 'https';
  readonly clientAddress?: string;
  readonly startedAtMs?: number;
  readonly downstream?: Downstream;
}

/** `GET /path?query` to an authority (`gateway.example` unless told otherwise). */
export function memoryExchange(line: string, more: MemoryRequest = {}): Exchange {
  const [method = 'GET', target = '/'] = line.split(' ');
  const [path = '/', query] = target.split('?');
  const authority = more.authority ?? 'gateway.example';
  return new Exchange(
    method,
    path,
    query,
    authority.replace(/:\d+$/, '').toLowerCase(),
    authority,
    more.scheme ?? 'http',
    'HTTP/1.1',
    new Headers(more.fields ?? []),
    more.clientAddress ?? '192.0.2.1',
    more.downstream ?? new MemoryDownstream(),
    more.startedAtMs ?? 0,
  );
}
