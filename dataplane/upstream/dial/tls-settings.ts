/** What TLS to the endpoints of a backend goes by. The endpoint's certificate is always verified: chain, time, and name. */
import { isIP } from 'node:net';
import tls, { type ConnectionOptions, type PeerCertificate, type SecureContext } from 'node:tls';
import type { UpstreamTls } from '../../snapshot/backend/transport.ts';
import type { CertificateResource, TrustResource } from '../../snapshot/tls.ts';
import type { DialTarget } from './dialer.ts';

/** What a backend's `tls` refers to; null: it refers to none. */
export interface Materials {
  readonly certificate: CertificateResource | null;
  readonly trust: TrustResource | null;
}

export function sameMaterials(a: Materials, b: Materials): boolean {
  return a.certificate === b.certificate && a.trust === b.trust;
}

export const NO_MATERIALS: Materials = { certificate: null, trust: null };

export interface TlsSettings {
  /** For `tls.connect`. */
  optionsFor(target: Pick<DialTarget, 'address' | 'hostName' | 'session'>): ConnectionOptions;
}

/** With Node's own CAs and no certificate, for all backends: parsing some 140 CAs takes a few ms and a MB. */
let bare: SecureContext | null = null;
/** By the certificate, else the CAs: what is planned is checked and used with the same one. */
const made = new WeakMap<object, { readonly trust: TrustResource | null; readonly context: SecureContext }>();

/** Throws where a PEM text is broken, or a key is not that of its certificate. */
export function createTlsSettings({ serverName, subjectAltNames }: UpstreamTls, materials: Materials): TlsSettings {
  const context = contextOf(materials);
  const wanted = subjectAltNames === undefined || subjectAltNames.length === 0 ? null : new Set(subjectAltNames);
  return {
    optionsFor: (target) => {
      const name = serverName ?? (target.hostName || target.address).replace(/\.$/, '');
      return {
        secureContext: context,
        // RFC 6066 section 3: no addresses in SNI. The name checked is `host` where there is none.
        servername: isIP(name) === 0 ? name : '',
        checkServerIdentity: (_host, certificate) =>
          wanted === null ? tls.checkServerIdentity(name, certificate) : checkAltNames(wanted, certificate),
        ...(target.session !== null && { session: target.session }),
      };
    },
  };
}

function contextOf({ certificate, trust }: Materials): SecureContext {
  const owner = certificate ?? trust;
  if (owner === null) {
    bare ??= tls.createSecureContext({ minVersion: 'TLSv1.2' });
    return bare;
  }
  const known = made.get(owner);
  if (known !== undefined && known.trust === trust) return known.context;
  const context = tls.createSecureContext({
    minVersion: 'TLSv1.2',
    ...(trust !== null && { ca: trust.authorities }),
    ...(certificate !== null && { cert: certificate.chain, key: certificate.key }),
  });
  made.set(owner, { trust, context });
  return context;
}

/** One of `wanted` must stand among the DNS names (whatever their case) or the URIs; wildcards are not expanded. */
function checkAltNames(wanted: ReadonlySet<string>, { subjectaltname = '' }: PeerCertificate): Error | undefined {
  for (const { kind, value } of altNamesOf(subjectaltname)) {
    if (kind === 'URI' && wanted.has(value)) return undefined;
    if (kind === 'DNS') for (const one of wanted) if (one.toLowerCase() === value.toLowerCase()) return undefined;
  }
  const error = new Error('the certificate has none of the subject alternative names that are wanted');
  return Object.assign(error, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

/**
 * As Node writes them: `DNS:a, URI:spiffe://b`. What could be taken for a separator stands within a JSON string (CVE-2021-44532), so quotes
 * are looked at first.
 */
function* altNamesOf(text: string): IterableIterator<{ kind: string; value: string }> {
  for (const [entry] of text.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g)) {
    const [, kind = '', value = ''] = /^ ?([A-Z]+):(.*)$/s.exec(entry) ?? [];
    if (!value.includes('"')) yield { kind, value };
    else if (/^"(?:[^"\\]|\\.)*"$/s.test(value)) yield { kind, value: JSON.parse(value) as string };
  }
}
