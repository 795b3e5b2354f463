import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { credentialsResource } from '../snapshot/credentials.ts';
import { encodeResource } from '../snapshot/decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  respondFixture,
  ruleFixture,
} from '../snapshot/fixtures.ts';
import type { PolicySection, Resource } from '../snapshot/resources.ts';
import { authenticationSection } from '../snapshot/sections/authentication.ts';
import { loadStages } from '../stages/registry.ts';
import { broken, Gateway, messages, orders, ordersRule } from './gateway.fixture.ts';

describe('a resource that can not be used', () => {
  test('keeps what it had, and its siblings change', () => {
    const gateway = new Gateway();
    gateway.apply([ruleFixture('a/x/1', { hosts: ['one'], action: respondFixture('old') })]);
    const applied = gateway.apply([
      ruleFixture('a/x/1', { hosts: ['one'], matches: [matchFixture('~/(')] }),
      ruleFixture('a/x/2', { hosts: ['two'], action: respondFixture('new') }),
    ]);
    expect(applied.accepted).toBe(true);
    expect(messages(applied)).toEqual([expect.stringMatching(/^rule\/a\/x\/1: matches\[0\]\.path\.value: /)]);
    expect(gateway.ask('GET /', 'one')).toBe('200 old');
    expect(gateway.ask('GET /', 'two')).toBe('200 new');
    expect(messages(gateway.apply([ruleFixture('a/x/3')]))).toHaveLength(1);
    expect(messages(gateway.apply([ruleFixture('a/x/1', { hosts: ['one'], action: respondFixture('good') })]))).toEqual(
      [],
    );
    expect(gateway.ask('GET /', 'one')).toBe('200 good');
  });

  test.each([
    ['an action this build does not know', { action: { kind: 'mirror' } }],
    ['a field this build does not know', { retries: 3 }],
    ['a policy that is not there', { policies: ['policy/a/cors/cors'] }],
    ['a protecting policy that is not there', { policies: ['policy/a/jwt/authentication'] }, 'policy-rejected'],
    ['a backend that is not there', { action: forwardFixture('a/none') }],
    ['header edits that frame', { headers: { request: { remove: ['content-length'], set: [], add: [] } } }],
  ])(
    '%s: with nothing before, its requests get 503 and do not fall through',
    (_what, more, code = 'route-rejected') => {
      const gateway = new Gateway();
      gateway.apply([ruleFixture('a/catch/all', { action: respondFixture('open') })]);
      const rule = { ...ruleFixture('a/x/1', { matches: [matchFixture('/secret')] }), ...more };
      const applied = gateway.apply([broken(rule.id, rule)]);
      expect(applied.rejected.map(({ id }) => id)).toEqual([rule.id]);
      expect(gateway.ask('GET /secret/x')).toBe(`503 ${code}`);
      expect(gateway.ask('GET /other')).toBe('200 open');
      gateway.apply([], [rule.id]);
      expect(gateway.ask('GET /secret/x')).toBe('200 open');
      expect(gateway.apply([]).rejected).toEqual([]);
    },
  );

  test('an open rule whose new protection can not be built does not stay open, and the policy says why', async () => {
    const gateway = new Gateway();
    const rule = ruleFixture('a/x/1', { action: respondFixture('open') });
    gateway.apply([rule]);
    expect(gateway.ask('GET /')).toBe('200 open');
    const policy = policyFixture('a/keys', authenticationSection.parse(KEYS));
    await loadStages([encodeResource(policy)]);
    const applied = gateway.apply([policy, { ...rule, policies: [policy.id] }]);
    expect(messages(applied)).toEqual([
      `${policy.id}: config.methods[0].credentials[0]: there is no ${CREDENTIALS.id}, or it was rejected`,
    ]);
    expect(gateway.ask('GET /')).toBe('503 policy-rejected');
    expect(messages(gateway.apply([CREDENTIALS]))).toEqual([]);
    expect(gateway.ask('GET /')).toBe('401 credentials-missing');
    const key = gateway.send('GET /', ['x-api-key', 'k1']);
    expect([key.status, key.body]).toEqual([200, 'open']);
  });

  test('one wrong match of two: the other one is refused too, not served', () => {
    const gateway = new Gateway();
    gateway.apply([ruleFixture('a/x/1', { matches: [matchFixture('~/('), matchFixture('/ok')] })]);
    expect(gateway.ask('GET /ok')).toBe('503 route-rejected');
  });

  test('a policy section this build does not know: the rules that want it are refused', () => {
    const gateway = new Gateway();
    const id = 'policy/a/p/jwt';
    const rule = ruleFixture('a/x/1', { policies: [id] });
    const policy = { ...policyFixture('a/p', { section: 'timeout' }), id, config: { section: 'jwt' } };
    expect(messages(gateway.apply([rule, broken(id, policy)]))).toEqual([
      expect.stringMatching(/^policy\/a\/p\/jwt: config\.section: unknown section "jwt"/),
      `rule/a/x/1: policies[0]: there is no ${id}, or it was rejected`,
    ]);
    expect(gateway.ask('GET /')).toBe('503 route-rejected');
  });

  test('a policy that becomes unusable keeps its stage in force', () => {
    const gateway = new Gateway();
    const policy = (config: PolicySection) => ({ ...policyFixture('a/p', config), id: 'policy/a/p/s' });
    const fail = (code: string) => policy({ section: 'fail', of: 'authorization', status: 503, code, message: 'm' });
    gateway.apply([ruleFixture('a/x/1', { policies: ['policy/a/p/s'] }), fail('closed')]);
    expect(gateway.ask('GET /')).toBe('503 closed');
    const cors = { section: 'cors' as const, allowMethods: [], allowHeaders: [], exposeHeaders: [], maxAgeSeconds: 5 };
    const applied = gateway.apply([
      policy({ ...cors, allowOrigins: ['*'], allowCredentials: true, allowPrivateNetwork: false }),
    ]);
    expect(messages(applied)).toEqual([expect.stringMatching(/^policy\/a\/p\/s: config\.allowOrigins\[0\]: /)]);
    expect(applied.built).toEqual({ rules: 0, policies: 0, upstreams: 0, routerNodes: 0 });
    expect(gateway.ask('GET /')).toBe('503 closed');
  });

  test('a policy that goes while a rule wants it: refused; it comes back: served', () => {
    const gateway = new Gateway();
    const policy = policyFixture('a/p', { section: 'timeout', requestMs: 1 });
    gateway.apply([ruleFixture('a/x/1', { policies: [policy.id], action: respondFixture('ok') }), policy]);
    expect(gateway.ask('GET /')).toBe('200 ok');
    expect(messages(gateway.apply([], [policy.id]))).toHaveLength(1);
    expect(gateway.ask('GET /')).toBe('503 route-rejected');
    expect(messages(gateway.apply([policy]))).toEqual([]);
    expect(gateway.ask('GET /')).toBe('200 ok');
  });

  test('a backend that goes while a rule wants it: refused, not forwarded to what is closed', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule]);
    expect(messages(gateway.apply([], ['backend/shop/orders']))).toEqual([
      'rule/shop/orders/all: action.backends: there is no backend/shop/orders, or it was rejected',
    ]);
    expect(gateway.upstreams[0]?.closed).toBe(1);
    expect(gateway.ask('GET /orders')).toBe('503 route-rejected');
  });

  test('a rule that goes back to what it had follows the parts of that', () => {
    const gateway = new Gateway();
    const policy = (code: string) =>
      policyFixture('a/p', { section: 'fail', of: 'cors', status: 503, code, message: 'm' });
    gateway.apply([ruleFixture('a/x/1', { policies: [policy('1').id] }), policy('1')]);
    gateway.apply([ruleFixture('a/x/1', { policies: ['policy/a/none/cors'] })]);
    expect(gateway.ask('GET /')).toBe('503 1');
    gateway.apply([policy('2')]);
    expect(gateway.ask('GET /')).toBe('503 2');
  });

  test('a backend without its endpoints: its rules wait for them', () => {
    const gateway = new Gateway();
    const applied = gateway.apply([orders[0] as Resource, ordersRule]);
    expect(messages(applied)).toEqual([
      'backend/shop/orders: endpoints: there is no endpoints/shop/orders, or it was rejected',
      'rule/shop/orders/all: action.backends: there is no backend/shop/orders, or it was rejected',
    ]);
    expect(gateway.ask('GET /orders')).toBe('503 route-rejected');
    expect(messages(gateway.apply([orders[1] as Resource]))).toEqual([]);
    gateway.send('GET /orders');
    expect(gateway.forwarded).toHaveLength(1);
  });

  test('endpoints that can not be read leave the backend with those it had', () => {
    const gateway = new Gateway();
    gateway.apply([...orders, ordersRule]);
    const applied = gateway.apply([
      broken('endpoints/shop/orders', { kind: 'endpoints', id: 'endpoints/shop/orders' }),
    ]);
    expect(messages(applied)).toEqual([expect.stringMatching(/^endpoints\/shop\/orders: endpoints: /)]);
    gateway.send('GET /orders');
    expect(gateway.forwarded.at(-1)?.upstream.endpoints).toEqual(orders[1]);
  });

  test('an upstream that can not be made is the rejection of its backend', () => {
    const gateway = new Gateway();
    const applied = gateway.apply([backendFixture('a/b'), endpointsFixture('a/b', 'unusable:1')]);
    expect(applied.accepted).toBe(true);
    expect(messages(applied)).toEqual(['backend/a/b: could not be built: no such thing']);
  });
});

test('an upstream that can not be updated is the rejection of its backend, until it can', () => {
  const gateway = new Gateway();
  gateway.apply([...orders, ordersRule]);
  const applied = gateway.apply([
    endpointsFixture('shop/orders', 'unusable:1'),
    ruleFixture('a/x/1', { hosts: ['x'] }),
  ]);
  expect(messages(applied)).toEqual(['backend/shop/orders: could not be updated: no such thing']);
  expect(gateway.ask('GET /', 'x')).toBe('200 a/x/1');
  expect(gateway.apply([endpointsFixture('shop/orders', '10.0.0.3:80')]).rejected).toEqual([]);
});

const CREDENTIALS = credentialsResource.parse({
  kind: 'credentials',
  id: 'credentials/a/keys/partners/apiKey',
  source: 'a/partners',
  entries: {
    type: 'apiKey',
    keys: [{ hash: createHash('sha256').update('k1').digest('hex'), consumer: 'acme', groups: ['gold'] }],
  },
});
const KEYS = {
  section: 'authentication',
  methods: [
    { kind: 'apiKey', name: 'key', from: [{ in: 'header', name: 'x-api-key' }], credentials: [CREDENTIALS.id] },
  ],
  anyOf: [['key']],
};
