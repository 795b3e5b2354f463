/** Backends with policies of their own: the share is picked first, then its stages run. */
import { describe, expect, test } from 'vitest';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  respondFixture,
  ruleFixture,
} from '../snapshot/fixtures.ts';
import type { Action, PolicySection, Resource, RuleResource } from '../snapshot/resources.ts';
import { Gateway, messages } from './gateway.fixture.ts';

const mark = (value: string): PolicySection => ({
  section: 'transform',
  request: { remove: [], set: [{ name: 'x-mark', value }], add: [] },
});
const forAll = policyFixture('shop/all', mark('all'));
const forNew = policyFixture('shop/new', mark('new'));
const slow = policyFixture('shop/new', { section: 'timeout', requestMs: 9_000 });
const cors = policyFixture('shop/new', {
  section: 'cors',
  allowOrigins: ['*'],
  allowMethods: ['PUT'],
  allowHeaders: [],
  exposeHeaders: [],
  allowCredentials: false,
  allowPrivateNetwork: false,
  maxAgeSeconds: 0,
});
const BACKENDS: Resource[] = ['old', 'new'].flatMap((name) => [
  backendFixture(`shop/${name}`),
  endpointsFixture(`shop/${name}`, '10.0.0.1:80'),
]);

/** Three of four requests to `old`, one to `new`, which has these policies. */
function canary(policies: string[], more: Partial<RuleResource> = {}): RuleResource {
  const action: Action = {
    kind: 'forward',
    backends: [
      { weight: 3, backend: 'backend/shop/old' },
      { weight: 1, backend: 'backend/shop/new', policies },
    ],
  };
  return ruleFixture('shop/orders/all', { action, policies: [forAll.id], ...more });
}

function sent(gateway: Gateway, random: number) {
  gateway.random = random;
  gateway.send('GET /');
  const { exchange, upstream, options } = gateway.forwarded.at(-1) as Gateway['forwarded'][number];
  return [upstream.id, exchange.headers.get('x-mark'), options.requestTimeoutMs, exchange.rule?.requestTimeoutMs];
}

describe('a backend with policies of its own', () => {
  test('each share has its own stages, time-outs and backend', () => {
    const gateway = new Gateway();
    expect(messages(gateway.apply([...BACKENDS, forAll, forNew, slow, canary([forNew.id, slow.id])]))).toEqual([]);
    expect(sent(gateway, 0.74)).toEqual(['backend/shop/old', 'all', 0, 0]);
    expect(sent(gateway, 0.76)).toEqual(['backend/shop/new', 'new', 9_000, 9_000]);
  });

  test('/debug/config names the source of every section, of the rule and of the share that differs', () => {
    const gateway = new Gateway();
    gateway.apply([...BACKENDS, forAll, slow, canary([forAll.id, slow.id, 'policy/ops/keys/authentication'])]);
    expect(gateway.runtime.describe().rules).toMatchObject([
      {
        effective: { transform: { policy: 'shop/all' } },
        shares: [
          {
            backend: 'backend/shop/new',
            weight: 1,
            effective: {
              transform: { policy: 'shop/all' },
              timeout: { policy: 'shop/new' },
              authentication: { policy: 'ops/keys', refuses: true },
            },
          },
        ],
      },
    ]);
  });

  test('a changed policy of a share makes the rule anew', () => {
    const gateway = new Gateway();
    gateway.apply([...BACKENDS, forAll, forNew, canary([forNew.id])]);
    const { built } = gateway.apply([policyFixture('shop/new', mark('newer'))]);
    expect(built).toMatchObject({ rules: 1, policies: 1, routerNodes: 0 });
    expect(sent(gateway, 0.9)[1]).toBe('newer');
    expect(sent(gateway, 0)[1]).toBe('all');
  });

  test('a rule whose shares are alike keeps its chain without a pick', () => {
    const gateway = new Gateway();
    const action = forwardFixture('shop/old', 'shop/new');
    gateway.apply([...BACKENDS, forAll, ruleFixture('shop/orders/all', { action, policies: [forAll.id] })]);
    sent(gateway, 0.9);
    expect(gateway.forwarded[0]?.exchange.rule?.share).toBeNull();
  });

  test('a share of weight 0 gets nothing; with none left the answer is 500', () => {
    const gateway = new Gateway();
    const weights = (...list: number[]): Action => ({
      kind: 'forward',
      backends: list.map((weight, i) => ({
        weight,
        backend: `backend/shop/${i === 0 ? 'old' : 'new'}`,
        ...(i === 1 && { policies: [forNew.id] }),
      })),
    });
    gateway.apply([...BACKENDS, forAll, forNew, canary([], { action: weights(0, 1) })]);
    expect(sent(gateway, 0)).toEqual(['backend/shop/new', 'new', 0, 0]);
    gateway.apply([canary([], { action: weights(0, 0) })]);
    expect(gateway.ask('GET /')).toBe('500 no-backend');
  });

  test('an unresolved share answers with its reason, behind its own policies', () => {
    const gateway = new Gateway();
    const fail = { status: 500, code: 'backend-not-found', message: 'gone' };
    const backends = [{ weight: 1, fail, policies: ['policy/shop/keys/authentication'] }];
    gateway.apply([ruleFixture('shop/orders/all', { action: { kind: 'forward', backends } })]);
    expect(gateway.ask('GET /')).toBe('503 policy-rejected');
  });

  test('a preflight is answered where any share has CORS, and asked of that share', () => {
    const gateway = new Gateway();
    const rule = canary([cors.id], { matches: [matchFixture('/', { methods: ['PUT'] })], policies: [] });
    gateway.apply([...BACKENDS, cors, rule]);
    gateway.random = 0.9;
    const fields = ['origin', 'https://a.example', 'access-control-request-method', 'PUT'];
    expect(gateway.send('OPTIONS /', fields).status).toBe(204);
  });
});

describe('a policy of a share that is not there', () => {
  test('protecting: the share refuses, the others serve, and the rule says so', () => {
    const gateway = new Gateway();
    const applied = gateway.apply([...BACKENDS, forAll, canary([forAll.id, 'policy/shop/keys/authentication'])]);
    expect(messages(applied)).toEqual([
      'rule/shop/orders/all: policies: there is no policy/shop/keys/authentication: its requests are refused',
    ]);
    expect(sent(gateway, 0)[0]).toBe('backend/shop/old');
    gateway.random = 0.9;
    expect(gateway.ask('GET /')).toBe('503 policy-rejected');
  });

  test('not protecting: the rule keeps what it was, and takes the new one when the policy comes', () => {
    const gateway = new Gateway();
    gateway.apply([...BACKENDS, forAll, canary([], { action: respondFixture('before') })]);
    expect(messages(gateway.apply([canary([forNew.id])]))).toEqual([
      'rule/shop/orders/all: action.backends[1].policies[0]: there is no policy/shop/new/transform, or it was rejected',
    ]);
    expect(gateway.ask('GET /')).toBe('200 before');
    expect(messages(gateway.apply([forNew]))).toEqual([]);
    expect(sent(gateway, 0.9)[1]).toBe('new');
  });

  test('one section twice is refused', () => {
    const gateway = new Gateway();
    const applied = gateway.apply([...BACKENDS, forAll, forNew, canary([forAll.id, forNew.id])]);
    expect(messages(applied)).toEqual([
      'rule/shop/orders/all: action.backends[1].policies[1]: a second transform section',
    ]);
  });
});
