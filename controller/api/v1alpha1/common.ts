/** The parts the three kinds share: names, hosts, durations, header edits, conditions. */
import { z } from 'zod';
import { isAddress, isCidr } from '../address.ts';
import { DURATION_PATTERN, durationMs, parseDurationMs } from '../duration.ts';
import { regexProblem } from '../regex/regex.ts';
import { atLeastOneOf, type Rule, withRules } from '../rule.ts';

export const GROUP = 'tidegate.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
/** The installation that serves an object which names none. */
export const DEFAULT_GATEWAY = 'tidegate';

const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const NAME = `${LABEL}(\\.${LABEL})*`;

/** A list whose order means nothing but the reader's; `key` makes each item unique, and patches merge by it. */
export function listMap<S extends z.ZodType>(list: S, key: string): S {
  const unique: Rule<z.output<S>> = {
    message: `each ${key} once`,
    test: (items) => {
      const seen = new Set<unknown>();
      for (const item of items as Record<string, unknown>[]) {
        const value = item[key];
        if (seen.has(value)) return `each ${key} once, got ${JSON.stringify(value)} twice`;
        seen.add(value);
      }
      return true;
    },
  };
  return withRules(list, unique).meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] }) as S;
}

/** Of a list whose order means nothing. */
export const eachOnce: Rule<readonly unknown[]> = {
  message: 'each value once',
  test: (values) => new Set(values).size === values.length,
};

/** A whole number of a range, with one message for everything outside it. */
export function integer(min: number, max: number) {
  const error = (issue: { input?: unknown }) =>
    issue.input === undefined ? 'is required' : `must be ${min} to ${max}, got ${show(issue.input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A share in percent, with up to four decimals. */
export function percent(text: string) {
  const error = (issue: { input?: unknown }) => `must be 0 to 100, got ${show(issue.input)}`;
  return withRules(z.number({ error }).min(0, { error }).max(100, { error }), {
    message: 'must have at most four decimals',
    test: (value) => Math.abs(value * 10_000 - Math.round(value * 10_000)) < 1e-6,
  }).meta({ description: text });
}

export function pattern(text: string, source: string, message: string, max: number) {
  const regex = new RegExp(source);
  return withRules(z.string().min(1).max(max), {
    cel: `self.matches(r'${source}')`,
    message,
    test: (value) => regex.test(value) || `${message}, got ${show(value)}`,
  }).meta({ description: text });
}

export const label = (text: string) =>
  pattern(text, `^${LABEL}$`, 'must be lower-case letters, digits and -, such as read-orders', 63);

export const objectName = (text: string) =>
  pattern(text, `^${NAME}$`, 'must be the name of an object: lower-case letters, digits, - and .', 253);

export const gateway = z
  .string()
  .min(1)
  .max(63)
  .default(DEFAULT_GATEWAY)
  .meta({ description: 'The installation that serves this object.' });

/** A host name a request can carry, in lower case; `*.` in front stands for one or more labels. */
export const routeHost = pattern(
  'A host name, exact (api.example.com) or with a wildcard for one or more labels in front (*.example.com).',
  `^(\\*\\.)?${NAME}$`,
  'must be a host name in lower case such as api.example.com or *.example.com, without port',
  253,
);

export const plainHost = (text: string) =>
  pattern(text, `^${NAME}$`, 'must be a host name in lower case such as api.example.com, without port', 253);

const DNS_LABEL = '[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?';

/** Of any record: `_http._tcp.db.example.com` too. */
export const dnsName = (text: string) =>
  pattern(
    text,
    `^${DNS_LABEL}(\\.${DNS_LABEL})*\\.?$`,
    'must be a DNS name in lower case such as db.example.com or _http._tcp.db.example.com',
    254,
  );

const IP_CEL = 'isIP(self)';
export const address = withRules(
  z.string().min(1).max(253).meta({
    description: 'An IPv4 or IPv6 address, or a DNS name, whose addresses are then followed and share the weight.',
  }),
  {
    cel: `self.matches(r'^${NAME}$') || ${IP_CEL}`,
    message: 'must be an IP address or a DNS name in lower case',
    test: (value) =>
      isAddress(value) ||
      new RegExp(`^${NAME}$`).test(value) ||
      `must be an IP address or a DNS name in lower case, got ${show(value)}`,
  },
);

export const cidr = withRules(
  z.string().min(1).max(49).meta({ description: 'A CIDR block (10.0.0.0/8, 2001:db8::/32) or one address.' }),
  {
    cel: `isCIDR(self) || ${IP_CEL}`,
    message: 'must be a CIDR block such as 10.0.0.0/8, or an address',
    test: (value) => isCidr(value) || `must be a CIDR block such as 10.0.0.0/8, or an address, got ${show(value)}`,
  },
);

/** Up to a day, the longest the data plane takes. */
export const duration = (text: string) =>
  withRules(z.string().min(1).max(24), {
    cel: `self.matches('${DURATION_PATTERN}') && duration(self) <= duration('24h')`,
    message: 'must be a duration up to 24h such as 500ms, 10s or 1h30m',
    test: (value) => {
      const ms = parseDurationMs(value);
      if (ms === null) return `must be a duration such as 500ms, 10s or 1h30m, got ${show(value)}`;
      return ms <= 86_400_000 || `must be at most 24h, got ${value}`;
    },
  }).meta({ description: text });

/** With bounds of its own, both within. */
export const boundedDuration = (text: string, min: string, max: string) =>
  withRules(z.string().min(1).max(24), {
    cel: `self.matches('${DURATION_PATTERN}') && duration(self) >= duration('${min}') && duration(self) <= duration('${max}')`,
    message: `must be a duration from ${min} to ${max} such as 500ms, 10s or 1h30m`,
    test: (value) => {
      const ms = parseDurationMs(value) ?? -1;
      const fits = ms >= durationMs(min) && ms <= durationMs(max);
      return fits || `must be a duration from ${min} to ${max} such as 500ms, 10s or 1h30m, got ${show(value)}`;
    },
  }).meta({ description: text });

/** A group of nothing but repeated atoms, itself repeated: the plain cases of `regexProblem`, within what CEL may cost. */
const ATOM = '(\\\\.|\\[[^\\]]*\\]|[^\\\\()\\[\\]|*+?{}])';
const NESTED = `\\((\\?:)?(${ATOM}[*+])+\\)[*+{]`;

/** A regular expression for the whole of a value: the common part of RE2 and ECMAScript, in linear or quadratic time. */
export const regex = (text: string, maxLength: number) =>
  withRules(
    z.string().min(1).max(maxLength).meta({ description: text }),
    {
      // Evaluating it is the check: a pattern that does not compile is an error, and `in` does not swallow it as || would.
      cel: `''.matches(self) in [true, false]`,
      message: 'must be a regular expression in RE2 syntax',
      test: (value) => regexProblem(value) ?? true,
    },
    {
      cel: `!self.matches(r'${NESTED}')`,
      message: 'must not repeat a repetition, such as (a+)+: matching it can take exponential time',
      test: () => true,
    },
  );

export const headerName = pattern(
  'Name of a header; case does not matter.',
  '^[!#$%&*+-.^_`|~0-9A-Za-z]+$',
  'must be the name of a header: letters, digits and -',
  256,
);

export const plainName = (what: string) => z.string().min(1).max(256).describe(`Name of the ${what}, case-sensitive.`);

const CONNECTION_HEADERS = [
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** A header that may be set: not those that frame the message or belong to one connection (RFC 9110 section 7.6.1). */
const unframedName = (insteadOfHost: string) =>
  withRules(headerName, {
    cel: `!(self.lowerAscii() in [${CONNECTION_HEADERS.map((name) => `'${name}'`).join(', ')}])`,
    message: `must not be one of ${CONNECTION_HEADERS.join(', ')}: the gateway writes them itself (for Host use ${insteadOfHost})`,
    test: (name) =>
      !CONNECTION_HEADERS.includes(name.toLowerCase()) ||
      `must not be ${name.toLowerCase()}: the gateway writes it itself${name.toLowerCase() === 'host' ? ` (use ${insteadOfHost})` : ''}`,
  });

export const editableName = unframedName('rewrite.host');

const headerValue = withRules(z.string().max(4096), {
  cel: `self.matches(r'^[\\t -~]*$')`,
  message: 'must be printable ASCII without line breaks',
  test: (value) => /^[\t -~]*$/.test(value),
}).meta({ description: 'Value of the header: printable ASCII.' });

const field = z.strictObject({ name: editableName, value: headerValue });

/** Of a request of the gateway's own. */
export const ownHeader = z.strictObject({ name: unframedName('host'), value: headerValue });

export const headerEdits = (text: string) =>
  withRules(
    z.strictObject({
      set: listMap(z.array(field).max(16), 'name')
        .optional()
        .describe('Headers that get this value, whatever they had.'),
      add: z.array(field).max(16).optional().describe('Headers that get one more value.'),
      remove: z.array(editableName).max(16).optional().describe('Headers that are taken away, before set and add.'),
    }),
    atLeastOneOf('set', 'add', 'remove'),
  ).meta({ description: text });
export type HeaderEditsSpec = z.output<ReturnType<typeof headerEdits>>;

export const timeouts = withRules(
  z.strictObject({
    request: duration(
      'From the first byte of the request to the last byte of the response; upgraded connections and event streams are not bound by it. 0s switches it off, the default.',
    ).optional(),
    backend: duration(
      'From sending the request to the backend until the head of its response is there. 0s switches it off; default 60s.',
    ).optional(),
    idle: duration('Without a byte of the response body. 0s switches it off; default 5m.').optional(),
    streamIdle: duration(
      'The same of streams: events (text/event-stream), gRPC calls, and upgraded connections (WebSocket), where bytes of either direction count. 0s switches it off; default 1h.',
    ).optional(),
  }),
  atLeastOneOf('request', 'backend', 'idle', 'streamIdle'),
).meta({ description: 'How long things may take; each field wins over the one of a Policy.' });

export type TimeoutsSpec = z.output<typeof timeouts>;

export const conditions = listMap(
  z
    .array(
      z.object({
        type: z.string().max(316).describe('Accepted, ResolvedRefs, Programmed or PartiallyInvalid.'),
        status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
        observedGeneration: z.int().min(0).optional().describe('The metadata.generation this was said of.'),
        lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('When status last changed.'),
        reason: z.string().min(1).max(1024).describe('One word for a program.'),
        message: z.string().max(32768).describe('A sentence for a person.'),
      }),
    )
    .max(8),
  'type',
)
  .optional()
  .describe('What became of this object.');

/** A value in a message: short, quoted, on one line. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
