/** The streams between controller replicas: each opens one to every other, and both ends send their view by it. */
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  credentials as channelCredentials,
  experimental,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { createSnapshotsClient, type PeerReport, type SnapshotsClient } from '@tidegate/dataplane/snapshot/protocol';
import { backoffMs, type Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { WatchedCertificates } from './certificates.ts';
import type { Fleet } from './fleet.ts';

const REPORT_EVERY_MS = 1_000;
/** Changes gather this long: one report may carry hundreds of data planes. */
const GATHER_MS = 20;
const RETRY_BASE_MS = 200;
const RETRY_MAX_MS = 5_000;
const STOP_GRACE_MS = 500;

export interface PeerOptions {
  readonly fleet: Fleet;
  readonly certificates: WatchedCertificates | null;
  /** The DNS name that a peer's certificate has to carry, as it is dialled by address; empty: the address dialled. */
  readonly serverName: string;
  readonly clock: Clock;
  readonly log: Log;
}

type Stream = ClientDuplexStream<PeerReport, PeerReport> | ServerDuplexStream<PeerReport, PeerReport>;

interface Link {
  client: SnapshotsClient;
  /** Null between two attempts. */
  stream: Stream | null;
  attempt: number;
  cancelRetry: () => void;
  closed: boolean;
}

export class Peers {
  readonly #options: PeerOptions;
  readonly #links = new Map<string, Link>();
  readonly #streams = new Set<Stream>();
  #cancelReport: (() => void) | null = null;
  #gathering = false;
  #stopped = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    options.fleet.onChange(() => this.#soon());
    this.#tick();
  }

  /** Sets whom to dial, `host:port` each; a link to an address that is no longer named is closed. This replica may be among them. */
  dial(addresses: readonly string[]): void {
    if (this.#stopped) return;
    for (const [address, link] of this.#links) {
      if (addresses.includes(address)) continue;
      this.#links.delete(address);
      close(link);
    }
    for (const address of addresses) if (!this.#links.has(address)) this.#open(address);
  }

  /** Tells the peers soon: something of this replica's own state changed. */
  announce(): void {
    this.#soon();
  }

  /** Takes in a stream that a peer opened. */
  accept(stream: ServerDuplexStream<PeerReport, PeerReport>): void {
    if (this.#stopped) {
      stream.end();
      return;
    }
    this.#attach(stream);
    stream.once('end', () => stream.end());
  }

  stop(): void {
    this.#stopped = true;
    // The last word is sent at once: what this replica served is on its way to others.
    this.#send();
    this.#cancelReport?.();
    for (const link of this.#links.values()) {
      link.closed = true;
      link.cancelRetry();
      link.stream?.end();
      this.#options.clock.after(STOP_GRACE_MS, () => close(link));
    }
    this.#links.clear();
    for (const stream of this.#streams) stream.end();
  }

  #open(address: string): void {
    const { serverName } = this.#options;
    const link: Link = {
      client: createSnapshotsClient(address, this.#credentials(), {
        'grpc.keepalive_time_ms': 10_000,
        'grpc.keepalive_timeout_ms': 5_000,
        'grpc.max_reconnect_backoff_ms': RETRY_MAX_MS,
        ...(serverName === '' ? {} : { 'grpc.ssl_target_name_override': serverName }),
      }),
      stream: null,
      attempt: 0,
      cancelRetry: () => {},
      closed: false,
    };
    this.#links.set(address, link);
    this.#connect(address, link);
  }

  #connect(address: string, link: Link): void {
    const { fleet, clock, log } = this.#options;
    const stream = link.client.Peer();
    link.stream = stream;
    let over = false;
    const lost = (error?: Error): void => {
      if (over) return;
      over = true;
      link.stream = null;
      if (link.closed) return;
      log.debug({ event: 'peer-lost', address, error: error?.message });
      const delayMs = backoffMs(link.attempt++, RETRY_BASE_MS, RETRY_MAX_MS, clock.random());
      link.cancelRetry = clock.after(delayMs, () => this.#connect(address, link));
    };
    stream.on('data', (report: PeerReport) => {
      link.attempt = 0;
      if (report.replica !== fleet.replica) return;
      // This replica's own address is among its peers' (it stands in the EndpointSlice too): nothing to tell there.
      over = true;
      close(link);
    });
    stream.on('error', lost);
    stream.on('end', () => lost());
    this.#attach(stream);
  }

  #attach(stream: Stream): void {
    const { fleet } = this.#options;
    this.#streams.add(stream);
    const gone = (): void => void this.#streams.delete(stream);
    stream.on('data', (report: PeerReport) => void fleet.report(report, stream));
    stream.on('error', gone);
    stream.on('end', gone);
    stream.on('close', gone);
    stream.write(fleet.ownReport());
  }

  #soon(): void {
    if (this.#gathering || this.#stopped) return;
    this.#gathering = true;
    this.#options.clock.after(GATHER_MS, () => {
      this.#gathering = false;
      this.#send();
    });
  }

  #tick(): void {
    this.#cancelReport = this.#options.clock.after(REPORT_EVERY_MS, () => {
      this.#send();
      this.#tick();
    });
  }

  #send(): void {
    if (this.#streams.size === 0) return;
    const report = this.#options.fleet.ownReport();
    // A peer that does not read misses reports rather than piling them up here: each one is the whole view.
    for (const stream of this.#streams) if (!stream.writableNeedDrain && stream.writable) stream.write(report);
  }

  #credentials(): ChannelCredentials {
    const { certificates } = this.#options;
    return certificates === null
      ? channelCredentials.createInsecure()
      : experimental.createCertificateProviderChannelCredentials(certificates, certificates);
  }
}

function close(link: Link): void {
  link.closed = true;
  link.cancelRetry();
  (link.stream as ClientDuplexStream<PeerReport, PeerReport> | null)?.cancel();
  link.client.close();
}
