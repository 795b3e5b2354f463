/** Route `spec.tls`: how the hosts of a Route are served over TLS. */
import { z } from 'zod';
import { type Rule, withRules } from '../rule.ts';
import { objectName } from './common.ts';

const clientCertificate = z.strictObject({
  mode: z
    .enum(['optional', 'required'])
    .describe(
      'required: a client without a certificate of these CAs is refused in the handshake, and the hosts are not served without TLS. optional: none may be shown, a wrong one may not.',
    ),
  ca: z
    .strictObject({
      secret: objectName('Name of a Secret of this namespace that holds the CAs as ca.crt.'),
    })
    .describe('The CAs that certificates of clients must come from.'),
});

export const routeTls = withRules(
  z.strictObject({
    secret: objectName(
      'Name of a Secret of type kubernetes.io/tls of this namespace: the certificate that is shown for the hosts.',
    ).optional(),
    clientCertificate: clientCertificate.optional().describe('What is asked of clients.'),
    passthrough: z
      .literal(true, { error: 'must be true, or left out' })
      .optional()
      .describe(
        'TLS goes to the backend as it is, by the server name (SNI) alone. The Route then has one rule, with one backend and nothing else.',
      ),
  }),
  {
    cel: 'has(self.secret) != has(self.passthrough)',
    message: 'exactly one of secret, passthrough',
    test: (value) => (value.secret === undefined) !== (value.passthrough === undefined),
  },
  {
    cel: '!has(self.clientCertificate) || has(self.secret)',
    message: 'clientCertificate needs secret: what passes through is not looked into',
    test: (value) => value.clientCertificate === undefined || value.secret !== undefined,
  },
);
export type RouteTls = z.output<typeof routeTls>;

interface Fields {
  readonly hosts?: readonly string[] | undefined;
  readonly tls?: RouteTls | undefined;
  readonly rules: readonly object[];
}

/** A passthrough knows the server name and nothing of the requests. */
export const passthroughAlone: Rule<Fields> = {
  cel:
    '!has(self.tls) || !has(self.tls.passthrough) || (size(self.rules) == 1 && self.rules.all(r, has(r.backends) && size(r.backends) == 1 && ' +
    '!has(r.matches) && !has(r.split) && !has(r.mirrors) && !has(r.fallback) && !has(r.rewrite) && !has(r.headers) && !has(r.timeouts) && !has(r.retry)))',
  message: 'with tls.passthrough: one rule with one backend, and nothing else but its name',
  test: ({ tls, rules }) => {
    if (tls?.passthrough !== true) return true;
    const [rule, ...more] = rules as Record<string, unknown>[];
    if (rule === undefined || more.length > 0) return false;
    const others = Object.keys(rule).filter((key) => rule[key] !== undefined && key !== 'name' && key !== 'backends');
    return others.length === 0 && Array.isArray(rule.backends) && rule.backends.length === 1;
  },
};
