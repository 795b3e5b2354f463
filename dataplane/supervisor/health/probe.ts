/** One question to one endpoint: does it serve? Each kind is a module of its own, loaded when a backend first asks for it. */
import type { ActiveHealth } from '../../snapshot/backend/health.ts';
import type { BackendProtocol } from '../../snapshot/backend/transport.ts';
import type { Dialer } from '../../upstream/dial/dialer.ts';
import type { TlsSettings } from '../../upstream/dial/tls-settings.ts';

/**
 * `connect`: no connection. `timeout`: no outcome in time. `status`: another status than those expected. `protocol`: what came was no
 * answer, or it broke off. `not-serving`: gRPC health says so.
 */
export const PROBE_RESULTS = ['success', 'connect', 'timeout', 'status', 'protocol', 'not-serving'] as const;
export type ProbeResult = (typeof PROBE_RESULTS)[number];

export interface ProbeOutcome {
  readonly result: ProbeResult;
  /** For log and /debug/config: one line without anything of the endpoint's own words. */
  readonly detail: string;
}

export const SUCCESS: ProbeOutcome = { result: 'success', detail: '' };

/** Of one endpoint. */
export interface Probe {
  /** Never rejects. Aborted, it ends soon, whatever the outcome. One at a time. */
  run(signal: AbortSignal): Promise<ProbeOutcome>;
  close(): void;
}

export interface ProbeTarget {
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  /** The name its address was found by; absent: none. */
  readonly hostName?: string | undefined;
}

/** How the backend is connected to. */
export interface ProbeTransport {
  /** Speaks the backend's protocol. Null: HTTP/1.1 over plain TCP. */
  readonly dialer: Dialer | null;
  readonly protocol: BackendProtocol;
  /** Null: no TLS. */
  readonly tls: TlsSettings | null;
}

type Settings = ActiveHealth['probe'];

export async function openProbe(settings: Settings, target: ProbeTarget, transport: ProbeTransport): Promise<Probe> {
  switch (settings.kind) {
    case 'http':
      if (transport.protocol === 'http2' && transport.dialer !== null) {
        return (await import('./http2-probe.ts')).openHttp2Probe(settings, target, transport.dialer);
      }
      return (await import('./http-probe.ts')).openHttpProbe(settings, target, transport.dialer);
    case 'tcp':
      return (await import('./tcp-probe.ts')).openTcpProbe(target);
    case 'grpc':
      return (await import('./grpc-probe.ts')).openGrpcProbe(settings, target, transport.tls);
  }
}

/** `ECONNREFUSED`, `ENOTFOUND`: of an error of a socket; else its name. */
export function codeOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'error';
}
