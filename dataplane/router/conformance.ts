/**
 * What every router must answer: rules, requests and the rule expected (null: none). Run against the real router and the
 * reference. Sources: Gateway API v1 HTTPRouteMatch, HTTPPathMatch, HTTPRoute.hostnames; DESIGN section 3.
 */
import { matchFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { RuleResource } from '../snapshot/resources.ts';
import type { RequestView } from './predicates.ts';

export interface ConformanceCase {
  readonly title: string;
  readonly rules: readonly RuleResource[];
  /** Request, and `rule` of the RuleResource expected. */
  readonly requests: readonly (readonly [request: RequestView, expected: string | null])[];
}

/** `GET host/path?query`, header fields as name, value, …; from 192.0.2.1 unless told otherwise. */
export function requestView(line: string, fields: string[] = [], clientAddress = '192.0.2.1'): RequestView {
  const [, method = 'GET', host = '', path = '/', query] = /^(\S+) ([^/?*]*)([^?]*)(?:\?(.*))?$/.exec(line) ?? [];
  const all = (name: string) => fields.filter((_, i) => i % 2 === 1 && fields[i - 1] === name);
  return {
    method,
    path,
    query,
    host,
    clientAddress,
    headers: {
      fields,
      get: (name) => all(name)[0],
      getCombined: (name) => (all(name).length === 0 ? undefined : all(name).join(', ')),
    },
  };
}

/** The rule is called by its name; older rules have the smaller `age`. */
function on(name: string, hosts: string[], ...matches: RuleResource['matches']): RuleResource {
  return ruleFixture(`shop/route/${name}`, { hosts, matches: matches.length === 0 ? [matchFixture()] : matches });
}

const get = requestView;
const path = matchFixture;
const any = ['*'];

export const CONFORMANCE: readonly ConformanceCase[] = [
  {
    title: 'no rules, no match',
    rules: [],
    requests: [[get('GET a.example/'), null]],
  },
  {
    title: 'hosts: exact before the longest wildcard before any',
    rules: [
      on('any', any),
      on('wide', ['*.example.com']),
      on('narrow', ['*.eu.example.com']),
      on('exact', ['a.eu.example.com']),
    ],
    requests: [
      [get('GET a.eu.example.com/'), 'exact'],
      [get('GET b.eu.example.com/'), 'narrow'],
      [get('GET b.c.eu.example.com/'), 'narrow'],
      [get('GET eu.example.com/'), 'wide'],
      [get('GET x.example.com/'), 'wide'],
      [get('GET example.com/'), 'any'],
      [get('GET badexample.com/'), 'any'],
      [get('GET /'), 'any'],
      [get('GET .example.com/'), 'any'],
    ],
  },
  {
    title: 'hosts: a less specific host is asked when no path of the more specific one holds',
    rules: [
      on('exact', ['a.example.com'], path('/only')),
      on('wildcard', ['*.example.com'], path('/w')),
      on('any', any, path('/any')),
    ],
    requests: [
      [get('GET a.example.com/only'), 'exact'],
      [get('GET a.example.com/w'), 'wildcard'],
      [get('GET a.example.com/any'), 'any'],
      [get('GET a.example.com/none'), null],
    ],
  },
  {
    title: 'prefixes are by segment, a trailing slash is ignored, the longest wins',
    rules: [on('root', any), on('a', any, path('/a')), on('ab', any, path('/a/b/')), on('abc', any, path('/a/b/c'))],
    requests: [
      [get('GET x/'), 'root'],
      [get('GET x/ab'), 'root'],
      [get('GET x/a'), 'a'],
      [get('GET x/a/'), 'a'],
      [get('GET x/a/bc'), 'a'],
      [get('GET x/a/b'), 'ab'],
      [get('GET x/a/b/'), 'ab'],
      [get('GET x/a/b//c'), 'ab'],
      [get('GET x/a/b/c/d/e'), 'abc'],
      [get('GET x//a'), 'root'],
    ],
  },
  {
    title: 'exact before longest prefix before regex; exact is to the letter',
    rules: [on('prefix', any, path('/p')), on('exact', any, path('=/p/q')), on('regex', any, path('~/(p|r)/[0-9]+'))],
    requests: [
      [get('GET x/p/q'), 'exact'],
      [get('GET x/p/q/'), 'prefix'],
      [get('GET x/P/q'), null],
      [get('GET x/p/1'), 'prefix'],
      [get('GET x/r/1'), 'regex'],
      [get('GET x/r/1a'), null],
      [get('GET x/r/r/1'), null],
    ],
  },
  {
    title: 'a regex matches the whole path, alternatives included',
    rules: [on('regex', any, path('~/a|/b'))],
    requests: [
      [get('GET x/a'), 'regex'],
      [get('GET x/b'), 'regex'],
      [get('GET x/ax'), null],
      [get('GET x/x/b'), null],
    ],
  },
  {
    title: 'what is no path matches no rule',
    rules: [on('root', any), on('regex', any, path('~.*'))],
    requests: [
      [{ ...get('OPTIONS x/'), path: '*' }, null],
      [{ ...get('CONNECT x/'), path: 'example.com:443' }, null],
    ],
  },
  {
    title: 'equal paths: a method first, then headers, then query, then cookies, then source',
    rules: [
      on('plain', any, path('/a')),
      on('source', any, path('/a', { sources: ['10.0.0.0/8', '2001:db8::/32'] })),
      on('cookie', any, path('/a', { cookies: [{ kind: 'exact', name: 'beta', value: '1' }] })),
      on('query', any, path('/a', { query: [{ kind: 'exact', name: 'q', value: 'x y' }] })),
      on('header', any, path('/a', { headers: [{ kind: 'exact', name: 'X-Kind', value: 'gold' }] })),
      on(
        'headers',
        any,
        path('/a', {
          headers: [
            { kind: 'exact', name: 'x-kind', value: 'gold' },
            { kind: 'present', name: 'x-more' },
          ],
        }),
      ),
      on('method', any, path('/a', { methods: ['POST', 'PUT'] })),
    ],
    requests: [
      [get('GET x/a'), 'plain'],
      [get('GET x/a', [], '10.1.2.3'), 'source'],
      [get('GET x/a', [], '2001:db8::1'), 'source'],
      [get('GET x/a', [], '::ffff:10.1.2.3'), 'source'],
      [get('GET x/a', [], 'not an address'), 'plain'],
      [get('GET x/a', ['cookie', 'a=2; beta=1'], '10.1.2.3'), 'cookie'],
      [get('GET x/a', ['cookie', 'a=2', 'cookie', 'beta=1']), 'cookie'],
      [get('GET x/a', ['cookie', 'beta=2; beta=1']), 'plain'],
      [get('GET x/a?q=x+y', ['cookie', 'beta=1']), 'query'],
      [get('GET x/a?z=1&%71=x%20y'), 'query'],
      [get('GET x/a?q=no&q=x+y'), 'plain'],
      [get('GET x/a?q=%zz'), 'plain'],
      [get('GET x/a?q=x+y', ['x-kind', 'gold']), 'header'],
      [get('GET x/a', ['x-kind', 'gold', 'x-more', '']), 'headers'],
      [get('GET x/a', ['x-kind', 'golden']), 'plain'],
      [get('GET x/a', ['x-kind', 'gold', 'x-kind', 'x']), 'plain'],
      [get('POST x/a', ['x-kind', 'gold']), 'method'],
      [get('PUT x/a'), 'method'],
      [get('HEAD x/a'), 'plain'],
    ],
  },
  {
    title: 'values by regex are matched whole',
    rules: [
      on('header', any, path('/', { headers: [{ kind: 'regex', name: 'v', value: '1|2' }] })),
      on('query', any, path('/', { query: [{ kind: 'regex', name: 'v', value: '[0-9]+' }] })),
    ],
    requests: [
      [get('GET x/', ['v', '2']), 'header'],
      [get('GET x/', ['v', '21']), null],
      [get('GET x/?v=42'), 'query'],
      [get('GET x/?v=42a'), null],
    ],
  },
  {
    title: 'where predicates do not hold, a shorter prefix and then a regex is tried',
    rules: [
      on('exact', any, path('=/a/b', { methods: ['PUT'] })),
      on('long', any, path('/a/b', { methods: ['POST'] })),
      on('short', any, path('/a', { methods: ['POST', 'PATCH'] })),
      on('regex', any, path('~/a/.*')),
    ],
    requests: [
      [get('PUT x/a/b'), 'exact'],
      [get('POST x/a/b'), 'long'],
      [get('PATCH x/a/b'), 'short'],
      [get('GET x/a/b'), 'regex'],
      [get('GET x/a'), null],
    ],
  },
  {
    title: 'ties: the older, then namespace/name, then place in the Route, then match',
    rules: [
      ruleFixture('b/old/old', { createdAtMs: 1, hosts: ['old'] }),
      ruleFixture('a/new/new', { createdAtMs: 2, hosts: ['old'] }),
      ruleFixture('b/x/by-name-2', { hosts: ['name'] }),
      ruleFixture('a/x/by-name-1', { hosts: ['name'] }),
      ruleFixture('a/x/second', { hosts: ['order'], order: 1 }),
      ruleFixture('a/x/zero', { hosts: ['order'] }),
      ruleFixture('a-b/x/dash', { hosts: ['dash'] }),
      ruleFixture('a/x/slash', { hosts: ['dash'] }),
    ],
    requests: [
      [get('GET old/'), 'old'],
      [get('GET name/'), 'by-name-1'],
      [get('GET order/'), 'zero'],
      [get('GET dash/'), 'dash'],
    ],
  },
];
