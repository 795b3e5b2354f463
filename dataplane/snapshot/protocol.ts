/**
 * gateway.proto as TypeScript: the messages as they look on both sides, the service definition for `server.addService`,
 * and the client. The descriptor is embedded (generated/gateway.ts), so it works the same from source and from dist.
 *
 * Field names are camelCase. Every field of a decoded message is present (proto3 defaults); int64 is a number.
 */
import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type handleBidiStreamingCall,
  makeClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { gatewayDescriptor } from './generated/gateway.ts';

/** Upper bound of one message in bytes, both ways. A delta's parts aim at 1 MiB; a hello of 100,000 held resources is some 10 MiB. */
export const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

/** Aim for one part of a delta, in bytes of bodies. A single body may be larger, up to the message bound. */
export const DELTA_PART_BYTES = 1024 * 1024;

/** First message on every stream from a data plane. */
export interface Hello {
  node: string;
  zone: string;
  schemaVersion: number;
  /** The revision it serves; empty at a cold start. */
  revision: string;
  programVersion: string;
  /** `spec.gateway` it serves. */
  gateway: string;
  /** What it holds; empty when `revision` is. */
  held: Held[];
  /** What its global limits go by; null where it was never told. */
  share: Share | null;
}

/** Number `place` (from 0) of `dataPlanes` equal parts. */
export interface Share {
  place: number;
  dataPlanes: number;
}

export interface Held {
  id: string;
  hash: string;
}

export interface Refusal {
  code: string;
  message: string;
}

export interface Delta {
  baseRevision: string;
  revision: string;
  upsert: DeltaResource[];
  removed: string[];
  last: boolean;
}

export interface DeltaResource {
  id: string;
  hash: string;
  /** Canonical JSON of a resource, UTF-8. */
  body: Uint8Array;
}

export interface Verdict {
  revision: string;
  accepted: boolean;
  rejected: Rejected[];
  message: string;
}

export interface Rejected {
  id: string;
  hash: string;
  message: string;
}

export interface LoadReport {
  ready: boolean;
  draining: boolean;
  inFlight: number;
  requestsTotal: number;
  requestsPerSecond: number;
  eventLoopUtilisation: number;
  p99Ms: number;
  revision: string;
  workers: number;
}

/** Endpoints that the data plane sends no requests to. */
export interface HealthReport {
  /** Backends that are not named have nothing to tell; else they are as before. */
  whole: boolean;
  backends: BackendHealth[];
}

export interface BackendHealth {
  /** Its id. */
  backend: string;
  /** `address:port`, sorted, at most 1,000. */
  blocked: string[];
  /** How many there are where the data plane has resolved names; 0: those of the snapshot. */
  endpoints: number;
}

export interface PeerReport {
  replica: string;
  leader: boolean;
  revision: string;
  dataPlanes: DataPlane[];
  objects: number;
  compileMs: number;
}

export interface DataPlane {
  node: string;
  zone: string;
  revision: string;
  rejected: Rejected[];
  load: LoadReport | null;
  programVersion: string;
  message: string;
  health: BackendHealth[];
}

/** `message` names the member that is set; it is undefined for a member this version does not know. */
export type FromDataPlane =
  | { message: 'hello'; hello: Hello }
  | { message: 'verdict'; verdict: Verdict }
  | { message: 'load'; load: LoadReport }
  | { message: 'health'; health: HealthReport }
  | { message?: undefined };

export type ToDataPlane =
  | { message: 'delta'; delta: Delta }
  | { message: 'refusal'; refusal: Refusal }
  | { message: 'share'; share: Share }
  | { message?: undefined };

/** What a server implements: `server.addService(snapshotsService, handlers)`. */
export interface SnapshotsHandlers {
  Subscribe: handleBidiStreamingCall<FromDataPlane, ToDataPlane>;
  Peer: handleBidiStreamingCall<PeerReport, PeerReport>;
}

/** A client with a channel of its own; `close()` ends it. */
export interface SnapshotsClient extends Client {
  Subscribe(): ClientDuplexStream<FromDataPlane, ToDataPlane>;
  Peer(): ClientDuplexStream<PeerReport, PeerReport>;
}

const definitions = fromJSON(gatewayDescriptor as unknown as Parameters<typeof fromJSON>[0], {
  longs: Number,
  defaults: true,
  arrays: true,
  oneofs: true,
});

/** Methods `Subscribe` and `Peer`; a server passes `{ ...handlers }` of type SnapshotsHandlers beside it. */
export const snapshotsService = definitions['tidegate.v1.Snapshots'] as ServiceDefinition;

/** Size bounds both ends set on their server or channel. */
export const messageLimits: Partial<ChannelOptions> = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
};

const Constructor = makeClientConstructor(snapshotsService, 'tidegate.v1.Snapshots');

/** `address` in gRPC's form (`host:port`, `dns:///name:port`, `unix:/path`). Nothing is connected before the first call. */
export function createSnapshotsClient(
  address: string,
  credentials: ChannelCredentials,
  options: Partial<ChannelOptions> = {},
): SnapshotsClient {
  return new Constructor(address, credentials, { ...messageLimits, ...options }) as unknown as SnapshotsClient;
}
