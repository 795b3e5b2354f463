/** What the endpoints speak, and how they are connected to. */
import { z } from 'zod';
import { type Rule, withRules } from '../../rule.ts';
import { objectName, plainHost } from '../common.ts';

export const PROTOCOLS = ['http1', 'https', 'h2', 'h2c', 'grpc'] as const;

export const protocol = z
  .enum(PROTOCOLS)
  .default('http1')
  .describe(
    'What the backend speaks. http1: HTTP/1.1 without TLS. https: HTTP/1.1 over TLS. h2: HTTP/2 over TLS. h2c: HTTP/2 without TLS. grpc: as h2c, or as h2 with spec.tls.',
  );

const subjectAltName = withRules(
  z
    .string()
    .min(1)
    .max(512)
    .meta({ description: 'A DNS name (api.example.com) or a URI (spiffe://example.com/api), exact.' }),
  {
    cel: "self.matches('^[!-~]+$')",
    message: 'must be a DNS name or a URI, of printable ASCII without spaces',
    test: (value) => /^[!-~]+$/.test(value),
  },
);

export const tls = z
  .strictObject({
    serverName: plainHost(
      'Sent as server name (SNI), and looked for in the certificate. Default: the name of the host; of a Service, <name>.<namespace>.svc; of an address, the address itself, and none is sent.',
    ).optional(),
    ca: z
      .strictObject({
        secret: objectName('Name of a Secret of this namespace that holds the CAs as ca.crt.'),
      })
      .optional()
      .describe('The CAs that the certificate of an endpoint may come from. Default: those that Node brings along.'),
    clientCertificate: z
      .strictObject({
        secret: objectName('Name of a Secret of type kubernetes.io/tls of this namespace.'),
      })
      .optional()
      .describe('The certificate that is shown to endpoints that ask for one.'),
    subjectAltNames: z
      .array(subjectAltName)
      .min(1)
      .max(32)
      .optional()
      .describe('One of these must stand in the certificate, instead of the server name.'),
  })
  .describe('TLS to the endpoints. Their certificate is always verified. Only with protocol https, h2 or grpc.');
export type TlsSpec = z.output<typeof tls>;

export const proxyProtocol = z
  .enum(['v1', 'v2'])
  .optional()
  .describe(
    'Each connection begins with the address of its client (PROXY protocol), and carries requests of this client alone. Only with protocol http1 or https.',
  );

interface TransportFields {
  protocol: (typeof PROTOCOLS)[number];
  tls?: unknown;
  proxyProtocol?: unknown;
}

export const tlsWhereSpoken: Rule<TransportFields> = {
  cel: "!has(self.tls) || (has(self.protocol) && self.protocol in ['https', 'h2', 'grpc'])",
  message: 'tls needs protocol https, h2 or grpc',
  test: (spec) => spec.tls === undefined || ['https', 'h2', 'grpc'].includes(spec.protocol),
};

export const proxyWhereOwn: Rule<TransportFields> = {
  cel: "!has(self.proxyProtocol) || !has(self.protocol) || self.protocol in ['http1', 'https']",
  message: 'proxyProtocol needs protocol http1 or https: one HTTP/2 connection carries requests of many clients',
  test: (spec) => spec.proxyProtocol === undefined || ['http1', 'https'].includes(spec.protocol),
};
