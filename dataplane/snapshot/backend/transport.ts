/** What the endpoints of a backend speak, and how they are connected to. */
import { z } from 'zod';
import { id } from '../primitives.ts';

export const backendProtocol = z.enum(['http1', 'http2']);
export type BackendProtocol = z.infer<typeof backendProtocol>;

/** TLS to the endpoints. Their certificate must hold until proven otherwise: chain, name and time are always checked. */
export const upstreamTls = z.strictObject({
  /** Sent as SNI, and looked for in the certificate where `subjectAltNames` says nothing else. Absent: the Host of the request has no part in it; the endpoint's name, else its address. */
  serverName: z.string().min(1).max(253).optional(),
  /** Id of a `trust` resource. Absent: the CAs that Node brings along. */
  trust: id.optional(),
  /** Id of a `certificate` resource: shown to the endpoint. */
  certificate: id.optional(),
  /** One of these must stand among the certificate's DNS names or URIs, instead of the server name. */
  subjectAltNames: z.array(z.string().min(1).max(512)).max(32).optional(),
});
export type UpstreamTls = z.infer<typeof upstreamTls>;

/** PROXY protocol (haproxy.org, proxy-protocol.txt): the client's address goes ahead of everything else on a connection. */
export const proxyProtocol = z.enum(['v1', 'v2']);
export type ProxyProtocol = z.infer<typeof proxyProtocol>;
