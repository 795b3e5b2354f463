/** How much: limits on requests. */
import { z } from 'zod';
import { DURATION_PATTERN, parseDurationMs } from '../../duration.ts';
import { atLeastOneOf, exactlyOneOf, withRules } from '../../rule.ts';
import { headerName, integer, label, listMap, show } from '../common.ts';

const MOST_UNITS = 1_000_000_000;
/** 31 days. */
const LONGEST_HOURS = 744;

const window = (text: string) =>
  withRules(z.string().min(1).max(24), {
    cel: `self.matches('${DURATION_PATTERN}') && duration(self) >= duration('1ms') && duration(self) <= duration('${LONGEST_HOURS}h')`,
    message: `must be a duration from 1ms to ${LONGEST_HOURS}h such as 1s, 1m or 24h`,
    test: (value) => {
      const ms = parseDurationMs(value) ?? 0;
      const fits = ms >= 1 && ms <= LONGEST_HOURS * 3_600_000;
      return fits || `must be a duration from 1ms to ${LONGEST_HOURS}h such as 1s, 1m or 24h, got ${show(value)}`;
    },
  }).meta({ description: text });

const amount = (text: string) => integer(1, MOST_UNITS).describe(text);

const keyPart = withRules(
  z.strictObject({
    by: z
      .enum(['address', 'consumer', 'claim', 'header', 'route', 'rule'])
      .describe(
        'address: the client’s network. consumer: who authentication says calls. claim: one claim of its token. header: a request header, which a client may choose freely. route, rule: each Route or rule by itself, where the policy holds for several.',
      ),
    name: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .describe('Of the claim, or a path into it such as org.id; of the header.'),
    prefixV4: integer(1, 32).optional().describe('Bits of an IPv4 address that count. Default 32.'),
    prefixV6: integer(1, 128)
      .optional()
      .describe('Bits of an IPv6 address that count. Default 64: a home or a server has a whole /64.'),
  }),
  {
    cel: "has(self.name) == (self.by in ['claim', 'header'])",
    message: 'name belongs to claim and header, and only there',
    test: ({ by, name }) => (name !== undefined) === (by === 'claim' || by === 'header'),
  },
  {
    cel: "self.by == 'address' || (!has(self.prefixV4) && !has(self.prefixV6))",
    message: 'prefixV4 and prefixV6 belong to address',
    test: ({ by, prefixV4, prefixV6 }) => by === 'address' || (prefixV4 === undefined && prefixV6 === undefined),
  },
  {
    cel: "self.by != 'header' || !has(self.name) || self.name.matches('^[!#$%&*+-.^_`|~0-9A-Za-z]+$')",
    message: 'name must be the name of a header: letters, digits and -',
    test: ({ by, name }) => by !== 'header' || name === undefined || /^[!#$%&*+\-.^_`|~0-9A-Za-z]+$/.test(name),
  },
);

const withinMax = {
  cel: 'self.default <= self.max',
  message: 'default must not be above max',
  test: (value: { default: number; max: number }) => value.default <= value.max,
};

const cost = withRules(
  z.strictObject({
    fixed: amount('The same for every request.').optional(),
    requestHeader: withRules(
      z.strictObject({
        name: headerName,
        default: amount('Where the header is missing or no whole number.'),
        max: amount('What it says is cut to this.'),
      }),
      withinMax,
    )
      .optional()
      .describe('What a request header says, at least 1. Only for headers a client can not choose.'),
    responseHeader: withRules(
      z.strictObject({
        name: headerName,
        default: integer(0, MOST_UNITS).describe('Where the header is missing or no whole number.'),
        max: amount('What it says is cut to this.'),
      }),
      withinMax,
    )
      .optional()
      .describe(
        'What the backend says in its response. Requests are admitted while anything is left, so those in flight at once may go over by what they cost.',
      ),
  }),
  exactlyOneOf('fixed', 'requestHeader', 'responseHeader'),
);

const callers = (text: string) => z.array(z.string().min(1).max(253)).min(1).max(64).optional().describe(text);

const override = withRules(
  z.strictObject({
    consumers: callers('For these consumers.'),
    groups: callers('For consumers of one of these groups.'),
    limit: amount('In place of the limit.'),
    window: window('In place of the window.').optional(),
    burst: amount('In place of burst. Absent: this limit.').optional(),
  }),
  atLeastOneOf('consumers', 'groups'),
);

const limit = withRules(
  z.strictObject({
    name: label('Name of the limit, for clients (RateLimit fields), metrics and the log.'),
    algorithm: z
      .enum(['tokenBucket', 'slidingWindow', 'fixedWindow', 'concurrency'])
      .default('tokenBucket')
      .describe(
        'tokenBucket: in any time t at most burst + limit × t / window. slidingWindow: at most limit × (1 + t / window). fixedWindow: limit in each window of the clock, so up to twice that across the seam of two. concurrency: requests in flight at a time.',
      ),
    limit: amount('Units a window (requests, where cost says nothing else); of concurrency, requests in flight.'),
    window: window('Windows begin at whole multiples of it since the epoch, UTC. Not for concurrency.').optional(),
    burst: amount('Units that a token bucket holds. Default: limit.').optional(),
    key: z
      .array(keyPart)
      .max(8)
      .optional()
      .describe(
        'What requests are told apart by, all of it together. Absent: one limit for all. Requests that lack a part (no consumer, no such header) share one.',
      ),
    cost: cost.optional().describe('Units a request takes. Absent: 1.'),
    overrides: z.array(override).max(64).optional().describe('Other amounts; the first that names the caller counts.'),
    scope: z
      .enum(['local', 'global'])
      .default('local')
      .describe(
        'local: each data-plane pod by itself. global: all pods together, with an equal share for each (store memory) or counted in one place (store redis).',
      ),
    store: z
      .enum(['memory', 'redis'])
      .default('memory')
      .describe('memory: in the pod, gone when it ends. redis: in the Redis of the installation; needs scope global.'),
    mode: z
      .enum(['exact', 'leased'])
      .default('exact')
      .describe(
        'Of store redis. exact: asked for each request, which waits for it. leased: the workers of all pods take units in batches and spend them without asking. Together they hold up to a fifth of the limit (of burst, for a tokenBucket), or a unit each where that is more: by so much they may admit more in any time, and so much may lie unused for 1.5 s. A limit below ten units a worker is asked for each request in either mode.',
      ),
    onStoreFailure: z
      .enum(['allow', 'deny', 'local'])
      .default('local')
      .describe(
        'When Redis does not answer within TIDEGATE_REDIS_TIMEOUT_MS of the data plane (50 ms). allow: without this limit. deny: 503. local: by the share of the pod.',
      ),
    dryRun: z
      .boolean()
      .default(false)
      .describe('Refuse nothing: what would have been is counted, and named in the access log (wouldRefuse).'),
  }),
  {
    cel: "has(self.window) != (self.algorithm == 'concurrency')",
    message: 'set window; only concurrency has none',
    test: ({ algorithm, window }) => (window !== undefined) !== (algorithm === 'concurrency'),
  },
  {
    cel: "self.algorithm == 'tokenBucket' || (!has(self.burst) && (!has(self.overrides) || self.overrides.all(o, !has(o.burst))))",
    message: 'only a tokenBucket has a burst',
    test: ({ algorithm, burst, overrides = [] }) =>
      algorithm === 'tokenBucket' || (burst === undefined && overrides.every((one) => one.burst === undefined)),
  },
  {
    cel: "self.algorithm != 'concurrency' || (!has(self.cost) && self.store == 'memory' && (!has(self.overrides) || self.overrides.all(o, !has(o.window))))",
    message:
      'concurrency counts each request as 1, in memory, without a window: leave out cost, store and the windows of overrides',
    test: ({ algorithm, cost, store, overrides = [] }) =>
      algorithm !== 'concurrency' ||
      (cost === undefined && store === 'memory' && overrides.every((one) => one.window === undefined)),
  },
  {
    cel: "self.store == 'memory' || self.scope == 'global'",
    message: 'a limit in redis is for all pods: set scope to global',
    test: ({ store, scope }) => store === 'memory' || scope === 'global',
  },
  {
    cel: "self.mode == 'exact' || self.store == 'redis'",
    message: 'mode leased needs store redis',
    test: ({ mode, store }) => mode === 'exact' || store === 'redis',
  },
  {
    cel: '!has(self.cost) || (has(self.cost.fixed) ? self.cost.fixed : has(self.cost.requestHeader) ? self.cost.requestHeader.max : 0) <= (has(self.burst) ? self.burst : self.limit)',
    message: 'a request must not cost more than burst, or limit: it would never be admitted',
    test: ({ cost, burst, limit }) => (cost?.fixed ?? cost?.requestHeader?.max ?? 0) <= (burst ?? limit),
  },
);
export type LimitSpec = z.output<typeof limit>;

export const rateLimit = z
  .strictObject({
    limits: listMap(z.array(limit).min(1).max(16), 'name').describe(
      'All of them must admit a request. Refused is 429, with Retry-After.',
    ),
    responseFields: z
      .boolean()
      .default(true)
      .describe('Tell clients in RateLimit and RateLimit-Policy (IETF) what is left, on every response.'),
  })
  .meta({
    description:
      'How much. Limits hold over all rules that the policy holds for, unless key says route or rule. They hold for each pod whatever worker a connection lands on; a flood of keys can make them stricter, never laxer.',
  });
