import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes, hashBody } from './canonical.ts';
import { decodeResource, decodeRulePlace, encodeResource, MAX_BODY_BYTES, type ResourceBytes } from './decode.ts';
import {
  backendFixture,
  endpointsFixture,
  forwardFixture,
  matchFixture,
  policyFixture,
  ruleFixture,
} from './fixtures.ts';

const rule = ruleFixture('shop/orders/read', { hosts: ['api.example.com'], action: forwardFixture('shop/orders') });

test.each([
  rule,
  ruleFixture('shop/cart/all', { matches: [matchFixture('=/cart', { methods: ['GET'] })] }),
  policyFixture('shop/edits', { section: 'timeout', requestMs: 1000 }),
  backendFixture('shop/orders'),
  endpointsFixture('shop/orders', '10.0.0.1:80', '10.0.0.2:80'),
])('$id survives the wire', (value) => {
  expect(decodeResource(encodeResource(value))).toEqual({
    ok: true,
    id: value.id,
    hash: encodeResource(value).hash,
    resource: value,
  });
});

test.each([
  ['an unknown kind', { ...rule, kind: 'plugin' }, /^kind: unknown kind "plugin"/],
  ['an unknown section', policyWith({ section: 'jwt', issuer: 'x' }), /^config\.section: unknown section "jwt"/],
  ['no kind', { id: rule.id }, /^kind: unknown kind missing/],
  ['an unknown field', { ...rule, mirror: {} }, /^mirror: unknown field/],
  [
    'a nested unknown field',
    { ...rule, matches: [{ ...matchFixture(), verb: 'GET' }] },
    /^matches\[0\]\.verb: unknown field/,
  ],
  [
    'a value out of range',
    { ...rule, action: { kind: 'forward', backends: [{ weight: -1 }] } },
    /^action\.backends\[0\]\.weight: /,
  ],
  ['a list where an object belongs', [], /^body: |^kind: /],
  ['an other id', { ...rule, id: 'rule/shop/orders/write' }, /^id: the body says rule\/shop\/orders\/write/],
])('%s is rejected by name', (_what, value, message) => {
  const decoded = decodeResource(wrap(rule.id, canonicalBytes(value)));
  expect(decoded.ok).toBe(false);
  expect(decoded).toHaveProperty('message', expect.stringMatching(message));
  expect(decoded.id).toBe(rule.id);
});

test('a body that was altered, cut or is no UTF-8 is rejected', () => {
  const good = encodeResource(rule);
  const altered = Buffer.from(good.body);
  altered[altered.length - 2] = 0x20;
  expect(decodeResource({ ...good, body: altered })).toHaveProperty(
    'message',
    expect.stringMatching(/^hash does not match/),
  );
  expect(decodeResource(wrap(rule.id, good.body.subarray(0, 40)))).toHaveProperty(
    'message',
    'body is not valid JSON in UTF-8',
  );
  expect(decodeResource(wrap(rule.id, Buffer.from([0x22, 0xff, 0x22])))).toHaveProperty('ok', false);
  expect(decodeResource(wrap(rule.id, Buffer.alloc(MAX_BODY_BYTES + 1)))).toHaveProperty(
    'message',
    expect.stringMatching(/^body of/),
  );
});

test('a message quotes no value', () => {
  const bad = policyWith({ section: 'transform', request: { remove: ['s3cret value'], set: [], add: [] } });
  const decoded = decodeResource(wrap(bad.id, canonicalBytes(bad)));
  expect(decoded).toHaveProperty('message', expect.stringMatching(/^config\.request\.remove\[0\]: /));
  expect(JSON.stringify(decoded)).not.toContain('s3cret');
});

test('an id that names another kind is rejected', () => {
  const odd = { ...rule, id: 'policy/shop/orders/read' };
  expect(decodeResource(encodeResource(odd))).toHaveProperty('message', 'id: must start with rule/');
});

test('no bytes make it throw, and no altered resource passes for the one announced', () => {
  const good = encodeResource(rule);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.nat(good.body.length - 1),
      fc.integer({ min: 1, max: 255 }),
      (noise, at, flip) => {
        expect(decodeResource(wrap(rule.id, noise)).ok).toBe(false);
        const altered = Buffer.from(good.body);
        altered[at] = (altered[at] as number) ^ flip;
        expect(decodeResource({ ...good, body: altered }).ok).toBe(false);
        const decoded = decodeResource(wrap(rule.id, altered));
        if (decoded.ok) expect(decoded.id).toBe(rule.id);
        decodeRulePlace(wrap(rule.id, altered));
      },
    ),
  );
});

describe('the place of a rule that can not be decoded', () => {
  const place = ({ id, namespace, route, createdAtMs, hosts, matches, rule: name }: typeof rule) => ({
    id,
    namespace,
    route,
    rule: name,
    createdAtMs,
    hosts,
    matches,
  });

  test.each([
    ['an unknown action', { ...rule, action: { kind: 'mirror' } }],
    ['an unknown field', { ...rule, retries: 3 }],
  ])('is read through %s', (_what, value) => {
    expect(decodeRulePlace(wrap(rule.id, canonicalBytes(value)))).toEqual(place(rule));
  });

  test('is not read where it is wrong itself, altered, of another kind or under another id', () => {
    expect(decodeRulePlace(wrap(rule.id, canonicalBytes({ ...rule, hosts: [] })))).toBeNull();
    expect(decodeRulePlace({ ...encodeResource(rule), hash: '0'.repeat(32) })).toBeNull();
    expect(decodeRulePlace(wrap('rule/a/b/c', canonicalBytes(rule)))).toBeNull();
    expect(decodeRulePlace(encodeResource(backendFixture('shop/orders')))).toBeNull();
    expect(decodeRulePlace(wrap(rule.id, Buffer.from('{')))).toBeNull();
  });
});

function policyWith(config: Record<string, unknown>) {
  return { ...policyFixture('shop/p', { section: 'timeout' }), id: rule.id, config };
}

function wrap(id: string, body: Uint8Array): ResourceBytes {
  return { id, hash: hashBody(body), body };
}
