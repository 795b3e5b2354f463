/** What a runtime needs from outside. Everything that does I/O or tells the time is here. */
import type { Stage } from '../pipeline/chain.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { LogError } from '../pipeline/run.ts';
import type { BackendResource, EndpointsResource } from '../snapshot/resources.ts';
import type { Services } from '../stages/services.ts';
import type { Counter } from '../telemetry/stage-counters.ts';
import type { TicketKeys } from '../tls/tickets.ts';
import type { Materials } from '../upstream/dial/tls-settings.ts';
import type { ForwardOptions, Responder } from '../upstream/seam.ts';
import type { LongStreams } from '../upstream/streams.ts';
import type { Upstream } from '../upstream/upstream.ts';

export interface RuntimeDeps {
  readonly createUpstream: (backend: BackendResource, endpoints: EndpointsResource, materials: Materials) => Upstream;
  readonly forward: (exchange: Exchange, upstream: Upstream, options: ForwardOptions, responder: Responder) => void;
  /** Once an exchange, when it is over. */
  readonly onFinish: (exchange: Exchange) => void;
  readonly logError: LogError;
  readonly newRequestId: () => string;
  /** ms, monotonic: the clock of `exchange.startedAtMs`. */
  readonly now: () => number;
  readonly stages: StageSurroundings;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly setTimer: (run: () => void, delayMs: number) => () => void;
  readonly defaults: RuntimeDefaults;
  /** Absent: no response is taken for a stream. */
  readonly streams?: LongStreams;
  /** Absent: TLS sessions are not resumed. */
  readonly tickets?: TicketKeys;
}

/** What only stages need; see StageContext. */
export interface StageSurroundings {
  /** ms since the epoch. */
  readonly epochMs: () => number;
  readonly services: Services;
  readonly counter: (name: string, labels: Readonly<Record<string, string>>) => Counter;
  /** Of rules that have no `shedding` section. Null: none. */
  readonly shedding: Stage | null;
  /** What stages say of their troubles has changed. */
  readonly onTroubles: () => void;
}

/** What rules do not say. ms, 0 is off. */
export interface RuntimeDefaults {
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly trustedHops: number;
  readonly forwarded: boolean;
  readonly via: string;
}

/**
 * A backend has a minute for its response head and five minutes between two pieces of a body (a stream an hour), so nothing waits for ever; a
 * whole request has no bound.
 */
export const RUNTIME_DEFAULTS: RuntimeDefaults = {
  requestTimeoutMs: 0,
  backendTimeoutMs: 60_000,
  idleTimeoutMs: 300_000,
  streamIdleTimeoutMs: 3_600_000,
  trustedHops: 0,
  forwarded: false,
  via: '',
};
