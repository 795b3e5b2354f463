/** A proxy under measurement: how it is started on one core, in front of one backend. */
import type { Program, Programs } from '../programs.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface PeerContext {
  readonly programs: Programs;
  /** An empty folder of its own for configuration, logs and sockets. */
  readonly dir: string;
  /** Port on 127.0.0.1 to listen on; free a moment ago. */
  readonly port: number;
  /** Of the backend; one, unless the scenario says otherwise. */
  readonly endpoints: readonly Endpoint[];
  /** CPU the proxy has to itself; several by commas. */
  readonly core: number | string;
  /** Threads or processes that carry requests; one when absent. */
  readonly workers?: number;
  /** CPU for whatever belongs to the proxy but does not carry requests (a control plane). */
  readonly sideCore: number;
  /** Binaries by name (`nginx`, `haproxy`, `envoy`). */
  readonly binaries: ReadonlyMap<string, string>;
}

export interface Peer {
  readonly name: string;
  /** One line for the report: version and what its configuration does. */
  readonly about: string;
  /** Names in `binaries` without which it can't run. */
  readonly needs: readonly string[];
  /** The process whose tree is accounted; resolves once it has been started, ready or not. */
  start(context: PeerContext): Promise<Program>;
}

export function binary(context: PeerContext, name: string): string {
  const path = context.binaries.get(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** Throws where there is none. */
export function urlOf(endpoint: Endpoint | undefined): string {
  if (endpoint === undefined) throw new Error('no endpoint');
  return `http://${endpoint.address}:${endpoint.port}`;
}
