/** Who calls: methods, and how they are composed. */
import { z } from 'zod';
import { exactlyOneOf, withRules } from '../../rule.ts';
import { headerName, label, listMap } from '../common.ts';
import { apiKey } from './authentication/api-key.ts';
import { basic } from './authentication/basic.ts';
import { clientCertificate } from './authentication/client-certificate.ts';
import { forward } from './authentication/forward.ts';
import { introspection } from './authentication/introspection.ts';
import { jwt } from './authentication/jwt.ts';
import { oidc } from './authentication/oidc.ts';
import { signature } from './authentication/signature.ts';

/** To add a method: its file in authentication/, a line here, and its file in compile/sections/authentication/. */
const methodKinds = {
  apiKey: apiKey.optional(),
  basic: basic.optional(),
  jwt: jwt.optional(),
  introspection: introspection.optional(),
  forward: forward.optional(),
  oidc: oidc.optional(),
  signature: signature.optional(),
  clientCertificate: clientCertificate.optional(),
};
export type MethodName = keyof typeof methodKinds;
const METHOD_NAMES = Object.keys(methodKinds) as MethodName[];

const method = withRules(
  z.strictObject({ name: label('Name of the method, for anyOf, logs and metrics.'), ...methodKinds }),
  exactlyOneOf<Partial<Record<MethodName, unknown>>>(...METHOD_NAMES),
);
export type MethodSpec = z.output<typeof method>;

const alternative = z.strictObject({
  allOf: z
    .array(label('Name of a method.'))
    .min(1)
    .max(8)
    .describe('Methods that must all vouch for the request. The first one names the consumer.'),
});

const namedOnce = {
  cel: 'self.methods.all(m, !has(self.anyOf) || self.anyOf.exists(a, a.allOf.exists(n, n == m.name)))',
  message: 'every method must stand in an alternative of anyOf: one that nobody asks protects nothing',
  test: (value: {
    methods: readonly { name: string }[];
    anyOf?: readonly { allOf: readonly string[] }[] | undefined;
  }) =>
    value.anyOf === undefined ||
    value.methods.every(({ name }) => value.anyOf?.some(({ allOf }) => allOf.includes(name)) === true),
};

const knownNames = {
  cel: '!has(self.anyOf) || self.anyOf.all(a, a.allOf.all(n, self.methods.exists(m, m.name == n)))',
  message: 'anyOf must name methods of this section',
  test: (value: Parameters<typeof namedOnce.test>[0]) => {
    const names = value.methods.map(({ name }) => name);
    const unknown = (value.anyOf ?? []).flatMap(({ allOf }) => allOf).find((name) => !names.includes(name));
    return unknown === undefined || `anyOf names ${unknown}; there are ${names.join(', ')}`;
  },
};

export const authentication = withRules(
  z.strictObject({
    methods: listMap(z.array(method).min(1).max(8), 'name').describe('Ways to say who calls; exactly one kind each.'),
    anyOf: z
      .array(alternative)
      .min(1)
      .max(8)
      .optional()
      .describe('Alternatives, in order; the first that holds decides. Absent: each method alone is enough.'),
    optional: z
      .boolean()
      .default(false)
      .describe('Requests without any credential go on, without a consumer. One with a wrong credential never does.'),
    consumerHeader: headerName
      .optional()
      .describe(
        'Header that tells the backend the consumer; what clients send under it is dropped. Default x-consumer.',
      ),
    groupsHeader: headerName
      .optional()
      .describe('The same for its groups, with commas between them. Default x-consumer-groups.'),
  }),
  namedOnce,
  knownNames,
).meta({ description: 'Who calls. What can not be built of it answers 503 on its rules, never open.' });
export type AuthenticationSpec = z.output<typeof authentication>;
