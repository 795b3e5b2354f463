/** What the hosts of one `tls` resource do. Made when the resource, or what it refers to, changes; shared by the generations after. */
import { constants, createHash, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { messageOf } from '../errors.ts';
import type { CertificateResource, TlsResource, TrustResource } from '../snapshot/tls.ts';
import { StageError } from '../stages/stage-error.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { TicketKeys } from './tickets.ts';

export interface TlsHost {
  readonly id: string;
  readonly resource: TlsResource;
  /** SHA-256 of the chain; empty: none is shown. */
  readonly certificate: string;
  /** What is asked of the client: empty, or the mode and the CAs. Who met one demand has not met another. */
  readonly demand: string;
  /** Null: the handshake is refused, or `upstream` gets the bytes. */
  readonly context: SecureContext | null;
  readonly asksCertificate: boolean;
  readonly requiresCertificate: boolean;
  /** Of a passthrough. */
  readonly upstream: Upstream | null;
  /** When the certificate ends, ms since the epoch; 0: there is none. */
  readonly notAfterMs: number;
  /** Tickets are given under this name; empty: none are. */
  readonly ticketPurpose: string;
  /** False once another took its place. */
  current: boolean;
}

/** Mozilla's intermediate configuration, version 5.7, without finite-field Diffie-Hellman. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Seconds a session may be taken up again. */
const SESSION_TIMEOUT_S = 7_200;

/** Throws StageError for what can't be used. `tickets` null: sessions are not resumed. */
export function terminatingHost(
  resource: TlsResource,
  certificate: CertificateResource,
  trust: TrustResource | null,
  tickets: TicketKeys | null,
): TlsHost {
  const action = resource.action;
  const client = action.kind === 'terminate' ? action.clientCertificate : undefined;
  const demand = demandOf(resource, trust);
  // A resumed session proves nothing anew: not that the certificate is still valid, nor that its CA is still trusted.
  const ticketPurpose = tickets === null || client !== undefined ? '' : resource.id;
  const notAfterMs = Date.parse(leafOf(certificate).validTo);
  return {
    id: resource.id,
    resource,
    certificate: sha256(certificate.chain),
    demand,
    context: contextOf(resource, certificate, trust, ticketPurpose === '' ? null : (tickets as TicketKeys)),
    asksCertificate: client !== undefined,
    requiresCertificate: client?.mode === 'required',
    upstream: null,
    notAfterMs,
    ticketPurpose,
    current: true,
  };
}

/** Handshakes are refused, and what the resource demands of clients still counts. */
export function refusingHost(resource: TlsResource): TlsHost {
  return without(resource, demandOf(resource, null), null);
}

export function passthroughHost(resource: TlsResource, upstream: Upstream): TlsHost {
  return without(resource, PASSTHROUGH, upstream);
}

/** A demand that no connection to this gateway meets. */
export const PASSTHROUGH = 'passthrough';

function without(resource: TlsResource, demand: string, upstream: Upstream | null): TlsHost {
  return {
    id: resource.id,
    resource,
    certificate: '',
    demand,
    context: null,
    asksCertificate: false,
    requiresCertificate: false,
    upstream,
    notAfterMs: 0,
    ticketPurpose: '',
    current: true,
  };
}

function demandOf({ action }: TlsResource, trust: TrustResource | null): string {
  if (action.kind === 'passthrough') return PASSTHROUGH;
  if (action.kind === 'fail') return action.requiresCertificate === true ? 'required ' : '';
  const { clientCertificate } = action;
  return clientCertificate === undefined
    ? ''
    : `${clientCertificate.mode} ${trust === null ? '' : sha256(trust.authorities)}`;
}

/** Whether a request that no client certificate was asked for must not be answered. */
export function demandsCertificate(demand: string): boolean {
  return demand === PASSTHROUGH || demand.startsWith('required');
}

function leafOf({ chain }: CertificateResource): X509Certificate {
  try {
    return new X509Certificate(chain);
  } catch {
    throw new StageError('action.certificate', 'holds no certificate that can be read');
  }
}

function contextOf(
  resource: TlsResource,
  certificate: CertificateResource,
  trust: TrustResource | null,
  tickets: TicketKeys | null,
): SecureContext {
  try {
    const context = createSecureContext({
      cert: certificate.chain,
      key: certificate.key,
      // Without one of its own a context is given the authorities of the whole Web.
      ca: trust?.authorities ?? certificate.chain,
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      // AES-128 with SHA-256 first, unless the client's own first is ChaCha20 (it has no AES in hardware).
      honorCipherOrder: true,
      sessionTimeout: SESSION_TIMEOUT_S,
      sessionIdContext: sha256(`${resource.id} ${trust?.authorities ?? ''}`).slice(0, 32),
      ...(tickets !== null && { ticketKeys: tickets.keyFor(resource.id) }),
      secureOptions:
        constants.SSL_OP_NO_RENEGOTIATION |
        constants.SSL_OP_PRIORITIZE_CHACHA |
        (tickets === null ? constants.SSL_OP_NO_TICKET : 0),
    });
    return context;
  } catch (error) {
    throw new StageError('action.certificate', `can't be used: ${messageOf(error)}`);
  }
}

/** For handshakes from now on. */
export function renewTickets(host: TlsHost, tickets: TicketKeys): void {
  if (host.context === null || host.ticketPurpose === '') return;
  const { context } = host.context as { context: { setTicketKeys(keys: Buffer): void } };
  context.setTicketKeys(tickets.keyFor(host.ticketPurpose));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
