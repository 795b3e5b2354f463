/** Backend: where requests can go. */
import { z } from 'zod';
import { exactlyOneOf, withRules } from '../rule.ts';
import { balancing } from './backend/balancing.ts';
import { breaker } from './backend/breaker.ts';
import { dns } from './backend/dns.ts';
import { health } from './backend/health.ts';
import { pool } from './backend/pool.ts';
import { protocol, proxyProtocol, proxyWhereOwn, tls, tlsWhereSpoken } from './backend/transport.ts';
import { address, conditions, duration, gateway, integer, objectName, show } from './common.ts';

const portError = (issue: { input?: unknown }) =>
  issue.input === undefined
    ? 'is required'
    : `must be a port number 1 to 65535 or the name of a port, got ${show(issue.input)}`;

const servicePort = withRules(z.union([z.int(), z.string()], { error: portError }), {
  cel: "type(self) == int ? self >= 1 && self <= 65535 : self.matches('^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$')",
  message: 'must be a port number 1 to 65535 or the name of a port',
  test: (value) =>
    (typeof value === 'number' ? value >= 1 && value <= 65535 : /^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(value)) ||
    portError({ input: value }),
}).meta({
  description:
    'Port of the Service, by number or name. Any number where the Service is headless without ports, or an ExternalName.',
  'x-kubernetes-int-or-string': true,
});

const service = z
  .strictObject({
    name: objectName(
      'Name of a Service in the namespace of the Backend. Its ready endpoints are followed; of type ExternalName, the addresses of its name.',
    ),
    port: servicePort,
  })
  .describe('A Kubernetes Service.');

const host = z.strictObject({
  address,
  port: integer(1, 65535).describe('Port.'),
  weight: integer(1, 1000).default(1).describe('Share of the requests, relative to the other hosts.'),
  priority: integer(0, 15)
    .optional()
    .describe(
      'Hosts of a higher number get requests only as far as those below can not carry them: from less than 71 % of these serving on, and all when none does. Default 0.',
    ),
});

export const backendSpec = withRules(
  z.strictObject({
    gateway,
    service: service.optional(),
    hosts: z.array(host).min(1).max(256).optional().describe('Fixed addresses.'),
    dns: dns.optional(),
    protocol,
    tls: tls.optional(),
    proxyProtocol,
    balancing: balancing.optional(),
    timeouts: z
      .strictObject({ connect: duration('For a new connection to be there, TLS included. Default 2s.').optional() })
      .optional()
      .describe('How long things may take.'),
    pool: pool.optional(),
    health: health.optional(),
    breaker: breaker.optional(),
  }),
  exactlyOneOf('service', 'hosts', 'dns'),
  tlsWhereSpoken,
  proxyWhereOwn,
);
export type BackendSpec = z.output<typeof backendSpec>;

export const backendStatus = z.object({
  conditions,
  target: z.string().optional().describe('Where requests go, in one line, for kubectl get.'),
  protocol: z.string().optional().describe('spec.protocol with its default, for kubectl get.'),
  endpoints: z.string().optional().describe('Healthy endpoints of all there are, such as 5/6, for kubectl get.'),
});
