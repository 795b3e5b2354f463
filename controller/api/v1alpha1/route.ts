/** Route: which requests, and what happens to them. */
import { z } from 'zod';
import { atLeastOneOf, exactlyOneOf, withRules } from '../rule.ts';
import {
  cidr,
  conditions,
  gateway,
  headerEdits,
  headerName,
  integer,
  label,
  listMap,
  plainHost,
  plainName,
  regex,
  routeHost,
  timeouts,
} from './common.ts';
import { method, pathMatch, pathText } from './matching.ts';
import { retry } from './retry.ts';
import { passthroughAlone, routeTls } from './route-tls.ts';
import { backendRef, fallback, mirrors, respond, split } from './shaping.ts';

function valueMatch(what: string, name: z.ZodType<string>) {
  return withRules(
    z.strictObject({
      name,
      exact: z.string().max(4096).optional().describe(`The ${what} has this value.`),
      regex: regex(`A regular expression (RE2 syntax) that matches the whole value of the ${what}.`, 192).optional(),
      present: z
        .literal(true, { error: 'must be true, or left out' })
        .optional()
        .describe(`The ${what} is there, with any value.`),
    }),
    exactlyOneOf('exact', 'regex', 'present'),
  );
}

const SERVICE = '^[A-Za-z_][A-Za-z0-9_.]*$';
const METHOD = '^[A-Za-z_][A-Za-z0-9_]*$';

export const grpcMatch = withRules(
  z.strictObject({
    service: regex('Full name of the service with its package: shop.v1.Orders. Absent: every service.', 192).optional(),
    method: regex('Name of the method: GetOrder. Absent: every method.', 192).optional(),
    regex: z
      .literal(true, { error: 'must be true, or left out' })
      .optional()
      .describe('service and method are regular expressions (RE2 syntax) that match the whole name.'),
  }),
  atLeastOneOf('service', 'method'),
  {
    cel: `has(self.regex) || ((!has(self.service) || self.service.matches('${SERVICE}')) && (!has(self.method) || self.method.matches('${METHOD}')))`,
    message: 'service and method must be names of Protocol Buffers, or set regex',
    test: (value) =>
      value.regex === true ||
      (new RegExp(SERVICE).test(value.service ?? '_') && new RegExp(METHOD).test(value.method ?? '_')),
  },
).meta({
  description:
    'A gRPC call, gRPC-Web included, by its service and method: POST to /service/method. It stands for path and methods.',
});
export type GrpcMatch = z.output<typeof grpcMatch>;

export const routeMatch = withRules(
  z.strictObject({
    path: pathMatch.optional(),
    grpc: grpcMatch.optional(),
    methods: z.array(method).max(16).optional().describe('One of these methods. Absent: every method.'),
    headers: z
      .array(valueMatch('header', headerName))
      .max(8)
      .optional()
      .describe('All of these headers match. Several lines of one header count as one value, joined by a comma.'),
    query: z
      .array(valueMatch('query parameter', plainName('query parameter')))
      .max(8)
      .optional()
      .describe('All of these query parameters match; of a repeated one the first counts.'),
    cookies: z
      .array(valueMatch('cookie', plainName('cookie')))
      .max(8)
      .optional()
      .describe('All of these cookies match.'),
    sources: z.array(cidr).max(32).optional().describe('The address of the client lies in one of these.'),
  }),
  {
    cel: '!has(self.grpc) || (!has(self.path) && !has(self.methods))',
    message: 'grpc stands for path and methods: set no others',
    test: ({ grpc, path, methods }) => grpc === undefined || (path === undefined && methods === undefined),
  },
);
export type RouteMatch = z.output<typeof routeMatch>;

const pathRewrite = withRules(
  z.strictObject({
    full: pathText('The whole new path.').optional(),
    prefix: pathText(
      'What replaces the matched prefix. Every match of the rule must have a path prefix (or no path).',
    ).optional(),
  }),
  exactlyOneOf('full', 'prefix'),
);

const redirect = withRules(
  z.strictObject({
    scheme: z.enum(['http', 'https']).optional().describe('New scheme. Absent: as requested.'),
    host: plainHost('New host. Absent: as requested.').optional(),
    port: integer(1, 65535)
      .optional()
      .describe('New port. Absent: the default one of a new scheme, else as requested.'),
    path: pathRewrite.optional().describe('New path. Absent: as requested.'),
    status: z
      .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)], {
        error: (issue) => `must be 301, 302, 303, 307 or 308, got ${JSON.stringify(issue.input)}`,
      })
      .default(302)
      .meta({ description: 'Status of the answer: 301, 302, 303, 307 or 308.' }),
  }),
  atLeastOneOf('scheme', 'host', 'port', 'path'),
).meta({ description: 'Answer with a redirect. The query is kept.' });

export const ruleName = label('Name of the rule, unique in the Route: its identity in policies, logs and metrics.');

export const routeRule = withRules(
  z.strictObject({
    name: ruleName,
    matches: z
      .array(routeMatch)
      .max(16)
      .optional()
      .describe('The rule takes a request that one of these matches. Absent or empty: every request.'),
    backends: listMap(z.array(backendRef).min(1).max(16), 'name')
      .optional()
      .describe('Forward to these Backends, by weight.'),
    split: split.optional(),
    mirrors: mirrors.optional(),
    fallback: fallback.optional(),
    redirect: redirect.optional(),
    respond: respond.optional().describe('Answer directly.'),
    rewrite: withRules(
      z.strictObject({
        host: plainHost('The Host the backend sees.').optional(),
        path: pathRewrite.optional().describe('The path the backend sees.'),
      }),
      atLeastOneOf('host', 'path'),
    )
      .optional()
      .describe('What the backend sees instead of what the client sent. Only with backends.'),
    headers: withRules(
      z.strictObject({
        request: headerEdits('Edits of the request before it is forwarded.').optional(),
        response: headerEdits('Edits of the response before it is sent.').optional(),
      }),
      atLeastOneOf('request', 'response'),
    )
      .optional()
      .describe('Edits of headers, after those of policies.'),
    timeouts: timeouts.optional(),
    retry: retry
      .optional()
      .describe(
        'What is tried again, and how often; wins over the retry section of a Policy as a whole. Only with backends.',
      ),
  }),
  exactlyOneOf('backends', 'redirect', 'respond'),
  {
    cel: '!has(self.rewrite) || has(self.backends)',
    message: 'rewrite needs backends',
    test: (value) => value.rewrite === undefined || value.backends !== undefined,
  },
  {
    cel: '!has(self.retry) || has(self.backends)',
    message: 'retry needs backends',
    test: (value) => value.retry === undefined || value.backends !== undefined,
  },
  {
    cel: 'has(self.backends) || (!has(self.split) && !has(self.mirrors) && !has(self.fallback))',
    message: 'split, mirrors and fallback need backends',
    test: ({ backends, split, mirrors, fallback }) =>
      backends !== undefined || (split === undefined && mirrors === undefined && fallback === undefined),
  },
  {
    cel:
      '!((has(self.rewrite) && has(self.rewrite.path) && has(self.rewrite.path.prefix)) || (has(self.redirect) && ' +
      'has(self.redirect.path) && has(self.redirect.path.prefix))) || !has(self.matches) || ' +
      'self.matches.all(m, !has(m.grpc) && (!has(m.path) || has(m.path.prefix)))',
    message: 'path.prefix of a rewrite or redirect needs path.prefix in every match of the rule',
    test: (value) =>
      (value.rewrite?.path?.prefix ?? value.redirect?.path?.prefix) === undefined ||
      (value.matches ?? []).every(
        ({ grpc, path }) => grpc === undefined && (path === undefined || path.prefix !== undefined),
      ),
  },
).meta({ description: 'Which requests, and one of backends, redirect, respond.' });
export type RouteRule = z.output<typeof routeRule>;

export const routeSpec = withRules(
  z.strictObject({
    gateway,
    hosts: withRules(z.array(routeHost).max(64), {
      message: 'each host once',
      test: (hosts) => {
        const twice = hosts.find((host, index) => hosts.indexOf(host) < index);
        return twice === undefined || `each host once, got ${twice} twice`;
      },
    })
      .optional()
      .meta({
        description: 'Host names this Route serves. Absent or empty: every host.',
        'x-kubernetes-list-type': 'set',
      }),
    tls: routeTls
      .optional()
      .meta({ description: 'How the hosts are served over TLS. Absent: only where another Route says so for them.' }),
    rules: listMap(z.array(routeRule).min(1).max(64), 'name').describe(
      'The rules. The most specific match wins, wherever it stands: exact path, longest prefix, regex; then method, headers, query; ' +
        'then the older Route, its name, and last the place in this list.',
    ),
  }),
  passthroughAlone,
);
export type RouteSpec = z.output<typeof routeSpec>;

export const routeStatus = z.object({
  conditions,
  hosts: z.string().optional().describe('spec.hosts in one line, for kubectl get.'),
  backends: z.string().optional().describe('Names of the Backends in one line, for kubectl get.'),
  reason: z.string().optional().describe('Reason of the first condition that does not hold, for kubectl get.'),
});
