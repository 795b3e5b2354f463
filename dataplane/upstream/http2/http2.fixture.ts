/** For tests: a backend of HTTP/2 whose every stream the test answers. */
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { eventually, TestProxy, type TestProxySettings } from '../../engine.fixture.ts';

export interface Seen {
  readonly stream: http2.ServerHttp2Stream;
  readonly session: http2.ServerHttp2Session;
  /** Name, value, … as they came. */
  readonly raw: readonly string[];
  readonly fields: http2.IncomingHttpHeaders;
}

export class Http2Backend {
  readonly sessions: http2.ServerHttp2Session[] = [];
  readonly seen: Seen[] = [];
  readonly server: http2.Http2Server;
  port = 0;

  constructor(script: (seen: Seen, n: number) => void, options: http2.ServerOptions = {}) {
    this.server = http2.createServer(options);
    this.server.on('session', (session) => {
      this.sessions.push(session);
      session.on('error', () => {});
    });
    this.server.on('sessionError', () => {});
    this.server.on('stream', (stream, fields, _flags, raw) => {
      stream.on('error', () => {});
      const one: Seen = {
        stream: stream as http2.ServerHttp2Stream,
        session: stream.session as http2.ServerHttp2Session,
        raw: raw as unknown as string[],
        fields,
      };
      this.seen.push(one);
      script(one, this.seen.length - 1);
    });
  }

  async listen(port = 0): Promise<this> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  async stream(n = 0): Promise<Seen> {
    await eventually(() => this.seen.length > n, `stream ${n} of the backend`);
    return this.seen[n] as Seen;
  }

  async close(): Promise<void> {
    for (const session of this.sessions) session.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Answers 200 with `text` once the request is there to its end. */
export function answeringText(text: string): (seen: Seen) => void {
  return ({ stream }) => {
    stream.resume();
    stream.once('end', () => {
      stream.respond({ ':status': 200, 'content-length': text.length });
      stream.end(text);
    });
  };
}

/** A whole proxy whose backend speaks HTTP/2. */
export async function proxyTo(ports: readonly number[], settings: TestProxySettings = {}): Promise<TestProxy> {
  return await new TestProxy(ports, { ...settings, backend: { protocol: 'http2', ...settings.backend } }).listen();
}
