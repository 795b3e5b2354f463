/** Which `tls` resource a host name falls to: exact, then the longest wildcard, then `*`. Never changes. */
import type { Exchange } from '../pipeline/exchange.ts';
import { demandsCertificate, type TlsHost } from './host.ts';

export class TlsTable {
  readonly #exact = new Map<string, TlsHost>();
  /** By what follows `*.` */
  readonly #wildcards = new Map<string, TlsHost>();
  #any: TlsHost | null = null;
  /** Some host must not be reached without its demand being met. */
  #guards = false;

  constructor(hosts: Iterable<TlsHost>) {
    const sorted = [...hosts].sort(byPrecedence);
    for (const host of sorted) {
      if (demandsCertificate(host.demand)) this.#guards = true;
      for (const name of host.resource.hosts) {
        if (name === '*') this.#any ??= host;
        else if (name.startsWith('*.')) setOnce(this.#wildcards, name.slice(2), host);
        else setOnce(this.#exact, name, host);
      }
    }
  }

  /** `name`: lower-case, without a final dot; empty where there is none. */
  find(name: string): TlsHost | null {
    const exact = this.#exact.get(name);
    if (exact !== undefined) return exact;
    if (this.#wildcards.size > 0) {
      for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
        const found = this.#wildcards.get(name.slice(dot + 1));
        if (found !== undefined) return found;
      }
    }
    return this.#any;
  }

  /**
   * Whether the request came over a connection that was not opened for its host: another certificate would have been shown, or something else
   * asked of the client. Without TLS: the host demands a certificate.
   */
  misdirects(exchange: Exchange): boolean {
    const { tls } = exchange.downstream;
    if (tls === null) {
      if (!this.#guards) return false;
      const host = this.find(exchange.host);
      return host !== null && demandsCertificate(host.demand);
    }
    const opened = tls.opened as TlsHost | undefined;
    if (opened?.current && exchange.host === tls.serverName) return false;
    const host = this.find(exchange.host);
    if (host === null || host === opened) return false;
    if (host.demand !== (opened?.demand ?? '')) return true;
    return host.id !== opened?.id && host.certificate !== opened?.certificate;
  }
}

function setOnce(map: Map<string, TlsHost>, name: string, host: TlsHost): void {
  if (!map.has(name)) map.set(name, host);
}

function byPrecedence(a: TlsHost, b: TlsHost): number {
  return a.resource.createdAtMs - b.resource.createdAtMs || (a.id < b.id ? -1 : 1);
}
