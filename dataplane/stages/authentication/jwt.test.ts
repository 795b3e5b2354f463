import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { Outbound } from '../../outbound/outbound.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { jwtMethod } from '../../snapshot/sections/authentication/jwt.ts';
import { type ContextFixture, contextFixture } from '../context.fixture.ts';
import type { StageContext } from '../context.ts';
import { Issuer, type SigningKey, sign, signingKey } from './issuer.fixture.ts';
import { create } from './jwt.ts';
import type { Finding, Method } from './method.ts';

let key: SigningKey;
let other: SigningKey;
beforeAll(async () => {
  [key, other] = await Promise.all([signingKey('k1'), signingKey('k2')]);
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Made {
  readonly method: Method;
  readonly context: ContextFixture;
}

/** On clocks that run. */
function make(config: object, parts: Parameters<typeof contextFixture>[0] = {}): Made {
  const http = new Outbound({ restMs: 20 });
  const services: StageContext['services'] = { ...contextFixture().services, http };
  const context = contextFixture({ now: () => performance.now(), epochMs: Date.now, services, ...parts });
  const method = create(
    jwtMethod.parse({
      kind: 'jwt',
      name: 'token',
      from: [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
      algorithms: ['ES256'],
      clockSkewMs: 0,
      ...config,
    }),
    context,
    'methods[0]',
  );
  cleanups.push(
    () => http.close(),
    () => method.close?.(),
  );
  return { method, context };
}

const inline = (...keys: SigningKey[]) => ({ source: 'inline', jwks: new Issuer(...keys).jwks });
const remote = (issuer: Issuer, more: object = {}) => ({
  source: 'url',
  url: issuer.url,
  maxAgeMs: 600_000,
  staleMs: 600_000,
  cooldownMs: 60_000,
  timeoutMs: 2_000,
  ...more,
});

async function issuer(...keys: SigningKey[]): Promise<Issuer> {
  const made = await new Issuer(...keys).start();
  cleanups.push(() => made.stop());
  return made;
}

function ask(method: Method, token: string): Finding | Promise<Finding> {
  return method.find(memoryExchange('GET /', { fields: ['authorization', `Bearer ${token}`] }));
}

/** The consumer, or the code of a refusal. */
async function outcome(method: Method, token: string): Promise<string> {
  const finding = await ask(method, token);
  if (finding.kind === 'vouched') return finding.identity.consumer;
  return finding.kind === 'refused' || finding.kind === 'unavailable' ? finding.code : finding.kind;
}

describe('one token', () => {
  const strict = { issuers: ['https://issuer.test'], audiences: ['shop', 'web'], typ: 'at+jwt' };
  const seconds = Math.floor(Date.now() / 1000);
  test.each([
    ['good', {}, {}, 'alice'],
    ['for several audiences', { aud: ['x', 'web'] }, {}, 'alice'],
    ['expired', { exp: seconds - 10 }, {}, 'token-expired'],
    ['without expiry', { exp: undefined }, {}, 'token-claim'],
    ['from tomorrow', { nbf: seconds + 86_400 }, {}, 'token-not-yet-valid'],
    ['of another issuer', { iss: 'https://evil.test' }, {}, 'token-issuer'],
    ['of no issuer', { iss: undefined }, {}, 'token-issuer'],
    ['for others', { aud: 'bank' }, {}, 'token-audience'],
    ['for nobody', { aud: undefined }, {}, 'token-audience'],
    ['without a subject', { sub: undefined }, {}, 'token-claim'],
    ['with an empty subject', { sub: '' }, {}, 'token-claim'],
    ['of another type', {}, { typ: 'JWT' }, 'token-type'],
    ['of a key that is not known', {}, { kid: 'k9' }, 'token-key'],
    ['without a key id', {}, { kid: undefined }, 'alice'],
    ['that must be understood beyond what is', {}, { crit: ['exp'], exp: 1 }, 'token-malformed'],
  ])('%s', async (_what, claims, header, expected) => {
    const { method } = make({ keys: inline(key), ...strict });
    const token = await sign(key, claims, { typ: 'at+jwt', ...header }).catch(() => critical(claims));
    expect(await outcome(method, token)).toBe(expected);
    // From memory the answer is the same.
    expect(await outcome(method, token)).toBe(expected);
  });

  test('signed by another key under the same id, and by no key at all', async () => {
    const { method } = make({ keys: inline(key) });
    expect(await outcome(method, await sign({ ...other, kid: 'k1' }))).toBe('token-signature');
    const [, payload] = (await sign(key)).split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    expect(await outcome(method, `${none}.${payload}.`)).toBe('token-malformed');
    expect(await outcome(method, `${none}.${payload}.AA`)).toBe('token-algorithm');
    const shared = Buffer.from('{"alg":"HS256","kid":"k1"}').toString('base64url');
    expect(await outcome(method, `${shared}.${payload}.AA`)).toBe('token-algorithm');
  });

  test('what is refused says so as RFC 6750 asks; what is not there is absent', async () => {
    const { method } = make({ keys: inline(key) });
    expect(method.challenge).toBe('Bearer realm="tidegate"');
    const finding = await ask(method, 'x');
    expect(finding).toMatchObject({ kind: 'refused', status: 401, challenge: /^error="invalid_token", / });
    expect(method.find(memoryExchange('GET /', { fields: ['authorization', 'Basic eA=='] }))).toEqual({
      kind: 'absent',
    });
  });

  test.each(['RS256', 'RS512', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA'])('%s', async (alg) => {
    const pair = await signingKey('k', alg);
    const { method } = make({ keys: inline(key, pair), algorithms: [alg] });
    expect(await outcome(method, await sign(pair))).toBe('alice');
    expect(await outcome(make({ keys: inline(pair), algorithms: ['PS384'] }).method, await sign(pair))).toBe(
      'token-algorithm',
    );
  });

  test('a shared key comes from a secret, and only from there', async () => {
    const bytes = Buffer.alloc(32, 7);
    const jwks = JSON.stringify({ keys: [{ kty: 'oct', k: bytes.toString('base64url'), kid: 'k1' }] });
    const hs = { ...key, alg: 'HS256', privateKey: bytes as unknown as SigningKey['privateKey'] };
    const id = 'secret/a/p/keys/jwks';
    const fromSecret = { keys: { source: 'secret', secret: id }, algorithms: ['HS256'] };
    const { method } = make(fromSecret, { secrets: { [id]: jwks } });
    expect(await outcome(method, await sign(hs))).toBe('alice');
    expect(() => make(fromSecret)).toThrow('methods[0].keys.secret: there is no such secret');
    expect(() => make({ keys: { source: 'inline', jwks }, algorithms: ['HS256'] })).toThrow(
      'methods[0].algorithms[0]: HS256 needs a shared key, from a secret',
    );
    expect(() => make({ keys: { source: 'inline', jwks } })).toThrow('it holds no key that can verify');
  });

  test.each([
    ['no JSON', 'it is not JSON'],
    ['[]', 'there is no list called keys'],
    ['{"keys":[]}', 'no key that can verify'],
    ['{"keys":[null,1,{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"secp256k1"}]}', 'no key that can verify'],
    [JSON.stringify({ keys: Array(101).fill({}) }), 'it holds 101 keys, at most 100'],
  ])('keys that can not be used: %s', (jwks, message) => {
    expect(() => make({ keys: { source: 'inline', jwks } })).toThrow(message);
  });
});

test('claims become consumer, groups, scopes and fields', async () => {
  const { method } = make({
    keys: inline(key),
    consumerClaim: 'user.id',
    groupsClaim: 'https://example.com/groups',
    scopesClaim: 'scp',
    requiredClaims: [{ claim: 'tenant', values: ['acme', 'umbrella'] }, { claim: 'user.id' }],
    claimHeaders: [
      { claim: 'tenant', header: 'x-tenant' },
      { claim: 'user.tags', header: 'x-tags' },
      { claim: 'name', header: 'x-name' },
      { claim: '__proto__.x', header: 'x-none' },
    ],
  });
  const claims = {
    user: { id: 42, tags: ['a', 1, {}] },
    'https://example.com/groups': ['g1', 'g2'],
    scp: 'read write',
    tenant: 'acme',
    name: 'Zoë\r\nx-evil: 1',
  };
  const finding = await ask(method, await sign(key, claims));
  expect(finding).toMatchObject({
    kind: 'vouched',
    identity: { consumer: '42', groups: ['g1', 'g2'], scopes: ['read', 'write'], method: 'token', claims },
    fields: ['x-tenant', 'acme', 'x-tags', 'a,1', 'x-name', 'Zo???x-evil: 1'],
  });
  expect(method.writes).toEqual(['x-tenant', 'x-tags', 'x-name', 'x-none']);
  expect(await outcome(method, await sign(key, { ...claims, tenant: 'evil' }))).toBe('token-claim');
});

describe('memory', () => {
  test('a known token needs no promise, until it expires', async () => {
    let epochMs = Date.now();
    const { method } = make({ keys: inline(key) }, { epochMs: () => epochMs });
    const token = await sign(key);
    const [first, second] = [ask(method, token), ask(method, token)];
    expect(first).toBeInstanceOf(Promise);
    expect(second).toBe(first);
    expect(ask(method, await sign(other))).toBeInstanceOf(Promise);
    const vouched = await first;
    expect(ask(method, token)).toBe(vouched);
    epochMs += 3_600_001;
    expect(await outcome(method, token)).toBe('token-expired');
  });

  test('it outlives a change around it, and not one of its own secret', async () => {
    const id = 'secret/a/p/keys/jwks';
    const secrets = { [id]: new Issuer(key).jwks };
    const before = make({ keys: { source: 'secret', secret: id } }, { secrets });
    const token = await sign(key);
    const vouched = await ask(before.method, token);
    const { services } = before.context;
    const after = make({ keys: { source: 'secret', secret: id } }, { secrets, services });
    before.method.close?.();
    expect(ask(after.method, token)).toBe(vouched);
    const changed = make(
      { keys: { source: 'secret', secret: id } },
      { secrets: { [id]: new Issuer(other).jwks }, services },
    );
    expect(await outcome(changed.method, token)).toBe('token-key');
  });
});

describe('keys by URL', () => {
  test('one fetch for all who wait, and one more for a key that is not known', async () => {
    const server = await issuer(key);
    const { method } = make({ keys: remote(server) });
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => sign(key, { sub: `u${i}` })));
    expect(await Promise.all(tokens.map((token) => outcome(method, token)))).toEqual(tokens.map((_, i) => `u${i}`));
    expect(server.requests).toBe(1);
    server.keys = [key, other];
    const rotated = await Promise.all(Array.from({ length: 20 }, (_, i) => sign(other, { sub: `v${i}` })));
    expect(await Promise.all(rotated.map((token) => outcome(method, token)))).toEqual(rotated.map((_, i) => `v${i}`));
    expect(server.requests).toBe(2);
    // Nobody makes it ask more often than that.
    for (const kid of ['a', 'b', 'c']) expect(await outcome(method, await sign(key, {}, { kid }))).toBe('token-key');
    expect(server.requests).toBe(2);
  });

  test("a key that is taken away takes its tokens with it, and leaves the others'", async () => {
    const server = await issuer(key, other);
    const { method } = make({ keys: remote(server, { cooldownMs: 0 }) });
    const [old, kept] = await Promise.all([sign(key), sign(other)]);
    expect(await outcome(method, old)).toBe('alice');
    const vouched = await ask(method, kept);
    server.keys = [other];
    expect(await outcome(method, await sign(key, {}, { kid: 'new' }))).toBe('token-key');
    expect(ask(method, kept)).toBe(vouched);
    expect(await outcome(method, old)).toBe('token-key');
  });

  test('a server that is not there at the start: 503 and a word in the status, and it comes', async () => {
    const server = await issuer(key);
    await server.stop();
    const { method, context } = make({ keys: remote(server) });
    expect(await outcome(method, await sign(key))).toBe('jwks-unavailable');
    expect(context.said.trouble).toMatch(
      /^JWKS http:\/\/127\.0\.0\.1:\d+\/keys can not be fetched: GET .*: connect ECONNREFUSED/,
    );
    // Others wait for nothing; a second policy hears the same.
    expect(await outcome(method, await sign(key))).toBe('jwks-unavailable');
    const second = make({ keys: remote(server), name: 'second' }, { services: context.services });
    expect(second.context.said.trouble).toBe(context.said.trouble);
    await server.start();
    await eventually(async () => (await outcome(method, await sign(key))) === 'alice');
    expect([context.said.trouble, second.context.said.trouble]).toEqual([null, null]);
  });

  test.each([
    ['an error', (issuer: Issuer) => (issuer.answer = (response) => response.writeHead(500).end()), 'answers 500'],
    ['a redirect', (issuer: Issuer) => (issuer.answer = (r) => r.writeHead(302, { location: '/' }).end()), '302'],
    ['no keys', (issuer: Issuer) => (issuer.answer = (response) => response.end('<html>')), 'it is not JSON'],
    ['too much', (issuer: Issuer) => (issuer.answer = (r) => r.end('x'.repeat(300_000))), 'more than 262144 bytes'],
    ['silence', (issuer: Issuer) => (issuer.silent = true), 'no answer within 50 ms'],
  ])('%s instead of keys', async (_what, spoil, says) => {
    const server = await issuer(key);
    spoil(server);
    const { method, context } = make({ keys: remote(server, { timeoutMs: 50 }) });
    expect(await outcome(method, await sign(key))).toBe('jwks-unavailable');
    expect(context.said.trouble).toContain(says);
  });

  test('keys are fetched again in time, and used for a while when the server is gone', async () => {
    const server = await issuer(key);
    let nowMs = 0;
    const { method, context } = make({ keys: remote(server, { maxAgeMs: 1_000 }) }, { now: () => nowMs });
    expect(await outcome(method, await sign(key))).toBe('alice');
    await eventually(() => server.requests >= 2, 'a second fetch');
    await server.stop();
    await eventually(() => {
      nowMs += 10;
      return context.said.trouble !== null;
    }, 'a trouble');
    expect(await outcome(method, await sign(key, { sub: 'bob' }))).toBe('bob');
    nowMs = 1_000_000;
    expect(await outcome(method, await sign(key, { sub: 'carol' }))).toBe('jwks-unavailable');
    await server.start();
    await eventually(async () => (await outcome(method, await sign(key, { sub: 'dave' }))) === 'dave');
    expect(context.said.trouble).toBeNull();
  });

  test('after the last method has ended nothing is fetched any more', async () => {
    const server = await issuer(key);
    const { method } = make({ keys: remote(server, { maxAgeMs: 1_000 }) });
    expect(await outcome(method, await sign(key))).toBe('alice');
    method.close?.();
    const { requests } = server;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(server.requests).toBe(requests);
  });
});

test('a storm of new tokens leaves requests with known ones served', async () => {
  const rsa = await signingKey('k1', 'RS256');
  const { method } = make({ keys: inline(rsa), algorithms: ['RS256'] });
  const known = await sign(rsa);
  const vouched = await ask(method, known);
  const [head, payload, signature] = known.split('.') as [string, string, string];
  let left = 2_000;
  const storm = Array.from({ length: left }, async (_, i) => {
    const wrong = `${head}.${payload}.${String(i).padStart(6, 'A')}${signature.slice(6)}`;
    expect(await outcome(method, wrong)).toMatch(/^token-(signature|busy)$/);
    left--;
  });
  for (let turn = 0; turn < 20; turn++) {
    await new Promise(setImmediate);
    expect(ask(method, known)).toBe(vouched);
  }
  expect(left).toBeGreaterThan(0);
  await Promise.all(storm);
  expect(ask(method, known)).toBe(vouched);
});

describe('whatever a client sends', () => {
  test('no value of the header throws, and none vouches', async () => {
    const { method } = make({ keys: inline(key) });
    const part = fc.oneof(
      fc.base64String(),
      fc.string(),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
    );
    const header = fc.record({
      alg: fc.constantFrom('ES256', 'none', 'HS256', 1),
      kid: fc.constantFrom('k1', 'x', null),
    });
    const values = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 5 }).map((parts) => `Bearer ${parts.join('.')}`),
      fc.tuple(header, part, part).map(([head, payload, signature]) => {
        return `bearer ${Buffer.from(JSON.stringify(head)).toString('base64url')}.${payload}.${signature}`;
      }),
    );
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const finding = await method.find(memoryExchange('GET /', { fields: ['authorization', value] }));
        expect(['absent', 'refused']).toContain(finding.kind);
      }),
      { numRuns: 500 },
    );
  });

  test('a good token with one character changed does not vouch', async () => {
    const { method } = make({ keys: inline(key) });
    const token = await sign(key);
    await ask(method, token);
    // The last character of the signature holds bits that mean nothing.
    const place = fc.nat(token.length - 2);
    await fc.assert(
      fc.asyncProperty(place, fc.constantFrom(...'AZaz09-_.= %'), async (at, character) => {
        fc.pre(token[at] !== character);
        expect((await ask(method, token.slice(0, at) + character + token.slice(at + 1))).kind).toBe('refused');
      }),
      { numRuns: 300 },
    );
  });
});

/** A token whose header asks for more than the library signs. */
async function critical(claims: object): Promise<string> {
  const [, , signature] = (await sign(key)).split('.');
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'ES256', kid: 'k1', crit: ['exp'], exp: 1 })}.${part(claims)}.${signature}`;
}
