/**
 * What a change costs: the first snapshot of 5,000 rules, then one change at a time, from resource to swap:
 * `node --conditions=source dataplane/bench/runtime.ts`.
 */
import { RUNTIME_DEFAULTS } from '../runtime/deps.ts';
import { Runtime } from '../runtime/runtime.ts';
import { QUIET_STAGES } from '../runtime/stages.fixture.ts';
import { encodeResource } from '../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  ruleFixture,
} from '../snapshot/fixtures.ts';
import type { Resource } from '../snapshot/resources.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { measure, report } from './measure.ts';

const RULES = 5_000;

function policy(value: number): Resource {
  const set = [{ name: 'x-policy', value: String(value) }];
  return policyFixture('gw/edits', { section: 'transform', response: { remove: [], set, add: [] } });
}

function rule(i: number, hosts: number, version: number, path = ''): Resource {
  return ruleFixture(`ns${i % 100}/r${i}/x`, {
    timeouts: { requestMs: version },
    hosts: [`h${i % hosts}.example.com`],
    matches: [matchFixture(`/api/v1/resource-${i}${path}`)],
    action: forwardFixture(`ns${i % 100}/b`),
    policies: ['policy/gw/edits/transform'],
  });
}

function backend(i: number, last: number): Resource {
  return endpointsFixture(`ns${i % 100}/b`, '10.0.0.1:80', `10.0.0.${2 + (last % 200)}:80`);
}

for (const hosts of [500, 1]) {
  const upstream = { update() {}, close() {} } as unknown as Upstream;
  const runtime = new Runtime({
    createUpstream: () => upstream,
    forward: () => {},
    onFinish: () => {},
    logError: () => {},
    newRequestId: () => '',
    now: () => 0,
    random: () => 0,
    setTimer: () => () => {},
    stages: QUIET_STAGES,
    defaults: RUNTIME_DEFAULTS,
  });
  const apply = (...resources: Resource[]) => {
    const { rejected, message } = runtime.apply({ upsert: resources.map(encodeResource), removed: [] });
    if (rejected.length > 0 || message !== '') throw new Error(`${message} ${JSON.stringify(rejected[0])}`);
    return runtime;
  };
  const all = Array.from({ length: RULES }, (_, i) => rule(i, hosts, 1));
  const parts = Array.from({ length: 100 }, (_, i) => [backendFixture(`ns${i}/b`), backend(i, 0)]).flat();
  const bytes = [...all, ...parts, policy(0)].map(encodeResource);
  const start = performance.now();
  runtime.apply({ upsert: bytes, removed: [] });
  console.log(`\n${RULES} rules on ${hosts} hosts: first snapshot ${(performance.now() - start).toFixed(0)} ms`);
  let version = 1;
  const action = () => apply(rule(++version % RULES, hosts, version));
  const place = () => apply(rule(++version % RULES, hosts, 1, `/v${version}`));
  const endpoint = () => apply(backend(++version, version));
  const everywhere = () => apply(policy(++version));
  report('what one rule does', measure(action, 10, 60));
  report('where one rule stands', measure(place, 10, 60));
  report('one endpoint', measure(endpoint, 10, 60));
  report('the policy of all rules', measure(everywhere, 1, 20));
}
