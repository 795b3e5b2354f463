/** For tests: a gateway with a TLS port and a plain one on a real runtime, and clients of node:tls. */
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import type { Refusal } from '../../codec/refusals.ts';
import { startWheel } from '../../io/wheel.ts';
import type { ReadMode } from '../../io/wire.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import { createRequestIds } from '../../pipeline/request-id.ts';
import { RUNTIME_DEFAULTS } from '../../runtime/deps.ts';
import { type Applied, Runtime } from '../../runtime/runtime.ts';
import { QUIET_STAGES } from '../../runtime/stages.fixture.ts';
import { encodeResource } from '../../snapshot/decode.ts';
import { ruleFixture } from '../../snapshot/fixtures.ts';
import type { Resource } from '../../snapshot/resources.ts';
import type { TlsResource } from '../../snapshot/tls.ts';
import { TicketKeys } from '../../tls/tickets.ts';
import { forward } from '../../upstream/forward.ts';
import { Relays } from '../../upstream/relay/relays.ts';
import { createUpstream } from '../../upstream/upstream.ts';
import { createHttp2Sessions } from '../h2.ts';
import { createHttp1Listener } from '../http1.ts';
import type { Listener } from '../options.ts';
import type { Issued } from './certificates.fixture.ts';
import { createTlsListener, type TlsListenerOptions } from './tls-listener.ts';

/** A Route `name` (`<namespace>/<route>`) for these hosts, which answers with its name. */
export function hostFixture(
  name: string,
  hosts: string[],
  shown: Issued | null,
  client?: { mode: 'optional' | 'required'; authorities: string },
): Resource[] {
  const certificate = `certificate/Route/${name}/shown`;
  const trust = `trust/Route/${name}/clients`;
  const action: TlsResource['action'] =
    shown === null
      ? { kind: 'fail', message: 'gone' }
      : {
          kind: 'terminate',
          certificate,
          ...(client !== undefined && { clientCertificate: { mode: client.mode, trust } }),
        };
  const parts: Resource[] = [
    ruleFixture(`${name}/all`, { hosts }),
    { kind: 'tls', id: `tls/${name}`, hosts, createdAtMs: 1, action },
  ];
  if (shown !== null) parts.push({ kind: 'certificate', id: certificate, ...shown });
  if (client !== undefined) parts.push({ kind: 'trust', id: trust, authorities: client.authorities });
  return parts;
}

export class TlsScene {
  readonly handshakes: string[] = [];
  readonly relayed: string[] = [];
  readonly finished: Exchange[] = [];
  readonly runtime: Runtime;
  readonly wheel = startWheel({ tickMs: 10 });
  readonly listener: Listener;
  readonly plain: Listener;
  port = 0;
  plainPort = 0;
  readonly #clients: net.Socket[] = [];
  #held: string[] = [];

  constructor(readMode: ReadMode = 'onread', more: Partial<TlsListenerOptions> = {}, relayIdleMs = 0) {
    this.runtime = new Runtime({
      createUpstream: (backend, endpoints) => createUpstream(backend, endpoints, { wheel: this.wheel }),
      forward,
      onFinish: (exchange) => this.finished.push(exchange),
      logError: () => {},
      newRequestId: createRequestIds(),
      now: () => performance.now(),
      random: Math.random,
      setTimer: () => () => {},
      stages: QUIET_STAGES,
      defaults: RUNTIME_DEFAULTS,
      tickets: TicketKeys.random(Date.now()),
    });
    const options = {
      host: '127.0.0.1',
      port: 0,
      readMode,
      handler: this.runtime.handler,
      refuse: ({ status, code, detail }: Refusal) => this.runtime.refuse(status, code, detail),
      wheel: this.wheel,
      ...more,
    };
    const http2 = createHttp2Sessions(options);
    this.listener = createTlsListener({
      hostFor: this.runtime.tlsHost,
      http2: () => http2,
      relays: new Relays({
        wheel: this.wheel,
        idleMs: relayIdleMs,
        onEnd: (backend, result) => this.relayed.push(`${backend} ${result}`),
      }),
      onHandshake: (result, version) => this.handshakes.push(version === '' ? result : `${result} ${version}`),
      ...options,
    });
    this.plain = createHttp1Listener(options);
  }

  async listen(): Promise<this> {
    ({ port: this.port } = await this.listener.listen());
    ({ port: this.plainPort } = await this.plain.listen());
    return this;
  }

  /** Makes this all there is. */
  configure(...resources: Resource[]): Applied {
    const ids = resources.map(({ id }) => id);
    const applied = this.runtime.apply({
      upsert: resources.map(encodeResource),
      removed: this.#held.filter((id) => !ids.includes(id)),
    });
    this.#held = ids;
    return applied;
  }

  /** Once the handshake is done. Rejects with the error of the handshake. */
  async connect(servername: string, more: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: this.port,
      ...(servername !== '' && { servername }),
      rejectUnauthorized: false,
      ...more,
    });
    await once(socket, 'secureConnect');
    this.#clients.push(socket);
    socket.on('error', () => {});
    return socket;
  }

  /** Status and body of one request, over a connection of its own or the one given. */
  async ask(host: string, socket: net.Socket | Promise<net.Socket> = this.connect(host)): Promise<string> {
    const open = await socket;
    open.write(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    let text = '';
    for (;;) {
      const [bytes] = (await once(open, 'data')) as [Buffer];
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? -1);
      if (end < 0 || text.length < end + 4 + length) continue;
      const body = text.slice(end + 4);
      return `${text.slice(9, 12)} ${body.startsWith('{') ? JSON.parse(body).code : body}`;
    }
  }

  /** The same without TLS. */
  async askPlain(host: string): Promise<string> {
    const socket = net.connect(this.plainPort, '127.0.0.1');
    const got = await this.ask(host, socket);
    socket.destroy();
    return got;
  }

  async askH2(host: string): Promise<string> {
    const session = http2.connect(`https://${host}`, {
      createConnection: () =>
        tls.connect({
          host: '127.0.0.1',
          port: this.port,
          servername: host,
          ALPNProtocols: ['h2'],
          rejectUnauthorized: false,
        }),
    });
    const stream = session.request({ ':path': '/', ':authority': host });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    let text = '';
    for await (const chunk of stream) text += chunk;
    session.close();
    return `${headers[':status']} ${text}`;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await Promise.all([this.listener.close(200), this.plain.close(200)]);
    this.runtime.close();
    this.wheel.stop();
  }
}

/** Of the certificate a server showed. */
export function shownBy(socket: tls.TLSSocket): string {
  return socket.getPeerCertificate().subject.CN as unknown as string;
}
