import { expect, test } from 'vitest';
import { canonicalBytes, hashBody } from './canonical.ts';
import { decodeResource, encodeResource, MAX_BODY_BYTES, type ResourceBytes } from './decode.ts';
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

function policyWith(config: Record<string, unknown>) {
  return { ...policyFixture('shop/p', { section: 'timeout' }), id: rule.id, config };
}

function wrap(id: string, body: Uint8Array): ResourceBytes {
  return { id, hash: hashBody(body), body };
}
