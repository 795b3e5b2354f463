/**
 * A bounded, constant load over TLS that counts what a client would notice. No retries but of HTTP/2 requests refused unseen: every error and every status but 200 is a failed request.
 * Connections are opened again when the gateway asks for it (`connection: close`, GOAWAY), as clients do.
 */
import http2 from 'node:http2';
import https from 'node:https';
import type { TLSSocket } from 'node:tls';

/** kept: HTTP/1.1 over connections that are kept. fresh: a connection and a full handshake a request. h2: streams of two HTTP/2 sessions. */
export type Client = 'kept' | 'fresh' | 'h2';

export interface TlsTarget {
  /** Of the gateway. */
  readonly address: string;
  /** Server name and host. */
  readonly host: string;
  /** PEM. */
  readonly ca: string;
}

const REQUEST_TIMEOUT_MS = 10_000;

export class TlsLoad {
  sent = 0;
  failed = 0;
  /** HTTP/2 requests that were refused unseen and sent again, as clients do (RFC 9113 section 8.7): GOAWAY crossed them. */
  repeated = 0;
  /** Connections opened. */
  connections = 0;
  /** First few, in words. */
  readonly failures: string[] = [];
  /** Serial numbers of certificates, and when each was first seen (performance.now()). */
  readonly serials = new Map<string, number>();
  readonly client: Client;
  readonly #target: TlsTarget;
  readonly #loops: Promise<unknown>;
  readonly #sessions: http2.ClientHttp2Session[] = [];
  #stopped = false;

  /** `concurrency` loops, each with a pause of `pauseMs` between two requests; those of the first take a second. */
  constructor(client: Client, target: TlsTarget, concurrency: number, pauseMs: number) {
    this.client = client;
    this.#target = target;
    this.#loops = Promise.all(Array.from({ length: concurrency }, (_, i) => this.#loop(i, pauseMs)));
  }

  /** Waits for the requests under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loops;
    for (const session of this.#sessions) session.destroy();
  }

  toString(): string {
    const { client, sent, failed, repeated, connections, serials } = this;
    return `${client}: ${sent} requests, ${failed} failed, ${repeated} repeated, ${connections} connections, ${serials.size} certificates`;
  }

  async #loop(index: number, pauseMs: number): Promise<void> {
    const { address, host, ca } = this.#target;
    const url = index === 0 ? '/?delay=1000' : '/';
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 });
    const tls = { host: address, port: 443, servername: host, ca, agent: this.client === 'kept' && agent };
    const send = () =>
      this.client === 'h2' ? this.#http2(this.#session(index % 2), url) : this.#http1({ ...tls, path: url });
    const repeat = (error: Error) => {
      if (!error.message.includes('NGHTTP2_REFUSED_STREAM')) throw error;
      this.repeated++;
      return send();
    };
    while (!this.#stopped) {
      this.sent++;
      try {
        const status = await send().catch(repeat);
        if (status !== 200) this.#fail(`status ${status}`);
      } catch (error) {
        this.#fail(`${(error as NodeJS.ErrnoException).code ?? ''} ${(error as Error).message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    agent.destroy();
  }

  #http1(options: https.RequestOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = { host: this.#target.host };
      const request = https.get({ ...options, headers, timeout: REQUEST_TIMEOUT_MS }, (response) => {
        response.on('error', reject);
        response.on('end', () =>
          response.complete ? resolve(response.statusCode ?? 0) : reject(new Error('the answer broke off')),
        );
        response.resume();
      });
      request.once('socket', (socket: TLSSocket) => {
        if (!request.reusedSocket) socket.once('secureConnect', () => this.#opened(socket));
      });
      request.on('timeout', () => request.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)));
      request.on('error', reject);
    });
  }

  #session(index: number): http2.ClientHttp2Session {
    const before = this.#sessions[index];
    if (before !== undefined && !before.closed && !before.destroyed) return before;
    const { address, host, ca } = this.#target;
    const session = http2.connect(`https://${host}`, { host: address, port: 443, servername: host, ca });
    session.once('connect', (_session, socket) => this.#opened(socket as TLSSocket));
    // Its requests tell.
    session.on('error', () => {});
    this.#sessions[index] = session;
    return session;
  }

  #http2(session: http2.ClientHttp2Session, url: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const stream = session.request({ ':path': url });
      let status = 0;
      stream.setTimeout(REQUEST_TIMEOUT_MS, () =>
        stream.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)),
      );
      stream.once('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.once('error', reject);
      stream.once('close', () => (status === 0 ? reject(new Error('no answer')) : resolve(status)));
      stream.resume();
    });
  }

  #opened(socket: TLSSocket): void {
    this.connections++;
    const { serialNumber } = socket.getPeerCertificate();
    if (!this.serials.has(serialNumber)) this.serials.set(serialNumber, performance.now());
  }

  #fail(why: string): void {
    this.failed++;
    if (this.failures.length < 20) this.failures.push(`${this.client} ${why}`);
  }
}
