/**
 * Client certificates: TLS has verified one when its connection was made, or there is none. Here it is said whether it is meant and who that
 * is. Costs a look-up in a map a request.
 */
import { compileCertificateMatch } from '../../pipeline/certificate-match.ts';
import type { Exchange } from '../../pipeline/exchange.ts';
import { NO_CLAIMS } from '../../pipeline/identity.ts';
import type { PeerCertificate } from '../../pipeline/tls-peer.ts';
import type { MethodConfig } from '../../snapshot/sections/authentication.ts';
import { forwardedCertificate, XFCC } from './client-certificate/forwarded.ts';
import { ABSENT, type Finding, type Method } from './method.ts';

/** 403: no other request over this connection could do better (RFC 9110 section 15.5.4). */
const REFUSED = {
  kind: 'refused',
  status: 403,
  code: 'certificate-refused',
  detail: 'The certificate of this connection is not one of those this route takes.',
} as const;
const NAMELESS = { ...REFUSED, detail: 'The certificate of this connection does not name who holds it.' } as const;

export function create(config: MethodConfig<'clientCertificate'>): Method {
  const meant = config.allow === undefined ? null : compileCertificateMatch(config.allow);
  /** As long as a connection holds its certificate. */
  const found = new WeakMap<PeerCertificate, Finding>();

  function judge(certificate: PeerCertificate): Finding {
    if (meant !== null && !meant(certificate)) return REFUSED;
    const consumer = NAMES[config.consumer](certificate);
    if (consumer === undefined || consumer === '') return NAMELESS;
    return {
      kind: 'vouched',
      identity: { consumer, groups: [], scopes: [], claims: NO_CLAIMS, method: config.name },
      fields: config.forward ? [XFCC, forwardedCertificate(certificate)] : [],
    };
  }

  return {
    name: config.name,
    challenge: '',
    writes: config.forward ? [XFCC] : [],
    strip: null,
    find(exchange: Exchange): Finding {
      const certificate = exchange.downstream.tls?.certificate ?? null;
      if (certificate === null) return ABSENT;
      let finding = found.get(certificate);
      if (finding === undefined) {
        finding = judge(certificate);
        found.set(certificate, finding);
      }
      if (config.forward) exchange.ownClientCert = true;
      return finding;
    },
  };
}

type Name = MethodConfig<'clientCertificate'>['consumer'];

const NAMES: { readonly [N in Name]: (certificate: PeerCertificate) => string | undefined } = {
  subject: ({ subject }) => subject,
  commonName: ({ commonName }) => commonName,
  dnsName: ({ dnsNames }) => dnsNames[0],
  uri: ({ uris }) => uris[0],
  spiffeId: ({ spiffeId }) => spiffeId,
  email: ({ emails }) => emails[0],
  fingerprint: ({ fingerprint }) => fingerprint,
};
