import http from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { Outbound } from '../../outbound/outbound.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { introspectionMethod } from '../../snapshot/sections/authentication/introspection.ts';
import { type ContextFixture, contextFixture } from '../context.fixture.ts';
import type { StageContext } from '../context.ts';
import { CLIENT, IdentityProvider, type ProviderSettings } from './identity-provider.fixture.ts';
import { create } from './introspection.ts';
import type { Finding, Method } from './method.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const SECRET = 'secret/a/p/client/secret';

function make(
  url: string,
  config: object = {},
  parts: Parameters<typeof contextFixture>[0] = {},
): { method: Method; context: ContextFixture } {
  const outbound = new Outbound({ restMs: 20 });
  const services: StageContext['services'] = { ...contextFixture().services, http: outbound };
  const secrets = { [SECRET]: CLIENT.secret };
  const context = contextFixture({ epochMs: Date.now, services, secrets, ...parts });
  const method = create(
    introspectionMethod.parse({
      kind: 'introspection',
      name: 'token',
      from: [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
      url,
      client: { id: CLIENT.id, secret: SECRET, authentication: 'basic' },
      timeoutMs: 2_000,
      cacheMs: 60_000,
      inactiveCacheMs: 60_000,
      consumerClaim: 'client_id',
      ...config,
    }),
    context,
    'methods[0]',
  );
  cleanups.push(
    () => outbound.close(),
    () => method.close?.(),
  );
  return { method, context };
}

function ask(method: Method, token: string): Finding | Promise<Finding> {
  return method.find(memoryExchange('GET /', { fields: ['authorization', `Bearer ${token}`] }));
}

async function outcome(method: Method, token: string): Promise<string> {
  const finding = await ask(method, token);
  if (finding.kind === 'vouched') return finding.identity.consumer;
  return finding.kind === 'refused' || finding.kind === 'unavailable' ? finding.code : finding.kind;
}

async function provider(settings: ProviderSettings = {}): Promise<IdentityProvider> {
  const made = await new IdentityProvider(settings).start();
  cleanups.push(() => made.stop());
  return made;
}

const PATH = '/token/introspection';

describe('a real identity provider', () => {
  test.each(['basic', 'post'] as const)('an active token is asked about once (%s)', async (authentication) => {
    const idp = await provider({ authentication });
    const client = { id: CLIENT.id, secret: SECRET, authentication };
    const { method } = make(idp.introspectionUrl, { client, claimHeaders: [{ claim: 'iss', header: 'x-issuer' }] });
    const token = await idp.accessToken();
    const finding = await ask(method, token);
    expect(finding).toMatchObject({
      kind: 'vouched',
      identity: { consumer: CLIENT.id, scopes: ['read', 'write'], method: 'token' },
      fields: ['x-issuer', idp.issuer],
    });
    expect(ask(method, token)).toBe(finding);
    expect(idp.count(PATH)).toBe(1);
  });

  test('a client with a wrong secret learns nothing, and the policy says so', async () => {
    const idp = await provider();
    const { method, context } = make(idp.introspectionUrl, {}, { secrets: { [SECRET]: 'wrong' } });
    const token = await idp.accessToken();
    for (let i = 0; i < 3; i++) expect(await outcome(method, token)).toBe('introspection-unavailable');
    expect(context.said.trouble).toContain('the server answers 401');
  });

  test('all who wait share one question; one that nobody issued is refused from memory', async () => {
    const idp = await provider();
    const { method } = make(idp.introspectionUrl);
    const token = await idp.accessToken();
    const answers = await Promise.all(Array.from({ length: 20 }, () => outcome(method, token)));
    expect(new Set(answers)).toEqual(new Set([CLIENT.id]));
    expect(idp.count(PATH)).toBe(1);
    for (let i = 0; i < 3; i++) expect(await outcome(method, 'nobody-issued-this')).toBe('token-inactive');
    expect(idp.count(PATH)).toBe(2);
  });

  test('a revocation counts when what is remembered is over', async () => {
    const idp = await provider();
    let epochMs = Date.now();
    const { method } = make(idp.introspectionUrl, { cacheMs: 2_000 }, { epochMs: () => epochMs });
    const token = await idp.accessToken();
    expect(await outcome(method, token)).toBe(CLIENT.id);
    await idp.revoke(token);
    epochMs += 1_999;
    expect(await outcome(method, token)).toBe(CLIENT.id);
    epochMs += 1;
    expect(await outcome(method, token)).toBe('token-inactive');
  });

  test('stopped, silent, failing, back: refused within the time-out, remembered tokens hold, no restart', async () => {
    const idp = await provider();
    const { method, context } = make(idp.introspectionUrl, { timeoutMs: 100 });
    const [known, ...others] = await Promise.all(Array.from({ length: 12 }, () => idp.accessToken()));
    expect(await outcome(method, known as string)).toBe(CLIENT.id);
    let next = 0;
    const refusedUntilTold = () =>
      eventually(async () => {
        expect(await outcome(method, `${others[0]}${next++}`)).toBe('introspection-unavailable');
        return context.said.trouble !== null;
      }, 'a trouble');
    const back = async () => {
      await eventually(() => context.said.trouble === null, 'an end of the trouble');
      expect(await outcome(method, others.pop() as string)).toBe(CLIENT.id);
    };

    await idp.stop();
    await refusedUntilTold();
    expect(context.said.trouble).toMatch(
      /^tokens can not be introspected at http:\/\/127.0.0.1:\d+\/token\/intros.*: POST/,
    );
    expect(await outcome(method, known as string)).toBe(CLIENT.id);
    await idp.start();
    await back();

    idp.silent = true;
    await refusedUntilTold();
    idp.silent = false;
    await back();

    idp.failing = true;
    await refusedUntilTold();
    expect(context.said.trouble).toContain('the server answers 503');
    expect(await outcome(method, known as string)).toBe(CLIENT.id);
    idp.failing = false;
    await back();
  });
});

/** Answers every question with this. */
async function answering(body: unknown): Promise<string> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const server = http.createServer((_request, response) => response.end(text)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  cleanups.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/introspect`;
}

const seconds = Math.floor(Date.now() / 1000);
const active = { active: true, client_id: 'shop-app', iss: 'https://issuer.test', aud: ['web', 'shop'] };
test.each([
  ['active', active, 'shop-app'],
  ['not active', { active: false, client_id: 'shop-app' }, 'token-inactive'],
  ['active and expired', { ...active, exp: seconds - 1 }, 'token-expired'],
  ['active from tomorrow', { ...active, nbf: seconds + 86_400 }, 'token-not-yet-valid'],
  ['of another issuer', { ...active, iss: 'https://evil.test' }, 'token-issuer'],
  ['for others', { ...active, aud: 'bank' }, 'token-audience'],
  ['for nobody', { ...active, aud: undefined }, 'token-audience'],
  ['of nobody', { ...active, client_id: undefined }, 'token-claim'],
  ['a word instead of a truth value', { ...active, active: 'true' }, 'introspection-unavailable'],
  ['a list', [active], 'introspection-unavailable'],
  ['nothing', 'null', 'introspection-unavailable'],
  ['a page', '<html>', 'introspection-unavailable'],
  ['too much', `{"active":true,"x":"${'x'.repeat(70_000)}"}`, 'introspection-unavailable'],
])('an answer that says: %s', async (_what, body, expected) => {
  const strict = { issuers: ['https://issuer.test'], audiences: ['shop'] };
  const { method } = make(await answering(body), strict);
  expect(await outcome(method, 't')).toBe(expected);
  expect(await outcome(method, 't')).toBe(expected);
});

test('an active token is believed no longer than until it expires', async () => {
  let epochMs = Date.now();
  const exp = Math.floor(epochMs / 1000) + 10;
  const { method } = make(await answering({ ...active, exp }), {}, { epochMs: () => epochMs });
  const vouched = await ask(method, 't');
  expect(ask(method, 't')).toBe(vouched);
  epochMs = exp * 1000;
  expect(await outcome(method, 't')).toBe('token-expired');
});

test('without its secret the method is not made', () => {
  expect(() => make('http://127.0.0.1:1', {}, { secrets: {} })).toThrow(
    `methods[0].client.secret: there is no ${SECRET}`,
  );
});

test('whatever a client sends: no value throws, none vouches, and what is no token is not asked about', async () => {
  const url = await answering({ active: false });
  const { method } = make(url);
  await fc.assert(
    fc.asyncProperty(fc.string(), async (value) => {
      const finding = await method.find(memoryExchange('GET /', { fields: ['authorization', `Bearer ${value}`] }));
      expect(['absent', 'refused']).toContain(finding.kind);
    }),
  );
  expect(ask(method, 'a b')).toMatchObject({ code: 'token-malformed' });
  expect(ask(method, 'x'.repeat(20_000))).toMatchObject({ code: 'token-malformed' });
});
