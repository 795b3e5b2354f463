/** TLS handshakes with endpoints that failed: counted by reason, told in the log, and remembered by endpoint. */
import type { Log } from '../../log.ts';
import { Notices } from '../../telemetry/notices.ts';
import type { Counter } from '../../telemetry/stage-counters.ts';
import type { DialTarget, TlsObserver } from './dialer.ts';

/** Values of `reason` in `tidegate_upstream_tls_errors_total`. */
export type TlsFailureReason =
  /** Out of its time, or not yet in it. */
  | 'expired'
  /** Its chain leads to no CA that is trusted. */
  | 'untrusted'
  /** It is for another name. */
  | 'name'
  /** The endpoint does not speak the protocol by ALPN. */
  | 'alpn'
  /** The endpoint refuses: it wants a (another) client certificate, another version, or knows no such name. */
  | 'refused'
  /** What it speaks is not TLS, or broken off. */
  | 'protocol';

const REASONS: Readonly<Record<string, TlsFailureReason>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'name',
  ERR_TLS_ALPN: 'alpn',
};

export function tlsFailureReason(code: string): TlsFailureReason {
  const known = REASONS[code];
  if (known !== undefined) return known;
  if (code.includes('_ALERT_')) return 'refused';
  // What OpenSSL's verification says (X509_V_ERR_*): SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, …
  if (/CERT|SIGNATURE|_CA\b|ISSUER|CHAIN|PURPOSE|CRL/.test(code)) return 'untrusted';
  return 'protocol';
}

export class TlsFailures implements TlsObserver {
  readonly #name: string;
  readonly #counter: ((name: string, labels: Readonly<Record<string, string>>) => Counter) | undefined;
  readonly #notices: Notices;
  /** The last one of each endpoint. */
  readonly #last = new WeakMap<DialTarget, string>();

  /** `name`: `<namespace>/<name>` of the backend. */
  constructor(
    name: string,
    deps: {
      readonly counter?: (name: string, labels: Readonly<Record<string, string>>) => Counter;
      readonly log?: Log;
      readonly now: () => number;
    },
  ) {
    this.#name = name;
    this.#counter = deps.counter;
    this.#notices = new Notices(deps.log, deps.now);
  }

  failed(target: DialTarget, error: NodeJS.ErrnoException): void {
    const code = error.code ?? 'unknown';
    const reason = tlsFailureReason(code);
    this.#last.set(target, `${reason} (${code})`);
    const counter = this.#counter?.('upstream_tls_errors', { backend: this.#name, reason });
    if (counter !== undefined) counter.value++;
    const endpoint = `${target.address}:${target.port}`;
    this.#notices.write(
      { event: 'tls', backend: this.#name, endpoint, reason: `${reason}, ${code}` },
      'no TLS with it',
    );
  }

  agreed(target: DialTarget): void {
    this.#last.delete(target);
  }

  lastOf(target: DialTarget): string | null {
    return this.#last.get(target) ?? null;
  }
}
