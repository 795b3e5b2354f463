/** What supervisor and worker say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { LimitMemory } from '../limit/memory.ts';
import type { LogFields, LogLevel } from '../log.ts';
import type { ListenerConfig } from '../settings/listener.ts';
import type { ProxyProtocolConfig } from '../settings/proxy-protocol.ts';
import type { BackendView } from '../snapshot/backend/view.ts';
import type { Rejection, ResourceBytes } from '../snapshot/decode.ts';
import type { CredentialsSetup } from '../store/credentials/open-credentials.ts';
import type { SeriesImage } from '../telemetry/series.ts';
import type { StageCounts } from '../telemetry/stage-counters.ts';
import type { Trouble } from '../telemetry/trouble.ts';
import type { TicketSecret } from '../tls/tickets.ts';
import type { StreamKind } from '../upstream/streams.ts';
import type { EndpointState } from '../upstream/upstream.ts';

/** Given to a worker when it starts. */
export interface WorkerSetup {
  readonly index: number;
  readonly host: string;
  /** Of the data plane; empty: not known. */
  readonly zone: string;
  /** Null: as the machine resolves names. */
  readonly dnsServers: readonly string[] | null;
  readonly trustedHops: number;
  /** For Via; empty: none. */
  readonly via: string;
  readonly proxyProtocol: ProxyProtocolConfig;
  /** Target of rules without a `shedding` section; 0: none. */
  readonly sheddingDelayMs: number;
  readonly maxRequests: number;
  /** See LongStreams.drain. */
  readonly drainStreamsMs: number;
  readonly listener: ListenerConfig;
  readonly accessLog: AccessLogSink;
  readonly accessLogQuery: boolean;
  readonly metricsMaxRoutes: number;
  /** May hold a password. */
  readonly credentials: CredentialsSetup | null;
  readonly redisUrl: string | null;
  readonly redisTimeoutMs: number;
  /** Of all workers. */
  readonly limits: LimitMemory;
  /** Where the sessions in memory are asked for (supervisor/shared-sessions.ts). */
  readonly sessions: MessagePort;
  /** METER_BYTES, kept over the deaths of workers. */
  readonly meter: SharedArrayBuffer;
  /** As of now; each goes on from there by itself. */
  readonly tickets: TicketSecret;
  /** NONCES_BYTES, one for all workers. */
  readonly nonces: SharedArrayBuffer;
}

/** Where a worker's lines go. */
export type AccessLogSink =
  | { readonly kind: 'off' }
  /** In `lines` messages. */
  | { readonly kind: 'supervisor' }
  /** Appended by the worker itself to a regular file. */
  | { readonly kind: 'file'; readonly path: string; readonly maxWaitingBytes: number };

/** A change with its bodies end to end: one copy a thread, whatever the number of resources. */
export interface PackedChange {
  readonly revision: string;
  readonly removed: readonly string[];
  readonly ids: readonly string[];
  readonly hashes: readonly string[];
  /** Where each body ends in `bodies`. */
  readonly ends: readonly number[];
  readonly bodies: Uint8Array;
}

export type ToWorker =
  | { readonly type: 'apply'; readonly sequence: number; readonly changes: readonly PackedChange[] }
  /** httpPort 0: any free one; the others 0: none. */
  | ({ readonly type: 'listen'; readonly sequence: number } & Bound)
  /** Answered at once: it lives. */
  | { readonly type: 'ping'; readonly sequence: number }
  | { readonly type: 'count'; readonly sequence: number }
  /** The buffer of lines that are written: to be used again. */
  | { readonly type: 'spare'; readonly buffer: ArrayBuffer }
  /** The access log's file anew, for rotation. Not answered. */
  | { readonly type: 'reopen' }
  /** By backend id; one that is not named stays as it is. Not answered. */
  | { readonly type: 'views'; readonly views: ReadonlyMap<string, BackendView> }
  /** For /debug/config. */
  | { readonly type: 'describe'; readonly sequence: number }
  /** The same of the endpoints alone, by backend id. */
  | { readonly type: 'endpoints'; readonly sequence: number }
  /** For /debug/explain; `request` is checked by the worker. */
  | { readonly type: 'explain'; readonly sequence: number; readonly request: unknown }
  /** Answers end their connection; after `windowMs` nothing more is accepted; what is in flight has `deadlineMs` from then. */
  | { readonly type: 'drain'; readonly sequence: number; readonly windowMs: number; readonly deadlineMs: number };

export interface WorkerVerdict {
  readonly accepted: boolean;
  /** All of the revision that does not run as it was sent. */
  readonly rejected: readonly Rejection[];
  readonly message: string;
  readonly tookMs: number;
}

export interface Bound {
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly h2cPort: number;
}

export interface WorkerCounts {
  readonly series: SeriesImage;
  readonly stages: StageCounts;
  readonly gauges: WorkerGauges;
  readonly redis: 'unused' | 'up' | 'down';
  /** Hosts' certificates by id of their `tls` resource, and when each ends, ms since the epoch. */
  readonly certificates: readonly { readonly id: string; readonly notAfterMs: number }[];
}

/** An endpoint as one worker has it. */
export type WorkerEndpoint = EndpointState;

/** An endpoint that a worker sends no requests to, by its own judgement. */
export interface BlockedEndpoint {
  /** `address:port` */
  readonly name: string;
  readonly by: 'ejected' | 'open';
}

/** Names are part of the metrics' names. Counters start again with the worker. */
export interface WorkerGauges {
  readonly connections: number;
  readonly upstreamConnections: number;
  readonly upstreamPending: number;
  readonly streams: Readonly<Record<StreamKind, number>>;
  readonly refused: number;
  readonly overflow: number;
  readonly heapUsedBytes: number;
  /** Pieces of the access log that the worker's own file did not take. */
  readonly logDropped: number;
  /** Since the last count. */
  readonly eventLoopDelayMs: number;
  /** 0 to 1. */
  readonly sheddingLevel: number;
}

/** An answer has the sequence number of its question. */
export type FromWorker =
  | { readonly type: 'answer'; readonly sequence: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly sequence: number; readonly message: string; readonly code: string }
  | { readonly type: 'log'; readonly level: LogLevel; readonly fields: LogFields; readonly message: string }
  /** All that running stages can't do now. */
  | { readonly type: 'troubles'; readonly troubles: readonly Trouble[] }
  /** By backend id; one that is not named is as before. */
  | { readonly type: 'blocked'; readonly backends: ReadonlyMap<string, readonly BlockedEndpoint[]> }
  | { readonly type: 'lines'; readonly lines: Uint8Array<ArrayBuffer> };

export function packChange(change: {
  readonly revision: string;
  readonly upsert: readonly ResourceBytes[];
  readonly removed: readonly string[];
}): PackedChange {
  const ends: number[] = [];
  let length = 0;
  for (const { body } of change.upsert) {
    length += body.byteLength;
    ends.push(length);
  }
  const bodies = new Uint8Array(length);
  for (const [i, { body }] of change.upsert.entries()) bodies.set(body, (ends[i] as number) - body.byteLength);
  return {
    revision: change.revision,
    removed: change.removed,
    ids: change.upsert.map(({ id }) => id),
    hashes: change.upsert.map(({ hash }) => hash),
    ends,
    bodies,
  };
}

/** The bodies are views of the packed bytes. */
export function unpackChange(packed: PackedChange): {
  revision: string;
  upsert: ResourceBytes[];
  removed: readonly string[];
} {
  const upsert = packed.ids.map((id, i) => ({
    id,
    hash: packed.hashes[i] as string,
    body: packed.bodies.subarray(i === 0 ? 0 : packed.ends[i - 1], packed.ends[i]),
  }));
  return { revision: packed.revision, upsert, removed: packed.removed };
}
