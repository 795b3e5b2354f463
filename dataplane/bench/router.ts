/** ns and garbage a look-up, with 500 rules on 50 hosts and with 5,000 on 500: `node --conditions=source dataplane/bench/router.ts`. */

import { Headers } from '../pipeline/headers.ts';
import { compileRoutable, type Routable } from '../router/candidate.ts';
import { requestView } from '../router/conformance.ts';
import type { RequestView } from '../router/predicates.ts';
import { HostRouter } from '../router/router.ts';
import { matchFixture, ruleFixture } from '../snapshot/fixtures.ts';
import type { RuleResource } from '../snapshot/resources.ts';
import { measure, report } from './measure.ts';

const RULES_PER_HOST = 10;
/** Small, so that a request is as near in the cache as one that was just parsed. */
const BATCH = 256;
const BATCHES = 600;

function rulesOf(hosts: number): RuleResource[] {
  const rules: RuleResource[] = [];
  for (let h = 0; h < hosts; h++) {
    const host = h % 10 === 9 ? `*.t${h}.example.com` : `h${h}.example.com`;
    for (let r = 0; r < RULES_PER_HOST; r++) {
      const path = r === 0 ? '=/health/live' : r === 1 ? '/' : `/api/v1/resource-${r}`;
      const more =
        r === 2 ? { methods: ['GET'], headers: [{ kind: 'exact' as const, name: 'x-tenant', value: 'a' }] } : {};
      rules.push(ruleFixture(`ns/h${h}/r${r}`, { hosts: [host], matches: [matchFixture(path, more)] }));
    }
  }
  return rules;
}

/** Requests with strings as a parser makes them: new each, their hashes not known yet. */
function views(line: (host: number) => string, fields: string[] = []): RequestView[] {
  return Array.from({ length: BATCH }, (_, i) => {
    const view = requestView(line((i * 10) % 50), fields);
    return { ...view, host: fresh(view.host), path: fresh(view.path), headers: new Headers(fields) };
  });
}

function fresh(text: string): string {
  return Buffer.from(text).toString('latin1');
}

for (const hosts of [50, 500]) {
  const routables = rulesOf(hosts).map((rule): Routable<RuleResource> => compileRoutable(rule, rule));
  const router = HostRouter.empty<RuleResource>().next({ removed: [], added: routables });
  console.log(`\n${routables.length} rules on ${hosts} hosts`);
  const cases: [string, () => RequestView[]][] = [
    ['exact path', () => views((h) => `GET h${h}.example.com/health/live`)],
    ['prefix, 3 segments, remainder', () => views((h) => `GET h${h}.example.com/api/v1/resource-5/items/42`)],
    ['prefix / after 3 segments that lead nowhere', () => views((h) => `GET h${h}.example.com/api/v1/unknown`)],
    [
      'prefix, method and header hold',
      () => views((h) => `GET h${h}.example.com/api/v1/resource-2`, ['x-tenant', 'a']),
    ],
    ['wildcard host, prefix', () => views((h) => `GET a.b.t${h + 9}.example.com/api/v1/resource-5`)],
    ['no such host', () => views(() => 'GET nowhere.example.org/')],
  ];
  for (const [name, make] of cases) {
    let asked: RequestView[] = [];
    const prepare = () => {
      asked = make();
    };
    const look = (i: number) => router.match(asked[i] as RequestView);
    report(name, measure(look, BATCH, BATCHES, prepare));
  }
  const old = routables[42] as Routable<RuleResource>;
  const rule = old.candidates[0]?.target as RuleResource;
  const change = { removed: [old], added: [compileRoutable(rule, rule)] };
  const step = () => router.next(change);
  report('next router, one rule changed', measure(step, 50, 40));
}
