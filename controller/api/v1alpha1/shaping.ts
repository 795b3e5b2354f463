/** What a rule of a Route does with its traffic besides forwarding it by weight. */
import { z } from 'zod';
import { exactlyOneOf, type Rule, withRules } from '../rule.ts';
import { eachOnce, headerName, integer, listMap, objectName, percent, plainName } from './common.ts';
import { method } from './matching.ts';

export const backendRef = z.strictObject({
  name: objectName('Name of a Backend in the namespace of the Route.'),
  weight: integer(0, 1000)
    .default(1)
    .describe('Share of the requests, relative to the sum of all weights. 0 takes none.'),
});

export const respond = z.strictObject({
  status: integer(200, 599).describe('Status of the answer.'),
  contentType: withRules(z.string().min(1).max(256), {
    cel: `self.matches(r'^[!-~][ -~]*$')`,
    message: 'must be a media type such as text/plain',
    test: (value) => /^[!-~][ -~]*$/.test(value),
  })
    .optional()
    .meta({ description: 'Content-Type of the answer. Absent with a body: text/plain; charset=utf-8.' }),
  body: z.string().max(65536).optional().describe('Body of the answer, up to 64 Ki characters.'),
});

export const split = withRules(
  z.strictObject({
    header: headerName
      .optional()
      .meta({ description: 'Name of a header that tells users apart, such as x-user; case does not matter.' }),
    cookie: plainName('cookie').optional(),
  }),
  exactlyOneOf('header', 'cookie'),
).meta({
  description:
    'By whom backends are chosen among their weights: one value stays with one backend of the Route, and when weight is shifted from one ' +
    'backend of two to the other, nobody moves the other way. Requests without it, and all where this is absent, are split at random.',
});
export type SplitSpec = z.output<typeof split>;

const bodyBytes = (text: string) => integer(0, 1_048_576).optional().describe(text);

const mirror = z.strictObject({
  name: objectName('Name of a Backend in the namespace of the Route.'),
  percent: percent('Share of the requests that are copied, in percent, such as 5 or 0.1.').default(100),
  bodyBytes: bodyBytes('Bytes of the largest body that is copied; requests with a larger one are not. Default 65536.'),
});
export type MirrorSpec = z.output<typeof mirror>;

export const mirrors = listMap(z.array(mirror).min(1).max(4), 'name').describe(
  'Copies of requests for further Backends, marked with x-mirrored: 1. Responses to them are thrown away; the original waits for none of ' +
    'them and fails with none of them. A copy has 10 s; 256 are under way at once in a worker at most.',
);

const statusesNeedStatus: Rule<{ when?: string[] | undefined; statuses?: number[] | undefined }> = {
  cel: "!has(self.statuses) || !has(self.when) || 'status' in self.when",
  message: 'statuses needs status in when',
  test: ({ when, statuses }) => statuses === undefined || when === undefined || when.includes('status'),
};

const repeatsNeedBackends: Rule<{ respond?: unknown; methods?: unknown; bodyBytes?: unknown }> = {
  cel: '!has(self.respond) || (!has(self.methods) && !has(self.bodyBytes))',
  message: 'methods and bodyBytes need backends: an answer of its own sends nothing on',
  test: (value) => value.respond === undefined || (value.methods === undefined && value.bodyBytes === undefined),
};

export const fallback = withRules(
  z.strictObject({
    // Not `on`: to YAML 1.1, which kubectl reads, that key is `true`.
    when: withRules(
      z
        .array(z.enum(['unavailable', 'reset', 'timeout', 'status']))
        .min(1)
        .max(4),
      eachOnce,
    )
      .optional()
      .meta({
        description:
          'unavailable: nothing was sent (no endpoint, no connection, breaker open, too many requests, no such Backend). ' +
          'reset: no acceptable response came. timeout: none came in time. status: one of statuses came. ' +
          'Default unavailable, and status if statuses are given.',
        'x-kubernetes-list-type': 'set',
      }),
    statuses: withRules(z.array(integer(400, 599)).min(1).max(16), eachOnce)
      .optional()
      .meta({ description: 'Statuses that count as failed. Default 502, 503, 504.', 'x-kubernetes-list-type': 'set' }),
    backends: listMap(z.array(backendRef).min(1).max(4), 'name')
      .optional()
      .describe('Forward to these Backends instead, by weight. What they answer is passed on, whatever it is.'),
    respond: respond.optional().describe('Answer directly instead.'),
    methods: z
      .array(method)
      .max(16)
      .optional()
      .describe(
        'Methods that go to backends although the first one may have acted on the request (reset, timeout, status). ' +
          'Default GET, HEAD, OPTIONS, PUT, DELETE.',
      ),
    bodyBytes: bodyBytes(
      'Bytes of the largest body that is kept for backends. A request whose larger body was begun to be sent goes nowhere else. Default 65536.',
    ),
  }),
  exactlyOneOf('backends', 'respond'),
  statusesNeedStatus,
  repeatsNeedBackends,
).meta({
  description: 'Where a request goes that its backend has no good answer for, after all retries. It falls back once.',
});
export type FallbackSpec = z.output<typeof fallback>;
