import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { Match, RuleResource, ValueMatch } from '../snapshot/resources.ts';
import { compileRoutable, type Routable } from './candidate.ts';
import { CONFORMANCE, requestView } from './conformance.ts';
import { consider, whyLess } from './explain.ts';
import type { RequestView } from './predicates.ts';
import { referenceMatch } from './reference.ts';
import { HostRouter } from './router.ts';

type RuleRouter = HostRouter<RuleResource>;

function build(rules: readonly RuleResource[]): RuleRouter {
  return HostRouter.empty<RuleResource>().next({ removed: [], added: rules.map((rule) => compile(rule)) });
}

function compile(rule: RuleResource): Routable<RuleResource> {
  return compileRoutable(rule, rule, answersPreflight(rule));
}

function answersPreflight(rule: RuleResource): boolean {
  return rule.policies.includes('policy/x/y/cors');
}

describe.each(CONFORMANCE)('$title', ({ rules, requests }) => {
  for (const [request, expected] of requests) {
    const fields = request.headers.fields.length === 0 ? '' : ` ${JSON.stringify(request.headers.fields)}`;
    test(`${request.method} ${request.host}${request.path}?${request.query ?? ''}${fields} → ${expected}`, () => {
      for (const order of [rules, [...rules].reverse()]) {
        expect(build(order).match(request)?.target.rule ?? null).toBe(expected);
        expect(referenceMatch(order, request)?.rule.rule ?? null).toBe(expected);
      }
    });
  }
});

describe('a CORS preflight', () => {
  const methods = matchFixture('/', { methods: ['DELETE'] });
  const preflight = requestView('OPTIONS x/', [
    'origin',
    'https://a.example',
    'access-control-request-method',
    'DELETE',
  ]);

  test('counts as the method it asks about where the rule answers it', () => {
    const cors = ruleFixture('a/b/cors', { matches: [methods], policies: ['policy/x/y/cors'] });
    expect(build([cors]).match(preflight)?.target).toBe(cors);
    expect(build([cors]).match(requestView('OPTIONS x/'))).toBeNull();
    expect(build([cors]).match(requestView('OPTIONS x/', ['access-control-request-method', 'DELETE']))).toBeNull();
  });

  test('is an OPTIONS like any other where it does not', () => {
    expect(build([ruleFixture('a/b/plain', { matches: [methods] })]).match(preflight)).toBeNull();
  });
});

test.each([
  [{ hosts: ['A.example'] }, /^hosts\[0\]: /],
  [{ hosts: ['ok', 'a.*.example'] }, /^hosts\[1\]: /],
  [{ matches: [matchFixture('~/(')] }, /^matches\[0\]\.path\.value: /],
  [{ matches: [matchFixture('~/a)|(?:b')] }, /^matches\[0\]\.path\.value: /],
  [{ matches: [matchFixture('=a')] }, /^matches\[0\]\.path\.value: must start with/],
  [{ matches: [matchFixture('/'), matchFixture('/', { sources: ['10.0.0.0/33'] })] }, /^matches\[1\]\.sources\[0\]: /],
  [{ matches: [matchFixture('/', { sources: ['10.0.0.0/'] })] }, /^matches\[0\]\.sources\[0\]: /],
  [
    { matches: [matchFixture('/', { query: [{ kind: 'regex' as const, name: 'a', value: '[' }] })] },
    /^matches\[0\]\.query\[0\]\.value: /,
  ],
])('a rule that can not be routed names its field: %j', (more, message) => {
  expect(() => compile(ruleFixture('a/b/c', more))).toThrow(message);
});

const host = fc.constantFrom('*', '*.b', '*.a.b', 'a.b', 'x.a.b', 'b');
const segment = fc.constantFrom('a', 'b', 'ab', '');
const pathText = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
const path = fc.oneof(
  pathText,
  pathText.map((text) => `=${text}`),
  fc.constantFrom('~/.*', '~/a|/b', '~/(a|ab)/?b*', '~/a/[^/]+'),
);
const valueTest: fc.Arbitrary<ValueMatch> = fc.oneof(
  fc.record({
    kind: fc.constant('exact' as const),
    name: fc.constantFrom('n', 'm'),
    value: fc.constantFrom('1', '2', ''),
  }),
  fc.record({
    kind: fc.constant('regex' as const),
    name: fc.constantFrom('n', 'm'),
    value: fc.constantFrom('1|2', '.+'),
  }),
  fc.record({ kind: fc.constant('present' as const), name: fc.constantFrom('n', 'm') }),
);
const sometimes = <V>(value: fc.Arbitrary<V>) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant([] as V[]) },
    { weight: 1, arbitrary: fc.array(value, { maxLength: 2 }) },
  );
const match: fc.Arbitrary<Match> = fc
  .tuple(
    path,
    fc.record({
      methods: sometimes(fc.constantFrom('GET', 'POST')),
      headers: sometimes(valueTest),
      query: sometimes(valueTest),
      cookies: sometimes(valueTest),
      sources: sometimes(fc.constantFrom('10.0.0.0/8', '192.0.2.1', '::/0')),
    }),
  )
  .map(([text, more]) => matchFixture(text, more));
const rules = fc
  .array(
    fc.record({
      name: fc.constantFrom('a/x', 'b/x', 'a/y'),
      createdAtMs: fc.constantFrom(1, 2),
      order: fc.nat(1),
      hosts: fc.array(host, { minLength: 1, maxLength: 2 }),
      matches: fc.array(match, { minLength: 1, maxLength: 2 }),
      policies: fc.subarray(['policy/x/y/cors']),
    }),
    { maxLength: 12 },
  )
  .map((list) => list.map(({ name, ...more }, index) => ruleFixture(`${name}/r${index}`, more)));
const pairs = fc.array(fc.tuple(fc.constantFrom('n', 'm', 'o'), fc.constantFrom('1', '2', '')), { maxLength: 3 });
const request: fc.Arbitrary<RequestView> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'OPTIONS'),
    host: fc.constantFrom('a.b', 'x.a.b', 'y.a.b', 'b', 'c', ''),
    path: pathText,
    query: pairs,
    headers: pairs,
    cookies: pairs,
    preflight: fc.boolean(),
    address: fc.constantFrom('192.0.2.1', '10.1.1.1', '2001:db8::1'),
  })
  .map((r) => {
    const fields: string[] = r.headers.flat();
    if (r.cookies.length > 0) fields.push('cookie', r.cookies.map((pair) => pair.join('=')).join('; '));
    if (r.preflight) fields.push('origin', 'https://o.example', 'access-control-request-method', 'POST');
    const query = r.query.length > 0 ? `?${r.query.map((pair) => pair.join('=')).join('&')}` : '';
    return requestView(`${r.method} ${r.host}${r.path}${query}`, fields, r.address);
  });

function expectLikeReference(router: RuleRouter, held: readonly RuleResource[], asked: readonly RequestView[]): void {
  for (const one of asked) {
    const expected = referenceMatch(held, one, answersPreflight);
    const found = router.match(one);
    expect(found?.target.id).toBe(expected?.rule.id);
    expect(found?.matchedPrefix).toBe(expected?.matchedPrefix);
  }
}

test('routes like the reference', () => {
  fc.assert(
    fc.property(rules, fc.array(request, { minLength: 1, maxLength: 8 }), (held, asked) => {
      expectLikeReference(build(held), held, asked);
    }),
    { numRuns: 1500 },
  );
});

test('what is considered, in order, begins with what the router answers, and names a miss for all before it', () => {
  fc.assert(
    fc.property(rules, request, (held, one) => {
      const routables = held.map(compile);
      const router = HostRouter.empty<RuleResource>().next({ removed: [], added: routables });
      const considered = consider(routables, one);
      const first = considered.findIndex(({ miss }) => miss === '');
      expect(considered[first]?.candidate ?? null).toBe(router.match(one));
      for (const { miss } of considered.slice(0, first)) expect(miss).not.toBe('');
      for (const other of considered.slice(first + 1)) {
        if (first >= 0) expect(whyLess(considered[first] as (typeof considered)[number], other)).not.toBe('');
      }
    }),
    { numRuns: 1500 },
  );
});

test.each([
  ['host *.b is less specific', { hosts: ['*.b'] }],
  ['prefix / is shorter', { matches: [matchFixture('/')] }],
  ['regex /a.*: prefix comes before regex', { matches: [matchFixture('~/a.*')] }],
  ['asks less: no or fewer headers', { matches: [matchFixture('/a', { methods: ['GET'] })] }],
  ['asks less: no method', { matches: [matchFixture('/a', { headers: [{ kind: 'present' as const, name: 'h' }] })] }],
  ['the same match in a younger Route', { createdAtMs: 2 }],
  ['the same match later in its Route', { order: 1 }],
])('why a rule comes later: %s', (why, more) => {
  const header = { kind: 'present' as const, name: 'h' };
  const same = {
    hosts: ['a.b'],
    matches: [matchFixture('/a', { methods: ['GET'], headers: [header] })],
    createdAtMs: 1,
  };
  const all = [ruleFixture('n/r/1', same), ruleFixture('n/r/2', { ...same, ...more })].map(compile);
  const [winner, other] = consider(all, requestView('GET a.b/a', ['h', '1']));
  expect(winner?.candidate.target.rule).toBe('1');
  expect(whyLess(winner as NonNullable<typeof winner>, other as NonNullable<typeof other>)).toBe(why);
});

test.each([
  ['method POST, PUT only', { methods: ['POST', 'PUT'] }],
  ['header h is missing', { headers: [{ kind: 'present' as const, name: 'h' }] }],
  ['query parameter q is another', { query: [{ kind: 'exact' as const, name: 'q', value: 'secret' }] }],
  ['cookie c is missing', { cookies: [{ kind: 'present' as const, name: 'c' }] }],
  ['client 192.0.2.1 is not among its sources', { sources: ['10.0.0.0/8'] }],
])('why a match does not hold: %s', (miss, more) => {
  const rule = compile(ruleFixture('n/r/1', { matches: [matchFixture('/', more)] }));
  expect(consider([rule], requestView('GET a/?q=1')).map((one) => one.miss)).toEqual([miss]);
});

test('after any edits it routes like the reference, and the routers before it still do', () => {
  const steps = fc.array(fc.tuple(rules, fc.array(fc.nat(20), { maxLength: 4 })), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(steps, fc.array(request, { minLength: 1, maxLength: 8 }), (changes, asked) => {
      let held = new Map<string, { rule: RuleResource; routable: Routable<RuleResource> }>();
      let router = HostRouter.empty<RuleResource>();
      const history: [RuleRouter, RuleResource[]][] = [];
      for (const [upsert, drop] of changes) {
        const next = new Map(held);
        const removed: Routable<RuleResource>[] = [];
        const added: Routable<RuleResource>[] = [];
        for (const rule of upsert) {
          const old = next.get(rule.rule);
          if (old !== undefined) removed.push(old.routable);
          const routable = compile(rule);
          added.push(routable);
          next.set(rule.rule, { rule, routable });
        }
        for (const index of drop) {
          const old = held.get(`r${index}`);
          if (old === undefined || next.get(`r${index}`) !== old) continue;
          next.delete(`r${index}`);
          removed.push(old.routable);
        }
        router = router.next({ removed, added });
        held = next;
        history.push([router, [...held.values()].map((entry) => entry.rule)]);
      }
      for (const [then, rulesThen] of history) expectLikeReference(then, rulesThen, asked);
    }),
    { numRuns: 400 },
  );
});

describe('sharing', () => {
  const hosts = Array.from({ length: 50 }, (_, i) => `h${i}.example`);
  const many = hosts.flatMap((name) =>
    Array.from({ length: 100 }, (_, i) =>
      ruleFixture(`ns/${name}/r${i}`, { hosts: [name], matches: [matchFixture(`/s${i}/x`)] }),
    ),
  );
  const routables = new Map(many.map((rule) => [rule.id, compile(rule)]));
  const before = HostRouter.empty<RuleResource>().next({ removed: [], added: routables.values() });

  test('one changed rule of 5,000 leaves every other host and path as it was', () => {
    const old = many[4_242] as RuleResource;
    const changed = { ...old, createdAtMs: 1 };
    const after = before.next({
      removed: [routables.get(old.id) as Routable<RuleResource>],
      added: [compile(changed)],
    });
    const touched = old.hosts[0] as string;
    for (const name of hosts) {
      if (name === touched) expect(after.bucket(name)).not.toBe(before.bucket(name));
      else expect(after.bucket(name)).toBe(before.bucket(name));
    }
    const [oldNode, newNode] = [before, after].map((router) => router.bucket(touched)?.root.children);
    for (const [segment, node] of oldNode ?? []) {
      if (segment === 's42') expect(newNode?.get(segment)).not.toBe(node);
      else expect(newNode?.get(segment)).toBe(node);
    }
    // Host table, bucket, and per level of /s42/x node and children, with the list at its end.
    expect(after.made).toBeLessThanOrEqual(8);
    expect(before.made).toBeGreaterThan(5_000);
    expect(after.match(requestView(`GET ${touched}/s42/x/y`))?.target).toBe(changed);
    expect(before.match(requestView(`GET ${touched}/s42/x/y`))?.target).toBe(old);
  });

  test('a removed rule takes its empty nodes along, the last of a host its bucket', () => {
    const gone = [...routables.values()].filter((routable) => routable.hosts[0] === 'h7.example');
    const after = before.next({ removed: gone.slice(1), added: [] });
    expect([...(after.bucket('h7.example')?.root.children.keys() ?? [])]).toEqual(['s0']);
    expect(after.next({ removed: gone.slice(0, 1), added: [] }).bucket('h7.example')).toBeUndefined();
  });

  test('no change makes nothing', () => {
    const after = before.next({ removed: [], added: [] });
    expect(after.made).toBe(0);
    expect(after.bucket('h1.example')).toBe(before.bucket('h1.example'));
  });
});
