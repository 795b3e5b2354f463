import { afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../engine.fixture.ts';
import { memoryExchange } from '../../pipeline/memory-downstream.ts';
import { authenticationMethod } from '../../snapshot/sections/authentication.ts';
import { contextFixture } from '../context.fixture.ts';
import { closeAll, createMethods } from './create-methods.ts';
import { Issuer, type SigningKey, sign, signingKey } from './issuer.fixture.ts';
import { loadMethods } from './methods.ts';

let key: SigningKey;
beforeAll(async () => {
  key = await signingKey('k1');
  await loadMethods(['jwt', 'apiKey']);
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function issuer(): Promise<Issuer> {
  const made = await new Issuer(key).start();
  cleanups.push(() => made.stop());
  return made;
}

const jwt = (name: string, { url }: Issuer) =>
  authenticationMethod.parse({
    kind: 'jwt',
    name,
    from: [{ in: 'header', name: 'authorization', scheme: 'Bearer' }],
    keys: { source: 'url', url, maxAgeMs: 1_000, staleMs: 0, cooldownMs: 60_000, timeoutMs: 1_000 },
    algorithms: ['ES256'],
    clockSkewMs: 0,
  });

const clocks = { now: () => performance.now(), epochMs: Date.now };

test('a policy says in one breath what its methods can not do, and each takes back only its own', async () => {
  const [one, two] = [await issuer(), await issuer()];
  await Promise.all([one.stop(), two.stop()]);
  const context = contextFixture(clocks);
  const methods = createMethods([jwt('a', one), jwt('b', two)], context);
  cleanups.push(() => closeAll(methods));
  await eventually(() => context.said.trouble?.split('; ').length === 2, 'both troubles');
  await one.start();
  await eventually(() => context.said.trouble?.includes(one.url) === false, 'the end of one');
  expect(context.said.trouble).toContain(two.url);
  await two.start();
  await eventually(() => context.said.trouble === null, 'the end of both');
});

test('where one method can not be made, those before it end', async () => {
  const server = await issuer();
  const broken = authenticationMethod.parse({
    kind: 'apiKey',
    name: 'key',
    from: [{ in: 'header', name: 'x-api-key' }],
    credentials: ['credentials/a/b/nowhere/apiKey'],
  });
  const context = contextFixture(clocks);
  expect(() => createMethods([jwt('a', server), broken], context)).toThrow('methods[1].credentials[0]');
  await eventually(() => server.requests > 0, 'the fetch that was under way');
  const { requests } = server;
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(server.requests).toBe(requests);
  // The same again works: nothing of the first attempt is left.
  const methods = createMethods([jwt('a', server)], context);
  cleanups.push(() => closeAll(methods));
  const exchange = memoryExchange('GET /', { fields: ['authorization', `Bearer ${await sign(key)}`] });
  expect((await methods[0]?.find(exchange))?.kind).toBe('vouched');
});
