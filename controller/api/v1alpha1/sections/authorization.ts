/** Who may do what. */
import { compileExpression, type ExpressionError } from '@tidegate/dataplane/snapshot/expression';
import { z } from 'zod';
import { regexProblem } from '../../regex/regex.ts';
import { exactlyOneOf, withRules } from '../../rule.ts';
import { certificateMatch } from '../certificate-match.ts';
import { cidr, label, listMap, show } from '../common.ts';
import { method, pathMatch } from '../matching.ts';

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;

const names = (text: string) => z.array(z.string().min(1).max(253)).min(1).max(64).optional().describe(text);

/** RFC 6749 section 3.3. */
const scope = withRules(z.string().min(1).max(253), {
  cel: `self.matches(r'^[!#-\\[\\]-~]+$')`,
  message: 'must be a scope: printable ASCII without space, quote and backslash',
  test: (value) => /^[!#-[\]-~]+$/.test(value),
});

const claim = withRules(
  z.strictObject({
    name: z
      .string()
      .min(1)
      .max(253)
      .describe('Name of a claim, or a path such as realm_access.roles; a claim with that whole name counts first.'),
    values: z
      .array(z.string().max(256))
      .min(1)
      .max(16)
      .optional()
      .describe('One of these, as text. Of a claim that is a list one element is enough.'),
    present: z.literal(true, { error: 'must be true, or left out' }).optional().describe('The claim is there.'),
  }),
  exactlyOneOf('values', 'present'),
);

const clock = (text: string, end: boolean) => {
  const source = `^(([01][0-9]|2[0-3]):[0-5][0-9]${end ? '|24:00' : ''})$`;
  const message = `must be a time such as 09:30${end ? ', up to 24:00' : ''}`;
  return withRules(z.string().min(5).max(5), {
    cel: `self.matches('${source}')`,
    message,
    test: (value) => new RegExp(source).test(value) || `${message}, got ${show(value)}`,
  })
    .default(end ? '24:00' : '00:00')
    .meta({ description: text });
};

const timezone = withRules(z.string().min(1).max(64), {
  message: 'must be a time zone such as Europe/Berlin',
  test: (value) => isTimeZone(value) || `must be a time zone such as Europe/Berlin, got ${show(value)}`,
})
  .default('UTC')
  .meta({ description: 'IANA name of the time zone.' });

const timeWindow = withRules(
  z.strictObject({
    days: z
      .array(z.enum(DAYS))
      .min(1)
      .max(7)
      .optional()
      .describe('Days on which the window begins. Absent: every day.'),
    from: clock('When it begins, local time.', false),
    to: clock('When it ends, local time, not included. Before `from`: on the next day.', true),
    timezone,
  }),
  {
    cel: 'self.from != self.to',
    message: 'from and to must differ: leave both out for whole days',
    test: ({ from, to }) => from !== to,
  },
);

const cel = withRules(z.string().min(1).max(1024), {
  message: 'must be an expression in CEL',
  test: (value) => celProblem(value) ?? true,
}).meta({
  description:
    'An expression in CEL (cel.dev) that must be true. It knows request.method, path, host, headers, query, address, time and auth.consumer, groups, scopes, claims, and certificate.subject, commonName, dnsNames, uris, emails, spiffeId, fingerprint. ' +
    'Where it can not be told, as a claim is missing, an allow rule does not hold and a deny rule does. The pattern of matches must be a literal.',
});

const rule = z.strictObject({
  name: label('Name of the rule, for metrics.'),
  action: z.enum(['allow', 'deny']).describe('What happens to a request for which all parts of the rule hold.'),
  consumers: names('The caller is one of these consumers.'),
  groups: names('The caller is in one of these groups.'),
  scopes: z
    .array(scope)
    .min(1)
    .max(16)
    .optional()
    .describe('The token of the caller has all of these scopes. For one of several write several rules.'),
  claims: listMap(z.array(claim).min(1).max(8), 'name')
    .optional()
    .describe('The token of the caller has all of these claims.'),
  methods: z.array(method).min(1).max(16).optional().describe('One of these methods.'),
  paths: z.array(pathMatch).min(1).max(16).optional().describe('One of these paths.'),
  addresses: z.array(cidr).min(1).max(32).optional().describe('The address of the client lies in one of these.'),
  times: z.array(timeWindow).min(1).max(8).optional().describe('It is one of these times.'),
  certificate: certificateMatch('The connection shows a client certificate with one of these.').optional(),
  cel: cel.optional(),
});

export const authorization = z
  .strictObject({
    default: z.enum(['allow', 'deny']).describe('What happens to a request for which no rule holds.'),
    dryRun: z
      .boolean()
      .default(false)
      .describe(
        'Refuse nothing: what would have been is counted, and named in the access log (wouldRefuse). To try rules out.',
      ),
    rules: listMap(z.array(rule).max(32), 'name')
      .optional()
      .describe('In order; the first rule all of whose parts hold decides. A part that is absent asks for nothing.'),
  })
  .meta({
    description:
      'Who may do what. A caller who said nothing of itself is meant by no rule that asks for consumers, groups, scopes or claims, nor by an allow rule whose expression names auth; the same with connections without a client certificate.',
  });
export type AuthorizationSpec = z.output<typeof authorization>;

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** What is wrong with an expression, or null. */
function celProblem(source: string): string | null {
  try {
    for (const { pattern, at } of compileExpression(source).patterns) {
      // `matches` searches: what stands around a match counts into the time it takes.
      const around = `${pattern.startsWith('^') ? '' : '.*'}(?:${pattern})${pattern.endsWith('$') ? '' : '.*'}`;
      const problem = regexProblem(pattern) ?? regexProblem(around);
      if (problem !== null)
        return `the pattern at character ${at + 1} ${problem}; anchor it with ^ and $ where possible`;
    }
    return null;
  } catch (error) {
    return `must be an expression in CEL: ${(error as ExpressionError).message}`;
  }
}
