/** How endpoints share the requests. */
import { z } from 'zod';
import { exactlyOneOf, type Rule, withRules } from '../../rule.ts';
import { duration, headerName, integer, pattern } from '../common.ts';

const cookieName = (text: string) =>
  pattern(text, '^[!#$%&*+.^_`|~0-9A-Za-z-]+$', 'must be the name of a cookie: letters, digits, - and _', 128);

const hash = withRules(
  z.strictObject({
    header: headerName.optional().describe('By the value of this header.'),
    cookie: cookieName('By the value of this cookie.').optional(),
    query: z.string().min(1).max(256).optional().describe('By the value of this query parameter.'),
    address: z.literal(true).optional().describe('By the address of the client.'),
  }),
  exactlyOneOf('header', 'cookie', 'query', 'address'),
).describe('What decides the endpoint, with maglev and ringHash. A request that lacks it goes to any, by weight.');

const sticky = z
  .strictObject({
    cookie: cookieName('Name of the cookie. Default tidegate-endpoint.').optional(),
    ttl: duration('How long the cookie holds from when it was set. Default 0s: until the browser closes.').optional(),
    path: pattern(
      'Path of the cookie. Default /.',
      '^/[!-:<-~]*$',
      'must begin with / and hold printable ASCII without spaces and ;',
      1024,
    ).optional(),
  })
  .describe(
    'A cookie keeps a client at its endpoint as long as that one serves; then the client gets another one and its cookie. It tells no address.',
  );

const HASHING: readonly string[] = ['maglev', 'ringHash'];
const hashes = { cel: "self.algorithm in ['maglev', 'ringHash']", test: (one: string) => HASHING.includes(one) };

interface Parts {
  readonly algorithm: string;
  readonly hash?: unknown;
  readonly maxLoadPercent?: number | undefined;
}

const hashWithItsAlgorithms: Rule<Parts> = {
  cel: `(${hashes.cel}) == has(self.hash)`,
  message: 'hash must be set with maglev and ringHash, and only with them',
  test: (value) => hashes.test(value.algorithm) === (value.hash !== undefined),
};

const loadWithItsAlgorithms: Rule<Parts> = {
  cel: `${hashes.cel} || !has(self.maxLoadPercent)`,
  message: 'maxLoadPercent holds for maglev and ringHash only',
  test: (value) => hashes.test(value.algorithm) || value.maxLoadPercent === undefined,
};

export const balancing = withRules(
  z.strictObject({
    algorithm: z
      .enum(['roundRobin', 'random', 'leastRequest', 'peakEwma', 'maglev', 'ringHash'])
      .default('roundRobin')
      .describe(
        'roundRobin: in turn. random: at random. leastRequest: of two picked at random the one with fewer requests in flight. peakEwma: of two the one with less latency × requests in flight. maglev, ringHash: what has the same hash goes to the same endpoint; maglev shares more evenly, ringHash moves nothing but what an endpoint that goes had. All go by weight.',
      ),
    hash: hash.optional(),
    maxLoadPercent: integer(101, 1000)
      .optional()
      .describe(
        'With maglev and ringHash: an endpoint with more requests in flight than this share of the mean passes further ones on to the next. Of each worker of a data plane. Default: no bound.',
      ),
    sticky: sticky.optional(),
    slowStart: duration(
      'An endpoint that is new, or serves again, grows from a tenth of its weight to all of it over this time. Default 0s: at once.',
    ).optional(),
    preferZone: z
      .boolean()
      .optional()
      .describe(
        "Endpoints in the data plane's own zone first, by EndpointSlice hints or else by zone, as far as they can carry its part; the rest goes to the others. Default false.",
      ),
  }),
  hashWithItsAlgorithms,
  loadWithItsAlgorithms,
).describe('How endpoints share the requests.');
export type BalancingSpec = z.output<typeof balancing>;
